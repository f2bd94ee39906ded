"""One-time passwords: generated, shown once, and changed at the first login."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from actors.authx.settings import AuthxSettings

LENGTH: Final = 24
"""Characters, unless the configuration needs more or allows fewer: 4 hyphens, 100 random bits."""

_ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"
"""Characters that are not easily confused: no l, o, 0 or 1."""

_GROUP: Final = 5


def one_time_password(settings: AuthxSettings) -> str:
    """Make a password of a length that the configuration allows, in groups for easy typing."""
    length = min(max(LENGTH, settings.password_length_min), settings.password_length_max)
    return "".join(
        "-" if place % _GROUP == _GROUP - 1 and place != length - 1 else secrets.choice(_ALPHABET)
        for place in range(length)
    )


def password_lost(username: str) -> str:
    """Say what to do if a one-time password could not be shown."""
    again = f"holdfast accounts reset-password {username}"
    return f"the one-time password is lost: {again} generates another"
