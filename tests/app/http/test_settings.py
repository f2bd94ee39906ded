"""Settings of the HTTP front."""

from __future__ import annotations

from typing import Any

import pytest

from app.http.settings import HttpSettings


def test_settings_have_defaults_that_hold() -> None:
    """The defaults are settings that the front itself accepts."""
    assert HttpSettings().port == 8470
    assert HttpSettings(port=0).port == 0


@pytest.mark.parametrize(
    "change",
    [
        {"host": ""},
        {"port": -1},
        {"port": 65_536},
        {"max_body_bytes": 0},
        {"connections_max": 0},
        {"send_timeout_ms": -5},
    ],
    ids=str,
)
def test_settings_refuse_what_cannot_work(change: dict[str, Any]) -> None:
    """A value out of range is refused with the name of its field first."""
    (name,) = change
    with pytest.raises(ValueError, match=f"^{name} "):
        HttpSettings(**change)
