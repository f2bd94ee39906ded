"""A bounded cache of what was read from the database, never kept longer than it is true.

The database has the truth. What is cached of an account is dropped at once when the account
changes, and a read in flight at that time is not kept.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

from actors.authx.lru import Lru

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

T = TypeVar("T")


class Reading(Generic[T]):
    """A database read in flight; it records what is dropped meanwhile, and does not keep that."""

    __slots__ = ("_remembered", "dropped", "dropped_all")

    def __init__(self, remembered: Remembered[T]) -> None:
        self._remembered = remembered
        self.dropped: set[str] = set()
        self.dropped_all = False

    def keep(self, item: T) -> None:
        """Cache what was read unless it may already be out of date."""
        if not self.dropped_all and self.dropped.isdisjoint(self._remembered.names_of(item)):
            self._remembered.put(item)


class Remembered(Generic[T]):
    """At most ``items_max`` items, most recently used.

    ``names_of`` returns an item's own key, and the id of the account it belongs to.
    """

    __slots__ = ("_by_account", "_items", "_readings", "names_of")

    def __init__(self, items_max: int, names_of: Callable[[T], tuple[str, str]]) -> None:
        self.names_of = names_of
        self._items: Lru[str, T] = Lru(items_max)
        self._by_account: dict[str, set[str]] = {}
        self._readings: set[Reading[T]] = set()

    def get(self, key: str) -> T | None:
        """Look up an item; None means only that it is not cached."""
        return self._items.get(key)

    def put(self, item: T) -> None:
        """Cache an item; what comes from the database goes through `reading`."""
        key, account_id = self.names_of(item)
        replaced = self._items.pop(key)
        if replaced is not None:
            self._unlist(replaced)
        self._by_account.setdefault(account_id, set()).add(key)
        evicted = self._items.put(key, item)
        if evicted is not None:
            self._unlist(evicted)

    @contextmanager
    def reading(self) -> Generator[Reading[T]]:
        """Guard a read of the database, from before its query until its items are kept."""
        reading = Reading(self)
        self._readings.add(reading)
        try:
            yield reading
        finally:
            self._readings.discard(reading)

    def drop(self, key: str) -> None:
        """Forget one item."""
        for reading in self._readings:
            reading.dropped.add(key)
        item = self._items.pop(key)
        if item is not None:
            self._unlist(item)

    def drop_account(self, account_id: str) -> None:
        """Forget everything of an account that has changed."""
        for reading in self._readings:
            reading.dropped.add(account_id)
        for key in self._by_account.pop(account_id, ()):
            self._items.pop(key)

    def clear(self) -> None:
        """Forget everything."""
        for reading in self._readings:
            reading.dropped_all = True
        self._items.clear()
        self._by_account.clear()

    def __len__(self) -> int:
        """Return how many items are cached."""
        return len(self._items)

    def _unlist(self, item: T) -> None:
        key, account_id = self.names_of(item)
        keys = self._by_account[account_id]
        keys.discard(key)
        if not keys:
            del self._by_account[account_id]
