"""Histograms filled at the source: replies over the bus, commits, reads."""

from __future__ import annotations

from time import perf_counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from actors.inventory import COURIER_KEY
from actors.storage import STORAGE_KEY
from actors.ticker import TICKER_KEY
from app.histogram import Histogram
from bus import Topic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    _Mark: TypeAlias = tuple[Histogram, float]
    """The histogram for a question's duration, and its start by the meter's clock."""

BATCH_BOUNDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Units; the last is the default of ``storage.batch_units_max``."""

DURATION_BOUNDS_S: Final = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
)
"""Seconds; the default of ``storage.query_timeout_ms`` is the last."""

AUTHX: Final = "authx"
INVENTORY: Final = "inventory"
OTHER: Final = "other"
"""An added actor, not one of those named below."""

_KEYED: Final[Mapping[str, str]] = MappingProxyType(
    {STORAGE_KEY: "storage", TICKER_KEY: "ticker", COURIER_KEY: "transfers"}
)
_ACCOUNT_KEY_LENGTH: Final = 36
"""An Inventory's key is its account's id, a UUID."""


# A module name: a lookup as a class member would cost several times as much.
_AUTH: Final = Topic.AUTH


class _Questions:
    """The questions to one actor: how many were asked, and how long those with an outcome took."""

    __slots__ = ("asked", "replies")

    def __init__(self) -> None:
        self.asked = 0
        self.replies = Histogram(DURATION_BOUNDS_S)


class BusMeter:
    """Measures how long questions over the bus wait for their outcome; a `bus.Observer`."""

    __slots__ = ("_authx", "_clock", "_inventory", "_keyed", "_other", "_questions")

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._authx, self._inventory, self._other = _Questions(), _Questions(), _Questions()
        self._keyed = {key: _Questions() for key in _KEYED}
        self._questions = {
            AUTHX: self._authx,
            INVENTORY: self._inventory,
            **{actor: self._keyed[key] for key, actor in _KEYED.items()},
            OTHER: self._other,
        }

    @property
    def replies(self) -> Mapping[str, Histogram]:
        """Seconds from question to outcome, by the actor that was asked."""
        return {actor: questions.replies for actor, questions in self._questions.items()}

    @property
    def in_flight(self) -> Mapping[str, int]:
        """Questions that wait for their outcome now, by the actor that was asked."""
        return {
            actor: questions.asked - questions.replies.count
            for actor, questions in self._questions.items()
        }

    def begin(self, topic: Topic, key: str | None, body: object) -> tuple[_Mark, None]:  # noqa: ARG002 - as every observer
        """Record a question; nothing travels with it."""
        if topic is _AUTH:
            questions = self._authx
        elif key is None or len(key) == _ACCOUNT_KEY_LENGTH:
            questions = self._inventory
        else:
            questions = self._keyed.get(key, self._other)
        questions.asked += 1
        return (questions.replies, self._clock()), None

    def finish(self, mark: _Mark, error: BaseException | None) -> None:  # noqa: ARG002 - as every observer
        """Record an outcome, whatever it is."""
        replies, begun = mark
        replies.observe(self._clock() - begun)


class StorageMeter:
    """Measures Storage's commits and reads; an `actors.meter.Meter`."""

    __slots__ = ("batches", "commits", "reads")

    def __init__(self) -> None:
        self.batches = Histogram(BATCH_BOUNDS)
        self.commits = Histogram(DURATION_BOUNDS_S)
        self.reads = Histogram(DURATION_BOUNDS_S)

    def committed(self, units: int, seconds: float) -> None:
        """Record a commit."""
        self.batches.observe(units)
        self.commits.observe(seconds)

    def read(self, queries: int, seconds: float) -> None:  # noqa: ARG002 - as every meter
        """Record a read."""
        self.reads.observe(seconds)


class WorldMeter:
    """Measures how late the world clock ticks; an `actors.meter.ClockMeter`."""

    __slots__ = ("ticks",)

    def __init__(self) -> None:
        self.ticks = Histogram(DURATION_BOUNDS_S)

    def ticked(self, late_seconds: float) -> None:
        """Record a tick."""
        self.ticks.observe(late_seconds)
