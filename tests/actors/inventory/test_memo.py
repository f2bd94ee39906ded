"""Making things once from unchanged sources."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.inventory.memo import Memo


class Maker:
    """Makes text from numbers in boxes, and records which."""

    def __init__(self) -> None:
        self.made: list[list[int]] = []

    def __call__(self, source: list[int]) -> str:
        """Make its text."""
        self.made.append(source)
        return str(source[0])


def test_memo_makes_once_of_the_same() -> None:
    """A source seen before is not built again, whatever comes, goes or changes beside it."""
    memo: Memo[list[int], str] = Memo()
    make = Maker()
    one, two, three, four = ([number] for number in range(1, 5))
    for sources in ((one, two), (one, two), (one, two, three), (two, four, three), (four,)):
        assert list(memo.made_of(sources, make)) == [str(box[0]) for box in sources]
    assert make.made == [one, two, three, four]


def test_memo_gives_the_very_same_for_the_very_same() -> None:
    """If nothing has changed, nothing is reassembled."""
    memo: Memo[list[int], str] = Memo()
    sources = ([1], [2])
    assert memo.made_of(sources, Maker()) is memo.made_of(sources, Maker())


@given(st.lists(st.lists(st.integers(0, 5), unique=True)))
def test_memo_gives_what_making_would(asked: list[list[int]]) -> None:
    """In any order of questions, and it keeps nothing that was not in the latest."""
    boxes = [[number] for number in range(6)]
    memo: Memo[list[int], str] = Memo()
    seen: set[int] = set()
    for numbers in asked:
        make = Maker()
        sources = tuple(boxes[number] for number in numbers)
        assert list(memo.made_of(sources, make)) == [str(number) for number in numbers]
        assert {box[0] for box in make.made} == set(numbers) - seen
        seen = set(numbers)
