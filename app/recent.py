"""The last events that were logged, kept in memory for operators to read.

A ring of bounded texts: it holds no object that was logged, and no long text.
"""

from __future__ import annotations

import sys
from collections import deque
from dataclasses import dataclass
from itertools import islice
from threading import RLock
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from structlog.typing import EventDict, WrappedLogger

TEXT_MAX: Final = 300
"""Characters kept of a value."""

FIELDS_MAX: Final = 16
"""Fields kept of an event."""

SEVERITY: Final = MappingProxyType(
    {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
)
"""The levels of events, by weight."""

Plain: TypeAlias = str | int | float | bool | None

_NUMBERS: Final = frozenset({int, float, bool, type(None)})
"""Types kept as they are: converting them to text can wait until somebody reads them."""

_OWN: Final = frozenset({"timestamp", "level", "event", "exc_info"})


class RecentEvent(NamedTuple):
    """One event: ``at`` is ISO 8601 in UTC, ``seq`` counts from 1 without a gap."""

    seq: int
    at: str
    level: str
    event: str
    fields: Mapping[str, Plain]


@dataclass(frozen=True, slots=True)
class RecentPage:
    """Events, oldest first; ``last`` is the sequence number up to which the page is complete.

    ``dropped`` is how many events after the requested position had already left the ring.
    """

    entries: Sequence[RecentEvent]
    last: int
    dropped: int


class RecentEvents:
    """A structlog processor that keeps the last ``events_max`` events that pass through it.

    It follows the processor that hides secrets, and changes nothing. Any thread may log and read.
    """

    def __init__(self, events_max: int) -> None:
        self._events: deque[RecentEvent] = deque(maxlen=events_max)
        self._seq = 0
        # A finalizer may log in the thread that holds the lock: then the ring is slightly out of
        # order.
        self._lock = RLock()

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Keep an event, and pass it on unchanged."""
        fields: dict[str, Plain] = {
            name: value if type(value) in _NUMBERS else _text(value)
            for name, value in islice(event.items(), FIELDS_MAX + len(_OWN))
            if name not in _OWN
        }
        if event.get("exc_info"):
            fields["exception"] = _failure(event["exc_info"])
        at, level, name = event["timestamp"], event["level"], _text(event["event"])
        with self._lock:
            self._seq += 1
            self._events.append(RecentEvent(self._seq, at, level, name, fields))
        return event

    def read(self, after: int | None, *, level: str, limit: int) -> RecentPage:
        """Return up to ``limit`` events of at least ``level``, starting with those after ``after``.

        Without ``after`` they are the latest. An ``after`` beyond the last event stems from an
        earlier process: reading then starts from the first event.

        Raises:
            KeyError: there is no such level.
        """
        least = SEVERITY[level]
        with self._lock:
            events = sorted(self._events)
            last = events[-1].seq if events else self._seq
        wanted = [event for event in events if SEVERITY.get(event.level, least) >= least]
        if after is None:
            return RecentPage(wanted[-limit:], last, 0)
        if after > last:
            after = 0
        dropped = max(0, last - len(events) - after)
        wanted = [event for event in wanted if event.seq > after]
        entries = wanted[:limit]
        return RecentPage(entries, entries[-1].seq if len(wanted) > limit else last, dropped)


def _text(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    if not text.isascii():
        # It is sent as UTF-8, which has no lone surrogates.
        text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= TEXT_MAX else f"{text[: TEXT_MAX - 1]}…"


def _failure(exc_info: object) -> str:
    """Describe an exception in one line, in whichever form it was passed to the log."""
    error = exc_info if isinstance(exc_info, BaseException) else sys.exc_info()[1]
    if isinstance(exc_info, tuple):
        error = cast("tuple[object, BaseException | None, object]", exc_info)[1]
    return "" if error is None else _text(f"{type(error).__name__}: {error}")
