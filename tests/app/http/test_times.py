"""World time as the API shows it."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from app.http.types.times import world_time

LAST = datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
LAST_MS = 253_402_300_799_999


@given(st.integers(0, LAST_MS) | st.integers(0, 1 << 42))
def test_world_time_is_exact_to_the_millisecond(ms: int) -> None:
    """A time on the wire is the world time, to the millisecond."""
    shown = msgspec.json.decode(msgspec.json.encode(world_time(ms)), type=datetime)
    delta = shown - datetime(1970, 1, 1, tzinfo=UTC)
    assert delta.days * 86_400_000 + delta.seconds * 1_000 + delta.microseconds / 1_000 == ms


@given(st.integers(LAST_MS, 10**30))
def test_world_time_ends_with_the_year_9999(ms: int) -> None:
    """A time that RFC 3339 cannot express is shown as its last millisecond."""
    assert world_time(ms) == LAST


def test_world_time_keeps_none() -> None:
    """No time stays no time."""
    assert world_time(None) is None
    assert world_time(0) == datetime(1970, 1, 1, tzinfo=UTC)
