"""One-time passwords: long enough, typable, never the same."""

from __future__ import annotations

import re

import pytest

from actors.authx.passwords import Passwords
from actors.authx.settings import AuthxSettings
from app.cli.one_time import one_time_password


def test_one_time_password_can_be_typed() -> None:
    """Groups of four, without look-alike characters."""
    password = one_time_password(AuthxSettings())
    assert re.fullmatch(r"([a-km-np-z2-9]{4}-){4}[a-km-np-z2-9]{4}", password)


def test_one_time_password_is_another_each_time() -> None:
    """A hundred of them are all different."""
    assert len({one_time_password(AuthxSettings()) for _ in range(100)}) == 100


@pytest.mark.parametrize(("least", "most"), [(8, 8), (8, 12), (20, 1024), (64, 64), (1024, 1024)])
def test_one_time_password_keeps_the_rules_for_passwords(least: int, most: int) -> None:
    """It fits whatever length limits are configured."""
    settings = AuthxSettings(password_length_min=least, password_length_max=most)
    password = one_time_password(settings)
    Passwords(settings).check(password)
    assert not password.endswith("-")
