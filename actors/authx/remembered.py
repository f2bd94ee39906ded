"""What was read from the database, remembered within bounds and never longer than it is so.

The database has the truth. What is remembered of an account is forgotten at once when the account
changes, and a read that was under way meanwhile is not kept.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

from actors.authx.lru import Lru

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

T = TypeVar("T")


class Reading(Generic[T]):
    """A read of the database under way; what is dropped meanwhile is not kept from it."""

    __slots__ = ("_remembered", "dropped", "dropped_all")

    def __init__(self, remembered: Remembered[T]) -> None:
        self._remembered = remembered
        self.dropped: set[str] = set()
        self.dropped_all = False

    def keep(self, item: T) -> None:
        """Remember what was read unless it may be out of date already."""
        if not self.dropped_all and self.dropped.isdisjoint(self._remembered.names_of(item)):
            self._remembered.put(item)


class Remembered(Generic[T]):
    """At most ``items_max`` items, the ones used last.

    ``names_of`` gives an item's own key, and the id of the account that it is of.
    """

    __slots__ = ("_by_account", "_items", "_readings", "names_of")

    def __init__(self, items_max: int, names_of: Callable[[T], tuple[str, str]]) -> None:
        self.names_of = names_of
        self._items: Lru[str, T] = Lru(items_max)
        self._by_account: dict[str, set[str]] = {}
        self._readings: set[Reading[T]] = set()

    def get(self, key: str) -> T | None:
        """Look an item up; None says only that it is not known here."""
        return self._items.get(key)

    def put(self, item: T) -> None:
        """Remember an item; what comes from the database goes through `reading`."""
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
        """Tell how many items are remembered."""
        return len(self._items)

    def _unlist(self, item: T) -> None:
        key, account_id = self.names_of(item)
        keys = self._by_account[account_id]
        keys.discard(key)
        if not keys:
            del self._by_account[account_id]
