"""The moment from which to look for due accounts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.inventory.due_looks import AGAIN_MS, LATE_MS, WHOLE_MS, DueLooks

TICK_MS = 250
HOUR = range(0, 3_600_000, TICK_MS)


def whole_looks(looks: DueLooks, *, left: bool) -> list[int]:
    """Look at every tick of an hour; return the moments of the whole looks."""
    whole: list[int] = []
    for now_ms in HOUR:
        above_ms = looks.begin(now_ms)
        if above_ms is None:
            whole.append(now_ms)
        looks.end(now_ms, above_ms, now_ms, left=left)
    return whole


def test_looks_are_whole_now_and_then() -> None:
    """If nothing is left due, one look per half minute begins with the earliest moment."""
    looks = DueLooks()
    assert whole_looks(looks, left=False) == [*range(0, 3_600_000, WHOLE_MS)]
    assert looks.left_ms is None


def test_looks_are_whole_for_a_while_after_one_that_left_something() -> None:
    """Accounts that cannot be settled at all are looked for at a third of the ticks."""
    looks = DueLooks()
    assert whole_looks(looks, left=True) == [each for each in HOUR if each % WHOLE_MS < AGAIN_MS]
    assert looks.left_ms is not None


def test_look_that_failed_is_not_repeated_at_once() -> None:
    """A whole look that the database does not answer waits for its next turn."""
    looks = DueLooks()
    looks.end(0, looks.begin(0), None, left=False)
    assert looks.begin(WHOLE_MS) is None
    assert looks.begin(WHOLE_MS + TICK_MS) == -LATE_MS


@given(st.lists(st.tuples(st.integers(0, 20_000), st.booleans(), st.booleans()), max_size=80))
def test_looks_leave_out_only_what_was_looked_for(steps: list[tuple[int, bool, bool]]) -> None:
    """No look begins above a moment up to which none has looked, and no whole look is late."""
    looks = DueLooks()
    now_ms = looked_ms = whole_ms = 0
    for passed_ms, left, failed in [(0, False, False), *steps]:
        now_ms += passed_ms
        above_ms = looks.begin(now_ms)
        if above_ms is None:
            whole_ms = now_ms
        else:
            assert above_ms <= looked_ms - LATE_MS
        assert now_ms < whole_ms + WHOLE_MS
        if not failed:
            looks.end(now_ms, above_ms, None, left=left)
            looked_ms = now_ms
