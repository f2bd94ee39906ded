"""The pending orders: what is cached about them equals what a look at each would find."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.inventory.engine import (
    advance,
    cancel_order,
    decode_state,
    encode_state,
    grant,
    new_state,
    next_due_ms,
    order_view,
    place_order,
    resettle,
    thaw,
    view,
)
from actors.inventory.engine.batches import moves_rates
from actors.inventory.engine.pending import Load, Pending
from actors.inventory.engine.settle import DELIVERIES_PER_SETTLE, glimpse
from tests.actors.inventory.engine.plays import Move, enrich, moves, play
from tests.actors.inventory.engine.worlds import COLONY, HOUR, NOW, begin, essence, world

if TYPE_CHECKING:
    from actors.inventory.engine import Order, State

MOVED = COLONY.replace('queue = "construction"\nrefund', 'queue = "research"\nrefund')

STREET = """
title = "Street"
[resources.wood]
start = 1_000_000
[queues.street]
length = 500
[defaults.buildings]
queue = "street"
max_level = 500
cost_growth = 1
[buildings.hut]
cost = { wood = 1 }
duration = 30
[buildings.shed]
cost = { wood = 1 }
duration = 30
"""


def pending_after(made: list[Move]) -> State:
    """Play, checking on the way that all derived values equal freshly derived ones."""
    rules = world()
    state = enrich(begin(rules), rules)
    for number, move in enumerate(made):
        state, _ = play(state, rules, move, number)
        assert state.pending == Pending.of(state.orders)
    return state


@given(st.lists(moves(), max_size=25), st.integers(0, 20 * HOUR))
@settings(max_examples=100)
def test_what_is_derived_equals_what_is_looked_up(made: list[Move], span: int) -> None:
    """Whatever is placed, delivered, finished, cancelled or moved on, nothing gets out of step."""
    state = pending_after(made)
    later, _ = advance(state, world(), state.at_ms + span)
    assert later.pending == Pending.of(later.orders)
    thawed, _ = thaw(state, state.at_ms + span)
    assert thawed.pending == Pending.of(thawed.orders)
    moved, _ = resettle(state, world(), world(MOVED), state.at_ms + span)
    assert moved.pending == Pending.of(moved.orders)
    assert decode_state(encode_state(state), world(), state.orders[::-1]) == state


@given(st.lists(moves(), max_size=25))
@settings(max_examples=50)
def test_the_parts_are_those_of_the_orders(made: list[Move]) -> None:
    """Which orders run, how they look, and each queue's work, derived from the orders alone."""
    pending = pending_after(made).pending
    assert pending.running == tuple(o for o in pending.orders if o.state == "running")
    assert pending.views == tuple(order_view(order) for order in pending.orders)
    for queue in world().queues:
        durations = [order.duration_ms for order in pending.orders if order.queue == queue]
        assert pending.loads.get(queue, Load()) == Load(len(durations), sum(durations))
    for order in pending.running:
        assert order.delivered_by(pending.quiet_until_ms - 1) == order.delivered
        assert pending.quiet_until_ms <= (order.finishes_ms or 0)
    assert all(pending.get(order.seq) is order for order in pending.orders)


@given(st.lists(moves(), max_size=25))
@settings(max_examples=50)
def test_the_record_is_due_with_the_first_that_is_touched(made: list[Move]) -> None:
    """The record is due when the first running order completes, or has moved rates often enough."""

    def touched_ms(order: Order) -> int:
        pieces = order.count or 1
        if order.count is not None and moves_rates(world(), order.asset):
            pieces = min(pieces, order.delivered + DELIVERIES_PER_SETTLE)
        return (order.starts_ms or 0) + pieces * order.piece_ms

    state = pending_after(made)
    touched = [touched_ms(order) for order in state.orders if order.state == "running"]
    assert next_due_ms(state, world()) == min(touched, default=None)


@given(st.lists(moves(), max_size=25), st.integers(-HOUR, 20 * HOUR))
@settings(max_examples=50)
def test_a_glimpse_is_the_state_to_come(made: list[Move], span: int) -> None:
    """A view without an entry shows what advancing would give."""
    state = pending_after(made)
    at_ms = state.at_ms + span
    settled, _ = advance(state, world(), at_ms)
    assert essence(glimpse(state, world(), at_ms)) == essence(settled)
    shown = view(state, world(), at_ms, version=1, tick=1)
    assert shown == view(settled, world(), at_ms, version=1, tick=1)


def test_a_change_leaves_what_it_was_made_from_alone() -> None:
    """A refusal after a change continues from the earlier state."""
    state = begin(world())
    for name, asset in (("a", "mine"), ("b", "plant"), ("c", "scout")):
        count = 2 if asset == "scout" else None
        state, _ = place_order(state, world(), order_id=name, asset=asset, count=count, now_ms=NOW)
    before = state.pending
    kept = msgspec.json.encode((before.orders, before.running, before.loads))
    first, second, third = before.orders
    assert before.removed(2).changed(first.started(NOW + 1)).added(
        msgspec.structs.replace(second, seq=4)
    ) == Pending.of([first.started(NOW + 1), third, msgspec.structs.replace(second, seq=4)])
    assert msgspec.json.encode((before.orders, before.running, before.loads)) == kept


@pytest.mark.parametrize("how", ["cancel", "grant", "resettle"])
def test_many_orders_change_in_one_go(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that concerns hundreds of orders does not make all of them anew for each of them."""
    rules = world(STREET)
    state = begin(rules)
    for number in range(200):
        asset = "shed" if number == 100 else "hut"
        state, _ = place_order(
            state, rules, order_id=str(number), asset=asset, count=None, now_ms=NOW
        )
    anew = 0
    change = Pending.changed

    def counted(pending: Pending, order: Order) -> Pending:
        nonlocal anew
        anew += 1
        return change(pending, order)

    monkeypatch.setattr(Pending, "changed", counted)
    if how == "cancel":
        after, _, _ = cancel_order(state, rules, order_id="0", now_ms=NOW)
    elif how == "grant":
        after, _ = grant(state, rules, changes={"hut": 3}, now_ms=NOW, cause="grant")
    else:
        other = world(STREET.replace("[buildings.hut]", "[buildings.cabin]"))
        after, _ = resettle(state, rules, other, NOW, renamed={"hut": "cabin"})
    assert anew <= 1
    assert len([order for order in after.orders if order not in state.orders]) >= 198
    assert after.pending == Pending.of(after.orders)
    unchanged = state.pending.views[100]
    assert any(view is unchanged for view in after.pending.views)


@pytest.mark.parametrize(
    "changes",
    [{"queue": "research"}, {"piece_ms": 1}, {"state": "queued", "starts_ms": None}],
)
def test_a_change_of_any_kind_is_followed(changes: dict[str, object]) -> None:
    """An order may move to another queue, take another time, or no longer run."""
    state, _ = new_state("account", world(), NOW)
    state, _ = place_order(state, world(), order_id="a", asset="mine", count=None, now_ms=NOW)
    state, _ = place_order(state, world(), order_id="b", asset="plant", count=None, now_ms=NOW)
    first, second = state.orders
    other = msgspec.structs.replace(first, **changes)
    assert state.pending.changed(other) == Pending.of([other, second])
