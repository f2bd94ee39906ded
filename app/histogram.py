"""A histogram that costs next to nothing to fill: one search in a few bounds, two additions.

The client library's own takes a lock and several dictionary look-ups for each value; everything
here happens in one thread, and what scrapes it puts it into the library's form.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Histogram:
    """Counts values by the first of ``bounds`` that they do not exceed, and sums them up."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Take in one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    @property
    def count(self) -> int:
        """How many values it has taken in."""
        return sum(self._counts)

    @property
    def sum(self) -> float:
        """What they add up to."""
        return self._sum

    def buckets(self) -> list[tuple[str, float]]:
        """Give for each bound, and then ``+Inf``, how many values were at most that."""
        names = (*(f"{bound:g}" for bound in self._bounds), "+Inf")
        return list(zip(names, accumulate(self._counts), strict=True))
