"""One-time passwords: made by the program, shown once, and changed by whoever logs in with one."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from actors.authx.settings import AuthxSettings

LENGTH: Final = 24
"""Characters, unless the configuration wants more or allows fewer: 4 hyphens, 100 random bits."""

_ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"
"""What nobody mistakes for something else: no l, o, 0 or 1."""

_GROUP: Final = 5


def one_time_password(settings: AuthxSettings) -> str:
    """Make a password of a length that the configuration allows, in groups that can be typed."""
    length = min(max(LENGTH, settings.password_length_min), settings.password_length_max)
    return "".join(
        "-" if place % _GROUP == _GROUP - 1 and place != length - 1 else secrets.choice(_ALPHABET)
        for place in range(length)
    )


def password_lost(username: str) -> str:
    """Say what there is to do where one could not be shown."""
    again = f"holdfast accounts reset-password {username}"
    return f"the one-time password is lost: {again} generates another"
