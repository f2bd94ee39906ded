"""World time on the wire: RFC 3339 in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, overload

from msgspec import Meta

Time = Annotated[datetime, Meta(tz=True)]
"""A time in answers; this makes the API's description declare it as a time, with its form."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = (datetime.max.replace(microsecond=999_000, tzinfo=UTC) - _EPOCH) // timedelta(
    milliseconds=1
)
_EXACT_MS = 1 << 42
"""Up to here, in the year 2109, a float of seconds is nearest to exactly one microsecond."""


@overload
def world_time(ms: int) -> datetime: ...
@overload
def world_time(ms: int | None) -> datetime | None: ...
def world_time(ms: int | None) -> datetime | None:
    """Convert a world time, in milliseconds since the Unix epoch, to its API form; None stays None.

    RFC 3339 ends with the year 9999: a later time becomes its last millisecond.
    """
    if ms is None:
        return None
    if 0 <= ms < _EXACT_MS:
        return datetime.fromtimestamp(ms / 1000, UTC)
    return _EPOCH + timedelta(milliseconds=min(ms, _LAST_MS))
