"""A histogram that costs next to nothing to fill: one search in a few bounds, two additions.

The client library's own takes a lock and several dictionary look-ups for each value. This one is
used from one thread only, and converted to the library's form when it is scraped.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Histogram:
    """Counts values by the first of ``bounds`` that they do not exceed, and sums them."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    @classmethod
    def total(cls, bounds: Sequence[float], parts: Iterable[Histogram]) -> Histogram:
        """Add up histograms that all have these bounds.

        Raises:
            ValueError: one has other bounds.
        """
        total = cls(bounds)
        for part in parts:
            if part.bounds != total.bounds:
                raise ValueError("histograms with different bounds cannot be added up")
            total.include(part.counts, part.sum)
        return total

    def include(self, counts: Sequence[int], values_sum: float) -> None:
        """Add the counts and the sum of another histogram with the same bounds."""
        self._counts = [mine + theirs for mine, theirs in zip(self._counts, counts, strict=True)]
        self._sum += values_sum

    def observe(self, value: float) -> None:
        """Add one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    @property
    def bounds(self) -> Sequence[float]:
        """The bounds that values are sorted by."""
        return self._bounds

    @property
    def counts(self) -> Sequence[int]:
        """How many values fell within each bound and above the one before; the rest last."""
        return self._counts

    @property
    def count(self) -> int:
        """How many values were added."""
        return sum(self._counts)

    @property
    def sum(self) -> float:
        """The sum of all values."""
        return self._sum

    def buckets(self) -> list[tuple[str, float]]:
        """Return the cumulative count for each bound, and then for ``+Inf``."""
        names = (*(f"{bound:g}" for bound in self._bounds), "+Inf")
        return list(zip(names, accumulate(self._counts), strict=True))
