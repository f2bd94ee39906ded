"""Places by key, against a plain account of who took what."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from actors.places import Places

KEYS = st.sampled_from(["", "a", "b", "c"])


@given(
    most=st.integers(min_value=1, max_value=3),
    steps=st.lists(st.tuples(st.booleans(), KEYS), max_size=60),
)
def test_places_are_as_many_as_each_key_may_have(most: int, steps: list[tuple[bool, str]]) -> None:
    """Nothing is taken beyond the limit, and a key without places is forgotten."""
    places = Places(most)
    taken: Counter[str] = Counter()
    for takes, key in steps:
        full = key != "" and taken[key] == most
        assert places.has_room(key) is not full
        if takes:
            assert places.take(key) is not full
            taken[key] += not full
        elif taken[key]:
            places.give_back(key)
            taken[key] -= 1
        assert places.total == taken.total()
        assert len(places._taken) == len(+taken)
    assert places.most == most
