"""Token buckets: how many requests each key may make, at a steady rate and in a burst.

Pure: the caller passes the time. Each bucket is stored as one number, the time at which it will
be full again, which is equivalent to its level (the generic cell rate algorithm, ITU-T I.371).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

_ROUNDING_S: Final = 1e-6
"""Tolerance for the rounding of many additions: a token due within it is available."""

_SWEPT: Final = 2
"""How many full buckets each new one may evict: more than are added, so that none pile up."""


class Buckets:
    """A bucket of ``burst`` tokens for each key, each refilled with ``per_second`` tokens.

    Memory is bounded: beyond ``keys_max`` keys, the least recently used one is forgotten, which
    amounts to giving it a full bucket.
    """

    __slots__ = ("_depth_s", "_full_at", "_keys_max", "_token_s")

    def __init__(self, *, per_second: float, burst: int, keys_max: int) -> None:
        """Start with every bucket full.

        Raises:
            ValueError: one of the numbers is not positive.
        """
        if per_second <= 0 or burst < 1 or keys_max < 1:
            raise ValueError("a bucket needs a rate, a burst and a place")
        self._token_s = 1 / per_second
        self._depth_s = burst / per_second
        self._keys_max = keys_max
        # Least recently used first; a plain dictionary would search for it among deleted slots.
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, key: str, now_s: float) -> float:
        """Take a token at the time ``now_s``; return 0, or the seconds until there is one.

        A refusal takes no token.
        """
        held = self._full_at.get(key)
        if held is None:
            self._make_room(now_s)
            self._full_at[key] = now_s + self._token_s
            return 0.0
        self._full_at.move_to_end(key)
        full_at = max(held, now_s) + self._token_s
        wait_s = full_at - now_s - self._depth_s
        if wait_s > _ROUNDING_S:
            self._full_at[key] = held
            return wait_s
        self._full_at[key] = full_at
        return 0.0

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._full_at)

    def _make_room(self, now_s: float) -> None:
        full_at = self._full_at
        for _ in range(_SWEPT):
            oldest = next(iter(full_at), None)
            if oldest is None or (full_at[oldest] > now_s and len(full_at) < self._keys_max):
                return
            del full_at[oldest]
