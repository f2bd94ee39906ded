"""Accrual and completion: the moment of a reading never matters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.inventory.engine import (
    AMOUNT_MAX,
    GRAINS_PER_UNIT,
    advance,
    cancel_order,
    grant,
    new_state,
    next_due_ms,
    place_order,
)
from actors.inventory.engine.settle import DELIVERIES_PER_SETTLE
from actors.inventory.errors import UnknownOrder
from tests.actors.inventory.engine.naive import Naive
from tests.actors.inventory.engine.plays import Move, enrich, moves, play
from tests.actors.inventory.engine.worlds import (
    COLONY,
    HOUR,
    NOW,
    SECOND,
    begin,
    causes,
    deltas,
    essence,
    world,
)

if TYPE_CHECKING:
    from actors.inventory.engine import State

SPANS = st.integers(0, 40 * HOUR)


def test_new_state_holds_the_start_amounts_and_enters_them() -> None:
    """An inventory begins with what the ruleset gives, recorded in ledger entry 1."""
    state, events = new_state("account", world(), NOW)
    assert state.amounts == {
        "metal": 500 * GRAINS_PER_UNIT,
        "crystal": 500 * GRAINS_PER_UNIT,
        "gas": 0,
    }
    assert (state.seq, state.order_seq, state.at_ms) == (1, 0, NOW)
    assert causes(events) == ["start"]
    assert deltas(events.entries[0]) == {"metal": 500, "crystal": 500}


def test_advance_grows_a_stock_by_rate_times_time_exactly() -> None:
    """Thirty units an hour are thirty grains a millisecond."""
    state, events = advance(begin(world()), world(), NOW + 7)
    assert state.amounts["metal"] == 500 * GRAINS_PER_UNIT + 7 * 30
    assert events.entries == ()


def test_advance_enters_production_only_when_a_floor_changed() -> None:
    """A ledger entry counts whole units; a fraction waits for a later entry."""
    state, first = advance(begin(world()), world(), NOW + HOUR // 30 - 1)
    assert causes(first) == []
    _, second = advance(state, world(), NOW + HOUR // 30)
    assert causes(second) == ["production"]
    assert deltas(second.entries[0]) == {"metal": 1}


def test_advance_into_the_past_changes_nothing() -> None:
    """A clock that lags behind the record leaves it alone."""
    state = begin(world())
    assert advance(state, world(), NOW - 1) == (state, advance(state, world(), NOW)[1])


def test_advance_stops_growth_at_exactly_the_capacity() -> None:
    """A stock grows to its capacity and no grain further."""
    state, _ = advance(begin(world()), world(), NOW + 1000 * HOUR)
    assert state.amounts["metal"] == 2000 * GRAINS_PER_UNIT


def test_advance_never_takes_away_what_is_above_the_capacity() -> None:
    """A stock above its capacity rests."""
    amounts = {"metal": 5000 * GRAINS_PER_UNIT + 1, "crystal": 0, "gas": 0}
    state, _ = advance(begin(world(), amounts=amounts), world(), NOW + HOUR)
    assert state.amounts["metal"] == amounts["metal"]


def test_advance_stops_a_negative_rate_at_zero() -> None:
    """Consumption beyond production empties a stock, never more."""
    rules = world()
    state, _ = grant(begin(rules), rules, changes={"burner": 1}, now_ms=NOW, cause="grant")
    assert state.flows.rates.per_hour["metal"] == 30 - 900
    state, _ = advance(state, rules, NOW + 10 * HOUR)
    assert state.amounts["metal"] == 0


def test_advance_bounds_a_stock_without_capacity() -> None:
    """Even without a capacity no production goes beyond the largest amount."""
    rules = world()
    amounts = {"metal": 0, "crystal": 0, "gas": AMOUNT_MAX * GRAINS_PER_UNIT - 1}
    start = begin(rules, amounts=amounts)
    state, _ = grant(start, rules, changes={"well": 1}, now_ms=NOW, cause="grant")
    state, _ = advance(state, rules, NOW + HOUR)
    assert state.amounts["gas"] == AMOUNT_MAX * GRAINS_PER_UNIT


def test_advance_completes_an_order_at_its_due_time() -> None:
    """A level's effect counts from the moment it was due, not from the next login."""
    rules = world()
    state, _ = place_order(begin(rules), rules, order_id="a", asset="well", count=None, now_ms=NOW)
    state, events = advance(state, rules, NOW + 20 * SECOND + HOUR)
    assert state.levels == {"well": 1}
    assert state.amounts["gas"] == 1700 * HOUR
    assert causes(events) == ["order-completed", "production"]
    assert [entry.at_ms for entry in events.entries] == [NOW + 20 * SECOND, state.at_ms]
    assert events.orders[0].state == "completed"


