"""Which rules were in force when, even if the same ones came into force again."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from actors.inventory.eras import Era, eras_after


def eras(versions: str, *moments: int) -> tuple[Era, ...]:
    """Return a history of one-letter versions, each from its moment on."""
    return tuple(Era(*each, {}) for each in zip(versions, moments, strict=True))


@st.composite
def histories(draw: st.DrawFn) -> tuple[Era, ...]:
    """Draw a history: no rules follow themselves, and each lasts at least a millisecond."""
    versions = draw(st.text("ABC", min_size=1, max_size=12))
    versions = versions[:1] + "".join(b for a, b in pairwise(versions) if a != b)
    lasting = draw(st.lists(st.integers(1, 9), min_size=len(versions), max_size=len(versions)))
    return eras(versions, *(sum(lasting[: n + 1]) for n in range(len(versions))))


@given(histories(), st.data())
def test_an_era_is_found_by_version_and_moment(
    history: tuple[Era, ...], data: st.DataObject
) -> None:
    """A state settled in an era is followed by exactly the eras that came after, in order."""
    own = data.draw(st.integers(0, len(history) - 1))
    until = [era.from_ms for era in history[1:]] + [history[-1].from_ms + 9]
    at_ms = data.draw(st.integers(history[own].from_ms, until[own]))
    assert eras_after(history, history[own].version, at_ms) == history[own + 1 :]


def test_what_stood_still_before_its_era_belongs_to_the_first_of_its_version() -> None:
    """Its moment precedes the rules it was handed over to."""
    history = eras("ABCB", 10, 20, 30, 40)
    assert eras_after(history, "B", 15) == history[2:]


def test_goods_that_have_become_one_are_added() -> None:
    """They go by their new names; goods that are not renamed keep their own."""
    era = Era("B", 0, {"iron": "metal", "copper": "metal"})
    assert era.goods({"iron": 3, "copper": 4, "wood": 5}) == {"metal": 7, "wood": 5}
