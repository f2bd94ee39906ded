"""Settings: values that no Authx could work with are refused by the field's name."""

from __future__ import annotations

from typing import Any

import pytest

from actors.authx.settings import AuthxSettings


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("token_seconds", {"token_seconds": 0}),
        ("issuer", {"issuer": ""}),
        ("hash_queue", {"hash_queue": -1}),
        ("session_days_max", {"session_days_max": -1}),
        ("hash_workers", {"hash_workers": 0}),
        ("password_length_min", {"password_length_min": 7}),
        ("password_length_max", {"password_length_max": 7}),
        ("password_length_max", {"password_length_max": 1025}),
        ("argon2_memory_kib", {"argon2_memory_kib": 15, "argon2_parallelism": 2}),
        ("refresh_seconds", {"token_seconds": 900, "refresh_seconds": 899}),
    ],
)
def test_settings_out_of_bounds_are_refused_by_name(field: str, values: dict[str, Any]) -> None:
    """The message begins with the name of the wrong field."""
    with pytest.raises(ValueError, match=f"^{field} "):
        AuthxSettings(**values)


def test_settings_have_working_defaults_and_may_have_no_queue() -> None:
    """The defaults pass their own check, and an empty hash queue is a choice."""
    assert AuthxSettings(hash_queue=0).password_length_min == 8
