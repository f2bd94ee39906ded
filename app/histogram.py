"""A histogram that costs next to nothing to fill: one search in a few bounds, two additions.

The client library's own takes a lock and several dictionary look-ups for each value; everything
here happens in one thread, and what scrapes it puts it into the library's form.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Histogram:
    """Counts values by the first of ``bounds`` that they do not exceed, and sums them up."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    @classmethod
    def total(cls, bounds: Sequence[float], parts: Iterable[Histogram]) -> Histogram:
        """Add up histograms, all of these bounds.

        Raises:
            ValueError: one has others.
        """
        total = cls(bounds)
        for part in parts:
            if part.bounds != total.bounds:
                raise ValueError("histograms with different bounds cannot be added up")
            total.include(part.counts, part.sum)
        return total

    def include(self, counts: Sequence[int], values_sum: float) -> None:
        """Take in what another histogram of the same bounds has."""
        self._counts = [mine + theirs for mine, theirs in zip(self._counts, counts, strict=True)]
        self._sum += values_sum

    def observe(self, value: float) -> None:
        """Take in one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    @property
    def bounds(self) -> Sequence[float]:
        """The bounds that values are sorted by."""
        return self._bounds

    @property
    def counts(self) -> Sequence[int]:
        """How many values there were up to each bound and above the one before; the rest last."""
        return self._counts

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
