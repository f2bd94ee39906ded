"""Building things once from unchanged sources."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.http.memo import Memo


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
        assert list(memo.made_of("a", sources, make)) == [str(box[0]) for box in sources]
        assert len(memo) == len(sources)
    assert make.made == [one, two, three, four]


def test_memo_gives_the_very_same_for_the_very_same() -> None:
    """If nothing has changed, nothing is reassembled."""
    memo: Memo[list[int], str] = Memo()
    sources = ([1], [2])
    assert memo.made_of("a", sources, Maker()) is memo.made_of("a", sources, Maker())


def test_memo_tells_names_apart_and_forgets_whoever_has_nothing() -> None:
    """Each name has its own things; a name with none takes no room."""
    memo: Memo[list[int], str] = Memo()
    make = Maker()
    box = [1]
    memo.made_of("a", (box,), make)
    memo.made_of("b", (box,), make)
    assert (len(make.made), len(memo)) == (2, 2)
    assert list(memo.made_of("a", (), make)) == list(memo.made_of("c", (), make)) == []
    assert (len(memo), len(memo._known)) == (1, 1)


def test_memo_forgets_what_was_asked_for_longest_ago_alone() -> None:
    """One item beyond the maximum makes it forget one name and nothing else."""
    memo: Memo[list[int], str] = Memo(items_max=4)
    make = Maker()
    boxes = [[number] for number in range(6)]
    asked = [(box,) for box in boxes]
    for number in (0, 1, 2, 3, 2):
        memo.made_of(str(number), asked[number], make)
    memo.made_of("0", (boxes[0], boxes[4]), make)
    for number in (2, 3):
        memo.made_of(str(number), asked[number], make)
    assert next(iter(memo._known)) == "0"
    assert (make.made, len(memo)) == ([*boxes[:5]], 4)
    memo.made_of("1", asked[1], make)
    assert make.made == [*boxes[:5], boxes[1]]


def test_memo_of_more_than_it_may_hold_keeps_nothing() -> None:
    """A name with more things than fit still gets its answer."""
    memo: Memo[list[int], str] = Memo(items_max=4)
    sources = tuple([number] for number in range(5))
    assert list(memo.made_of("a", sources, Maker())) == ["0", "1", "2", "3", "4"]
    assert (len(memo), len(memo._known)) == (0, 0)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.lists(st.integers(0, 5), max_size=6, unique=True)),
        max_size=30,
    )
)
def test_memo_gives_what_making_would_and_stays_within_its_bound(
    asked: list[tuple[str, list[int]]],
) -> None:
    """In any order of requests, the result is as if everything were made each time."""
    memo: Memo[list[int], str] = Memo(items_max=8)
    boxes = [[number] for number in range(6)]
    for name, numbers in asked:
        sources = tuple(boxes[number] for number in numbers)
        assert list(memo.made_of(name, sources, Maker())) == [str(number) for number in numbers]
        kept = sum(len(known.sources) for known in memo._known.values())
        assert len(memo) == kept <= 8
