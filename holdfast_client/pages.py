"""Lists that the server sends in pages, read item by item."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

T = TypeVar("T")
C = TypeVar("C")


class Pages(Generic[T, C]):
    """An async iterator over items; fetches a page when the previous one is used up.

    ``fetch`` returns the items after a cursor, and the cursor of the next page or None.
    """

    def __init__(
        self, fetch: Callable[[C], Awaitable[tuple[Sequence[T], C | None]]], first: C
    ) -> None:
        self._fetch = fetch
        self._cursor: C | None = first
        self._items: deque[T] = deque()

    def __aiter__(self) -> Pages[T, C]:
        """Return the iterator itself: it can be read once."""
        return self

    async def __anext__(self) -> T:
        """Return the next item; raises what ``fetch`` raises, and can then be called again."""
        while not self._items:
            if self._cursor is None:
                raise StopAsyncIteration
            items, self._cursor = await self._fetch(self._cursor)
            self._items.extend(items)
        return self._items.popleft()

    async def all(self) -> list[T]:
        """Read all that is left."""
        return [item async for item in self]
