"""What paged lists promise: every item once, in order, fetched on demand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_client import Pages
from tests.client.backends import on_both_backends


class Shelf:
    """Pages of numbers; counts the fetches."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = sizes
        self.asked: list[int] = []

    async def fetch(self, cursor: int) -> tuple[list[int], int | None]:
        """Return a page."""
        self.asked.append(cursor)
        begin = sum(self.sizes[:cursor])
        following = cursor + 1 if cursor + 1 < len(self.sizes) else None
        return list(range(begin, begin + self.sizes[cursor])), following


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6))
async def test_pages_give_every_item_once(sizes: list[int]) -> None:
    """Whatever the pages hold, even nothing, all of it comes in order."""
    shelf = Shelf(*sizes)
    assert await Pages(shelf.fetch, 0).all() == list(range(sum(sizes)))
    assert shelf.asked == list(range(len(sizes)))


@on_both_backends()
async def test_pages_are_asked_for_as_they_are_needed() -> None:
    """A reader that stops early does not fetch the rest, and leaves nothing open."""
    shelf = Shelf(2, 2, 2)
    pages = Pages(shelf.fetch, 0)
    async for item in pages:
        if item == 2:
            break
    assert shelf.asked == [0, 1]
    assert await pages.all() == [3, 4, 5]
    with pytest.raises(StopAsyncIteration):
        await anext(pages)


@on_both_backends()
async def test_pages_can_be_read_on_after_a_failure() -> None:
    """A page that failed to load is requested again, and nothing is skipped."""
    shelf = Shelf(1, 1)
    failures = iter([True, False, False])

    async def fetch(cursor: int) -> tuple[list[int], int | None]:
        if next(failures):
            raise OSError("not now")
        return await shelf.fetch(cursor)

    pages = Pages(fetch, 0)
    with pytest.raises(OSError, match="not now"):
        await anext(pages)
    assert await pages.all() == [0, 1]
