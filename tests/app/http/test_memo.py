"""What is made once of what does not change."""

from __future__ import annotations

from app.http.memo import Memo


def test_memo_makes_once_of_the_same() -> None:
    """The same source is not looked at again; another one of that name is."""
    memo: Memo[list[int], int] = Memo()
    made: list[list[int]] = []

    def total(numbers: list[int]) -> int:
        made.append(numbers)
        return sum(numbers)

    first, second = [1, 2], [1, 2]
    assert [memo.made_of("a", first, total) for _ in range(3)] == [3, 3, 3]
    assert memo.made_of("a", second, total) == 3
    assert [each is second for each in made] == [False, True]
    assert memo.made_of("b", first, total) == 3
    assert (len(made), len(memo)) == (3, 2)


def test_memo_is_bounded() -> None:
    """Before one more than it may hold it forgets all, and goes on."""
    memo: Memo[str, str] = Memo(items_max=4)
    sources = [str(number) for number in range(10)]
    for source in sources:
        assert memo.made_of(source, source, str.upper) == source
        assert len(memo) <= 4
