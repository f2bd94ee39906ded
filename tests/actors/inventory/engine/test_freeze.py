"""Standing still: a frozen account loses nothing and gains nothing."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.inventory.engine import advance, place_order, thaw
from tests.actors.inventory.engine.plays import Move, enrich, moves, play
from tests.actors.inventory.engine.worlds import HOUR, NOW, SECOND, begin, world


@given(st.lists(moves(), max_size=8), st.integers(0, 90 * 24 * HOUR), st.integers(0, 20 * HOUR))
@settings(max_examples=40)
def test_thaw_goes_on_from_where_the_account_stood(
    made: list[Move], pause_ms: int, span: int
) -> None:
    """Whatever happens after a standstill is what would have happened, only that much later."""
    rules = world()
    state = enrich(begin(rules), rules)
    for number, move in enumerate(made):
        state, _ = play(state, rules, move, number)
    thawed, events = thaw(state, state.at_ms + pause_ms)
    assert events.entries == ()
    assert (thawed.amounts, thawed.units) == (state.amounts, state.units)
    after, told = advance(thawed, rules, thawed.at_ms + span)
    without, expected = advance(state, rules, state.at_ms + span)
    assert after.at_ms == without.at_ms + pause_ms
    assert (after.amounts, after.levels, after.units) == (
        without.amounts,
        without.levels,
        without.units,
    )
    assert [(entry.at_ms - pause_ms, entry.cause) for entry in told.entries] == [
        (entry.at_ms, entry.cause) for entry in expected.entries
    ]


def test_thaw_records_the_orders_that_moved() -> None:
    """Running orders are reported with their new times; waiting ones stay as they are."""
    state = begin(world())
    for name, asset in (("a", "mine"), ("b", "plant")):
        state, _ = place_order(state, world(), order_id=name, asset=asset, count=None, now_ms=NOW)
    state, _ = advance(state, world(), NOW + 3 * SECOND)
    thawed, events = thaw(state, NOW + HOUR + 3 * SECOND)
    assert thawed.at_ms == NOW + HOUR + 3 * SECOND
    moved = msgspec.structs.replace(
        state.orders[0], starts_ms=NOW + HOUR, finishes_ms=NOW + HOUR + 40 * SECOND
    )
    assert events.orders == (moved,)
    assert thawed.orders == (moved, state.orders[1])


def test_thaw_into_the_past_changes_nothing() -> None:
    """A clock that lags behind the record moves nothing."""
    state = begin(world())
    assert thaw(state, NOW - 1)[0] == state