def test_advance_completes_in_due_time_then_sequence() -> None:
    """Orders of several queues complete in one sequence, ties by the orders' own."""
    rules = world()
    state, _ = grant(begin(rules), rules, changes={"plant": 1}, now_ms=NOW, cause="grant")
    for number, asset in enumerate(("field:1", "optics", "field:2")):
        state, _ = place_order(
            state, rules, order_id=str(number), asset=asset, count=None, now_ms=NOW
        )
    _, events = advance(state, rules, NOW + HOUR)
    done = [entry for entry in events.entries if entry.cause == "order-completed"]
    assert [entry.order_id for entry in done] == ["0", "1", "2"]
    assert [entry.at_ms - NOW for entry in done] == [25 * SECOND, 50 * SECOND, 50 * SECOND]


def test_next_due_is_the_first_completion() -> None:
    """The due index needs the completions of whole orders, not every delivery."""
    rules = world()
    state = begin(rules)
    assert next_due_ms(state, rules) is None
    state, _ = place_order(state, rules, order_id="a", asset="scout", count=9, now_ms=NOW)
    assert next_due_ms(state, rules) == NOW + 63 * SECOND
    state, _ = place_order(state, rules, order_id="b", asset="well", count=None, now_ms=NOW)
    assert next_due_ms(state, rules) == NOW + 20 * SECOND


def test_next_due_bounds_the_deliveries_of_a_batch_that_moves_rates() -> None:
    """A long batch that moves rates is settled in between."""
    rules = world()
    rich, _ = grant(begin(rules), rules, changes={"metal": 10_000}, now_ms=NOW, cause="grant")
    state, _ = place_order(rich, rules, order_id="a", asset="soldier", count=2000, now_ms=NOW)
    due = NOW + DELIVERIES_PER_SETTLE * 5 * SECOND
    assert next_due_ms(state, rules) == due
    state, _ = advance(state, rules, due)
    assert next_due_ms(state, rules) == due + DELIVERIES_PER_SETTLE * 5 * SECOND


@given(st.lists(st.integers(1, 9), min_size=1, max_size=120))
def test_next_due_bounds_the_work_of_many_batches_that_move_rates(seconds: list[int]) -> None:
    """The walking of parallel batches in one settle is bounded, however many there are."""
    slots = COLONY.replace("slots = 2", "slots = 120")
    rules = world(slots)
    state, _ = grant(begin(rules), rules, changes={"metal": 10**9}, now_ms=NOW, cause="grant")
    for number, each in enumerate(seconds):
        state, _ = place_order(
            state, rules, order_id=str(number), asset="soldier", count=2000, now_ms=NOW + each
        )
    due = next_due_ms(state, rules)
    assert due is not None
    deliveries = sum(order.delivered_by(due) - order.delivered for order in state.orders)
    assert deliveries * len(seconds) <= 10 * 10 * DELIVERIES_PER_SETTLE
    after, _ = advance(state, rules, due)
    assert any(order.delivered for order in after.orders)


@given(st.lists(moves(), max_size=8), st.lists(SPANS, max_size=6), SPANS)
@settings(max_examples=60)
def test_reading_at_any_moments_equals_reading_once(
    made: list[Move], readings: list[int], span: int
) -> None:
    """However often an inventory is settled on the way, it arrives at the same state."""
    rules = world()
    state = enrich(begin(rules), rules)
    for number, move in enumerate(made):
        state, _ = play(state, rules, move, number)
    start_ms = state.at_ms
    once, _ = advance(state, rules, start_ms + span)
    for reading in sorted(min(reading, span) for reading in readings):
        state, _ = advance(state, rules, start_ms + reading)
    often, _ = advance(state, rules, start_ms + span)
    assert essence(often) == essence(once)


