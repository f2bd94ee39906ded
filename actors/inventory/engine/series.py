"""Series: the sum, in closed form, of what a batch's deliveries add to the rates."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from actors.inventory.engine.state import Stream

if TYPE_CHECKING:
    from collections.abc import Iterable


class Part(NamedTuple):
    """What ``n`` units bring of one resource: ``sign * (top * n // low)`` units per hour."""

    resource: str
    sign: int
    top: int
    low: int


class Series(NamedTuple):
    """Deliveries from ``first_ms`` on, one each ``piece_ms``, to an owner of ``owned`` units."""

    first_ms: int
    piece_ms: int
    owned: int
    parts: tuple[Part, ...]

    def delivered(self, at_ms: int) -> int:
        """Return how many deliveries there are by ``at_ms``."""
        return 0 if at_ms < self.first_ms else (at_ms - self.first_ms) // self.piece_ms + 1

    def last_ms(self, at_ms: int) -> int:
        """Return when the last delivery by ``at_ms`` is; before ``first_ms`` if there is none."""
        return self.first_ms + (self.delivered(at_ms) - 1) * self.piece_ms

    def rates(self, resource: str, at_ms: int) -> list[int]:
        """Return what the deliveries by ``at_ms`` have added to a rate, part by part."""
        count = self.delivered(at_ms)
        return [
            sign * (top * (self.owned + count) // low - top * self.owned // low)
            for name, sign, top, low in self.parts
            if name == resource
        ]

    def gain(self, resource: str, to_ms: int) -> int:
        """Return the grains that these deliveries have brought by ``to_ms``."""
        count = self.delivered(to_ms)
        if not count:
            return 0
        last_ms = to_ms - self.first_ms - (count - 1) * self.piece_ms
        gain = 0
        for name, sign, top, low in self.parts:
            if name == resource:
                start = top * self.owned
                # What each delivery but the last adds stays for one piece each.
                added = floor_sum(count, low, top, start) - count * (start // low)
                latest = (start + top * count) // low - start // low
                gain += sign * (added * self.piece_ms + latest * last_ms)
        return gain


class Run(NamedTuple):
    """A span in which rates change by series alone, and none turns from growth to loss."""

    series: tuple[Series, ...]

    def bounds(self, stream: Stream, at_ms: int) -> tuple[int, int]:
        """Return the units per hour between which ``stream`` stays until that moment."""
        low = high = stream.per_hour
        for series in self.series:
            for added in series.rates(stream.resource, at_ms):
                low += min(added, 0)
                high += max(added, 0)
        return low, high

    def gain(self, stream: Stream, from_ms: int, to_ms: int) -> int:
        """Return the grains that ``stream`` brings in that time, before any bound."""
        gain = stream.per_hour * (to_ms - from_ms)
        return gain + sum(series.gain(stream.resource, to_ms) for series in self.series)

    def totals(self, streams: Iterable[Stream], from_ms: int, to_ms: int) -> tuple[Stream, ...]:
        """Return streams that bring in one millisecond what these bring in that time."""
        return tuple(
            Stream(stream.resource, self.gain(stream, from_ms, to_ms), stream.ceiling)
            for stream in streams
        )


def floor_sum(count: int, low: int, top: int, start: int) -> int:
    """Return the sum of ``(top * i + start) // low`` for i from 0 to ``count`` - 1.

    None may be negative; ``low`` must be positive. Takes as many turns as Euclid's algorithm, of
    which it is a variant: the points under a line are counted by columns and by rows in turn (see
    Graham, Knuth, Patashnik, "Concrete Mathematics", 3.5).
    """
    total = 0
    while True:
        total += count * (count - 1) // 2 * (top // low) + count * (start // low)
        top %= low
        start %= low
        height = top * count + start
        if height < low:
            return total
        count, start = divmod(height, low)
        low, top = top, low
