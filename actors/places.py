"""Places that are taken and given back, of which each key may have only so many at once."""

from __future__ import annotations

from collections import Counter


class Places:
    """Counts places by their key, such as an address or an account; forgets keys that have none.

    The empty key stands for all that no limit holds for: it is counted, and never full.
    """

    __slots__ = ("_most", "_taken", "_total")

    def __init__(self, most: int) -> None:
        """Let each key have ``most`` places."""
        self._most = most
        self._taken: Counter[str] = Counter()
        self._total = 0

    @property
    def most(self) -> int:
        """How many one key may have."""
        return self._most

    @property
    def total(self) -> int:
        """How many are taken by all keys together."""
        return self._total

    def has_room(self, key: str) -> bool:
        """Whether one more is left for this key."""
        return not key or self._taken.get(key, 0) < self._most

    def take(self, key: str) -> bool:
        """Take one, unless this key has all that it may have: then nothing changes, and False."""
        if not self.has_room(key):
            return False
        self._taken[key] += 1
        self._total += 1
        return True

    def give_back(self, key: str) -> None:
        """Return one that was taken."""
        self._total -= 1
        left = self._taken[key] - 1
        if left:
            self._taken[key] = left
        else:
            del self._taken[key]