@given(st.lists(moves(), min_size=1, max_size=10), st.lists(st.integers(0, 100), max_size=8))
@settings(max_examples=60)
def test_an_owner_online_sees_what_an_owner_offline_gets(
    made: list[Move], stops: list[int]
) -> None:
    """A play with readings between its moves ends as the same play without them."""
    rules = world()
    offline = online = enrich(begin(rules), rules)
    for number, move in enumerate(made):
        for percent in sorted(stops):
            online, _ = advance(online, rules, offline.at_ms + move.wait_ms * percent // 100)
        left = move._replace(wait_ms=offline.at_ms + move.wait_ms - online.at_ms)
        online, _ = play(online, rules, left, number)
        offline, _ = play(offline, rules, move, number)
        assert essence(online) == essence(offline)


@given(st.lists(moves(unit_ms=SECOND), max_size=7), st.integers(0, 900))
@settings(max_examples=60)
def test_closed_form_equals_second_by_second(made: list[Move], seconds: int) -> None:
    """Any play, and what follows it, equals the economy played second by second."""
    rules = world()
    state = enrich(begin(rules), rules)
    for number, move in enumerate(made):
        oracle = Naive(state, rules)
        oracle.run(move.wait_ms // SECOND)
        _agree(advance(state, rules, state.at_ms + move.wait_ms)[0], oracle)
        state, _ = play(state, rules, move, number)
    oracle = Naive(state, rules)
    oracle.run(seconds)
    _agree(advance(state, rules, state.at_ms + seconds * SECOND)[0], oracle)


@given(st.lists(moves(longest=4 * HOUR), max_size=8))
@settings(max_examples=60)
def test_amounts_stay_between_zero_and_capacity(made: list[Move]) -> None:
    """No stock is ever negative, and production lifts none above its capacity."""
    rules = world()
    state = enrich(begin(rules), rules)
    for number, move in enumerate(made):
        later, _ = advance(state, rules, state.at_ms + move.wait_ms)
        for name, _, ceiling in later.flows.streams:
            # Capacities only ever rise in this world, so the last one bounds the whole span.
            assert 0 <= later.amounts[name] <= max(state.amounts[name], ceiling)
        state, _ = play(state, rules, move, number)
        assert min(state.amounts.values()) >= 0


@given(
    st.integers(0, AMOUNT_MAX * GRAINS_PER_UNIT),
    st.integers(0, 10**13),
    st.integers(0, 10**13),
)
def test_amounts_up_to_the_bound_split_exactly(amount: int, first: int, second: int) -> None:
    """The largest amounts and spans are as exact as small ones."""
    rules = world()
    state, _ = grant(begin(rules), rules, changes={"well": 8}, now_ms=NOW, cause="grant")
    state = begin(rules, amounts={**state.amounts, "gas": amount}, flows=state.flows)
    split, _ = advance(state, rules, NOW + first)
    split, _ = advance(split, rules, NOW + first + second)
    once, _ = advance(state, rules, NOW + first + second)
    assert essence(split) == essence(once)
    expected = amount + state.flows.rates.per_hour["gas"] * (first + second)
    assert once.amounts["gas"] == min(expected, AMOUNT_MAX * GRAINS_PER_UNIT)


@pytest.mark.parametrize("late_ms", [0, 1, HOUR])
def test_completion_wins_over_cancel_from_its_due_time_on(late_ms: int) -> None:
    """From the very millisecond an order is due, it is completed, and no cancel finds it."""
    rules = world()
    state, _ = place_order(begin(rules), rules, order_id="a", asset="well", count=None, now_ms=NOW)
    due = NOW + 20 * SECOND
    cancelled, _, refund = cancel_order(state, rules, order_id="a", now_ms=due - 1)
    assert (cancelled.levels, refund) == ({}, {"metal": 32})
    with pytest.raises(UnknownOrder):
        cancel_order(state, rules, order_id="a", now_ms=due + late_ms)
    assert advance(state, rules, due + late_ms)[0].levels == {"well": 1}


def _agree(state: State, oracle: Naive) -> None:
    assert (state.amounts, state.levels, state.units) == (
        oracle.amounts,
        oracle.levels,
        oracle.units,
    )
    assert state.at_ms == oracle.now_ms
    assert [o.seq for o in state.orders if o.state == "queued"] == [o.seq for o in oracle.waiting]
