"""World time on the wire: RFC 3339 in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from msgspec import Meta

Time = Annotated[datetime, Meta(tz=True)]
"""A time as answers have it; so the API's description says that it is one, and in which form."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = (datetime.max.replace(microsecond=999_000, tzinfo=UTC) - _EPOCH) // timedelta(
    milliseconds=1
)
_EXACT_MS = 1 << 42
"""Up to here, in the year 2109, a float of seconds is nearest to one microsecond only."""


def world_time(ms: int) -> datetime:
    """Give a world time, in milliseconds since the Unix epoch, as the API shows it.

    RFC 3339 ends with the year 9999: what is later is shown as its last millisecond.
    """
    if 0 <= ms < _EXACT_MS:
        return datetime.fromtimestamp(ms / 1000, UTC)
    return _EPOCH + timedelta(milliseconds=min(ms, _LAST_MS))


def optional_world_time(ms: int | None) -> datetime | None:
    """Give a world time, or None where there is none."""
    return None if ms is None else world_time(ms)
