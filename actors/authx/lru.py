"""A bounded mapping that evicts the least recently used item."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")


class Lru(Generic[K, V]):
    """At most ``items_max`` items; every operation takes constant time."""

    __slots__ = ("_items", "_items_max")

    def __init__(self, items_max: int) -> None:
        self._items: OrderedDict[K, V] = OrderedDict()
        self._items_max = items_max

    def get(self, key: K) -> V | None:
        """Look up an item and count it as used now."""
        value = self._items.get(key)
        if value is not None:
            self._items.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> V | None:
        """Keep an item as the most recently used; return the one evicted, if any."""
        self._items[key] = value
        self._items.move_to_end(key)
        if len(self._items) > self._items_max:
            return self._items.popitem(last=False)[1]
        return None

    def pop(self, key: K) -> V | None:
        """Forget an item; return it if it was there."""
        return self._items.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._items.clear()

    def __len__(self) -> int:
        """Return how many items are kept."""
        return len(self._items)
