"""Places that are taken and given back, with a limit for each key."""

from __future__ import annotations

from collections import Counter


class Places:
    """Counts places by their key, such as an address or an account; forgets keys without any.

    The empty key stands for everything without a limit: it is counted, and never full.
    """

    __slots__ = ("_most", "_taken", "_total")

    def __init__(self, most: int) -> None:
        """Give each key ``most`` places."""
        self._most = most
        self._taken: Counter[str] = Counter()
        self._total = 0

    @property
    def most(self) -> int:
        """How many places one key may have."""
        return self._most

    @property
    def total(self) -> int:
        """How many places all keys together have taken."""
        return self._total

    def has_room(self, key: str) -> bool:
        """Whether this key has a place left."""
        return not key or self._taken.get(key, 0) < self._most

    def take(self, key: str) -> bool:
        """Take a place; if this key has reached its limit, change nothing and return False."""
        if not self.has_room(key):
            return False
        self._taken[key] += 1
        self._total += 1
        return True

    def give_back(self, key: str) -> None:
        """Return a place that was taken."""
        self._total -= 1
        left = self._taken[key] - 1
        if left:
            self._taken[key] = left
        else:
            del self._taken[key]
