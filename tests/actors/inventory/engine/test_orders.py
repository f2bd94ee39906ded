"""Placing and cancelling: prices, queues, levels and receipts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.inventory.engine import (
    COUNT_MAX,
    GRAINS_PER_UNIT,
    Events,
    State,
    advance,
    cancel_order,
    grant,
    place_order,
)
from actors.inventory.engine.grains import LATEST_MS
from actors.inventory.engine.pending import Pending
from actors.inventory.errors import (
    InsufficientResources,
    InvalidCount,
    MaxLevel,
    PrerequisitesMissing,
    QueueFull,
    UnknownAsset,
    UnknownOrder,
)
from tests.actors.inventory.engine.worlds import (
    COLONY,
    HOUR,
    NOW,
    SECOND,
    begin,
    causes,
    deltas,
    granted,
    whole,
    world,
)

if TYPE_CHECKING:
    from actors.inventory.engine import Order


def order(
    state: State, order_id: str, asset: str, count: int | None = None, after_ms: int = 0
) -> tuple[State, Events]:
    """Place an order this long after the state was settled."""
    return place_order(
        state,
        world(),
        order_id=order_id,
        asset=asset,
        count=count,
        now_ms=state.at_ms + after_ms,
    )


def pending(state: State) -> dict[str, tuple[str, int | None, int | None]]:
    """Return state, level and start of each pending order."""
    return {o.id: (o.state, o.level, o.starts_ms) for o in state.orders}


def test_place_order_takes_the_price_and_records_it() -> None:
    """The receipt of an order is the amount that left the stocks, entered under its id."""
    state, events = order(begin(world()), "a", "mine")
    placed = events.orders[-1]
    assert placed.cost == {"metal": 60, "crystal": 15}
    assert placed.refund == (4, 5)
    assert whole(state) == {"metal": 440, "crystal": 485}
    assert causes(events) == ["order-placed", "order-started"]
    assert events.entries[0].order_id == "a"
    assert deltas(events.entries[0]) == {"metal": -60, "crystal": -15}


def test_place_order_starts_at_once_where_a_slot_is_free() -> None:
    """The first order of a queue runs from the moment it is placed."""
    state, _ = order(begin(world()), "a", "mine", after_ms=500)
    placed = state.orders[0]
    assert (placed.state, placed.starts_ms) == ("running", NOW + 500)
    assert placed.finishes_ms == NOW + 500 + 40 * SECOND
    assert (placed.level, placed.count, placed.seq) == (1, None, 1)


def test_place_order_settles_first() -> None:
    """Production up to the moment of the order can be spent in it."""
    state = granted(metal=-441)
    with pytest.raises(InsufficientResources) as short:
        order(state, "a", "mine", after_ms=HOUR // 30 - 1)
    assert short.value.missing == {"metal": 1}
    after, events = order(state, "a", "mine", after_ms=HOUR // 30)
    assert causes(events) == ["production", "order-placed", "order-started"]
    assert after.amounts["metal"] == 0


def test_place_order_compares_the_floor_of_the_stock() -> None:
    """A stock one grain short of the price does not cover it."""
    short = 60 * GRAINS_PER_UNIT - 1
    state = begin(world(), amounts={"metal": short, "crystal": 15 * GRAINS_PER_UNIT, "gas": 0})
    with pytest.raises(InsufficientResources):
        order(state, "a", "mine")


def test_place_order_counts_pending_levels() -> None:
    """A second order of the same building is for the level after the first, at its price."""
    state, _ = order(granted(mine=2), "a", "mine")
    state, events = order(state, "b", "mine")
    assert [o.level for o in state.orders] == [3, 4]
    assert events.orders[-1].cost == world().cost("mine", 4)


def test_place_order_refuses_a_level_above_the_highest() -> None:
    """Pending levels count towards the maximum."""
    state, _ = order(granted(metal=1500, well=7), "a", "well")
    with pytest.raises(MaxLevel) as refused:
        order(state, "b", "well")
    assert (refused.value.asset, refused.value.level) == ("well", 8)


def test_place_order_asks_for_prerequisites_that_are_built() -> None:
    """A prerequisite on order does not count yet."""
    state, _ = order(begin(world()), "a", "plant")
    with pytest.raises(PrerequisitesMissing) as refused:
        order(state, "b", "optics")
    assert refused.value.missing == {"plant": 1}
    state, _ = order(state, "b", "optics", after_ms=30 * SECOND)
    assert pending(state)["b"][0] == "running"


def test_place_order_refuses_when_slots_and_places_are_taken() -> None:
    """A queue limits its slots and its length, each queue for itself."""
    state = granted(metal=1000)
    for name in "abc":
        state, _ = order(state, name, "well")
    with pytest.raises(QueueFull) as refused:
        order(state, "d", "plant")
    assert refused.value.queue == "construction"
    state, _ = order(state, "d", "scout", 1)
    assert len(state.orders) == 4


def test_place_order_tells_every_resource_that_is_short() -> None:
    """The refusal names every shortage, in whole units."""
    with pytest.raises(InsufficientResources) as refused:
        order(begin(world()), "a", "scout", 600)
    assert refused.value.missing == {"metal": 1300, "crystal": 100}


@pytest.mark.parametrize("asset", ["", "nothing", "field", "field:0", "field:4", "metal", "mine:1"])
def test_place_order_refuses_what_cannot_be_ordered(asset: str) -> None:
    """Only an address of the ruleset can be ordered."""
    with pytest.raises(UnknownAsset):
        order(begin(world()), "a", asset)


def test_place_order_tells_of_the_instances_of_a_building() -> None:
    """Asked for by the building's bare name, the refusal lists the names of its instances."""
    with pytest.raises(UnknownAsset, match="only 'field:1' to 'field:3'"):
        order(begin(world()), "a", "field")


@pytest.mark.parametrize("count", [None, 0, -1, COUNT_MAX + 1, 10**30, True, 1.0, "5"])
def test_place_order_refuses_a_count_that_is_none(count: Any) -> None:
    """Units are ordered by a strict integer within bounds."""
    with pytest.raises(InvalidCount):
        order(begin(world()), "a", "scout", count)


def test_place_order_refuses_a_count_for_a_level() -> None:
    """Levels come one at a time."""
    with pytest.raises(InvalidCount):
        order(begin(world()), "a", "mine", 1)


def test_place_order_bounds_the_total_price() -> None:
    """A batch whose price no stock could hold is refused because of its count."""
    price = "{metal = 1_000_000_000_000, crystal = 1}"
    rules = world(COLONY.replace("{metal = 3, crystal = 1}", price))
    with pytest.raises(InvalidCount):
        place_order(begin(rules), rules, order_id="a", asset="scout", count=1001, now_ms=NOW)
    with pytest.raises(InsufficientResources):
        place_order(begin(rules), rules, order_id="a", asset="scout", count=1000, now_ms=NOW)


def test_place_order_ends_with_the_calendar() -> None:
    """An order that would finish after the year 9999 is refused."""
    late = begin(world(), at_ms=LATEST_MS - 40 * SECOND)
    assert order(late, "a", "mine")[0].orders[0].finishes_ms == LATEST_MS
    for level, ends_ms in ((0, 40 * SECOND), (2, 120 * SECOND)):
        built = begin(world(), at_ms=LATEST_MS - ends_ms, levels={"mine": level} if level else {})
        says = f"mine cannot rise above level {level}: the next would not be"
        with pytest.raises(MaxLevel, match=says):
            order(built, "a", "mine", after_ms=1)
    with pytest.raises(InvalidCount):
        order(late, "a", "scout", 6)


def test_refused_order_leaves_the_state_as_it_was() -> None:
    """A refusal after settling changes nothing at all."""
    state, _ = order(begin(world()), "a", "mine")
    before = msgspec.structs.asdict(state)
    with pytest.raises(InsufficientResources):
        order(state, "b", "scout", 300, HOUR)
    assert msgspec.structs.asdict(state) == before


def test_queued_orders_start_when_a_slot_frees() -> None:
    """The next order starts the moment the one before it is done."""
    state, _ = order(begin(world()), "a", "mine")
    state, _ = order(state, "b", "plant", after_ms=SECOND)
    assert pending(state)["b"] == ("queued", 1, None)
    state, events = advance(state, world(), NOW + HOUR)
    assert state.levels == {"mine": 1, "plant": 1}
    done = {o.id: o for o in events.orders}
    assert done["b"].starts_ms == done["a"].finishes_ms == NOW + 40 * SECOND
    assert done["b"].finishes_ms == NOW + 70 * SECOND


def test_orders_run_side_by_side_in_a_queue_of_two_slots() -> None:
    """As many orders run as there are slots; the others wait in sequence."""
    state = begin(world())
    for name in "abc":
        state, _ = order(state, name, "scout", 2)
    assert [o.state for o in state.orders] == ["running", "running", "queued"]
    state, _ = advance(state, world(), NOW + 14 * SECOND)
    assert pending(state) == {"c": ("running", None, NOW + 14 * SECOND)}
    assert state.units == {"scout": 4}


def test_a_level_waits_for_the_level_before_it() -> None:
    """With several slots, two levels of one building still run one after the other."""
    rules = world(COLONY.replace("slots = 1\nlength = 2", "slots = 2\nlength = 2"))
    state = begin(rules)
    for name, asset in (("a", "field:1"), ("b", "field:1"), ("c", "well")):
        state, _ = place_order(state, rules, order_id=name, asset=asset, count=None, now_ms=NOW)
    assert [o.state for o in state.orders] == ["running", "queued", "running"]
    state, _ = advance(state, rules, NOW + 20 * SECOND)
    assert pending(state)["b"][0] == "queued"
    state, _ = advance(state, rules, NOW + 25 * SECOND)
    assert pending(state) == {"b": ("running", 2, NOW + 25 * SECOND)}


def test_duration_is_fixed_when_the_order_is_placed() -> None:
    """Buildings finished later do not shorten an order placed before."""
    rules = world(
        COLONY.replace(
            "[units.scout]",
            "[buildings.crane]\ncost = {metal = 1}\nduration = 2\nmodifiers = "
            '[{what = "duration", kinds = ["building"], factor = "1 / (1 + level)"}]\n'
            "[units.scout]",
        )
    )
    state = begin(rules)
    for name, asset in (("a", "crane"), ("b", "mine")):
        state, _ = place_order(state, rules, order_id=name, asset=asset, count=None, now_ms=NOW)
    state, _ = advance(state, rules, NOW + 2 * SECOND)
    assert state.orders[0].finishes_ms == NOW + 42 * SECOND
    state, events = place_order(
        state, rules, order_id="c", asset="mine", count=None, now_ms=NOW + 2 * SECOND
    )
    assert events.orders[-1].piece_ms == 40 * SECOND


def test_units_are_delivered_one_by_one() -> None:
    """Each piece of a batch arrives at its own due time."""
    state, _ = order(begin(world()), "a", "scout", 5)
    after = state
    for pieces in range(5):
        due = NOW + (pieces + 1) * 7 * SECOND
        before, _ = advance(state, world(), due - 1)
        assert before.units.get("scout", 0) == pieces
        after, _ = advance(state, world(), due)
        assert after.units["scout"] == pieces + 1
    assert after.orders == ()


def test_deliveries_of_one_settle_are_one_entry_with_the_last_due_time() -> None:
    """A hundred thousand deliveries cost no more than one."""
    rich = granted(metal=300_000, crystal=100_000)
    state, _ = order(rich, "a", "scout", 100_000)
    state, events = advance(state, world(), NOW + 350_000 * SECOND + 1)
    assert causes(events) == ["unit-completed", "production"]
    assert events.entries[0].at_ms == NOW + 350_000 * SECOND
    assert deltas(events.entries[0]) == {"scout": 50_000}
    assert state.orders[0].delivered == 50_000
    assert events.orders == state.orders


def test_only_a_running_batch_delivers() -> None:
    """A level is one piece, and a batch that waits has none to deliver."""
    state = begin(world())
    for name in "abc":
        state, _ = order(state, name, "scout", 2)
    state, _ = order(state, "d", "mine")
    assert [o.delivered_by(NOW + HOUR) for o in state.orders] == [2, 2, 0, 0]


def test_cancel_gives_back_the_share_of_the_receipt() -> None:
    """A refund is the receipt times the share, floored for each resource."""
    state, _ = order(begin(world()), "a", "mine")
    state, events, refund = cancel_order(state, world(), order_id="a", now_ms=NOW)
    assert refund == {"metal": 48, "crystal": 12}
    assert deltas(events.entries[0]) == refund
    assert (causes(events), events.entries[0].order_id) == (["order-cancelled"], "a")
    assert (events.orders[0].state, events.orders[0].finishes_ms) == ("cancelled", None)
    assert state.orders == ()


def test_cancel_uses_the_receipt_not_the_price_of_today() -> None:
    """An order placed under other prices refunds what was paid for it."""
    state, _ = order(begin(world()), "a", "mine")
    paid = msgspec.structs.replace(state.orders[0], cost={"metal": 9, "gas": 3}, refund=(1, 3))
    state = msgspec.structs.replace(state, pending=Pending.of([paid]))
    assert cancel_order(state, world(), order_id="a", now_ms=NOW)[2] == {"metal": 3, "gas": 1}


def test_cancel_of_a_batch_gives_back_the_undelivered_part() -> None:
    """Delivered units stay; the piece in progress counts as undelivered."""
    state, _ = order(begin(world()), "a", "scout", 10)
    state, _, refund = cancel_order(
        state, world(), order_id="a", now_ms=NOW + 3 * 7 * SECOND + 6_999
    )
    assert refund == {"metal": 7 * 3 // 2, "crystal": 3}
    assert state.units == {"scout": 3}


def test_cancel_may_lift_a_stock_above_its_capacity() -> None:
    """A refund is never cut to the capacity."""
    state = granted(metal=1500)
    state, _ = order(state, "a", "mine")
    state, _, _ = cancel_order(granted_more(state), world(), order_id="a", now_ms=NOW)
    assert whole(state)["metal"] == 2000 + 48


def granted_more(state: State) -> State:
    """Return the state with its metal filled up to the capacity."""
    return grant(state, world(), changes={"metal": 60}, now_ms=NOW, cause="grant")[0]


def test_cancel_moves_up_what_waits_behind() -> None:
    """The slot of a cancelled order goes to the next one at that moment."""
    state, _ = order(begin(world()), "a", "mine")
    state, _ = order(state, "b", "plant")
    state, _, _ = cancel_order(state, world(), order_id="a", now_ms=NOW + 3 * SECOND)
    assert pending(state) == {"b": ("running", 1, NOW + 3 * SECOND)}


def test_cancel_lowers_later_levels_of_the_same_asset() -> None:
    """Later orders keep receipt and duration and drop one level: none is skipped."""
    state = granted(metal=1000)
    for name in "abc":
        state, _ = order(state, name, "mine")
    before = {o.id: o for o in state.orders}
    state, events, _ = cancel_order(state, world(), order_id="b", now_ms=NOW)
    after = {o.id: o for o in state.orders}
    assert [o.level for o in after.values()] == [1, 2]
    assert after["c"].cost == before["c"].cost
    assert after["c"].piece_ms == before["c"].piece_ms
    assert {o.id for o in events.orders} == {"b", "c"}
    state, _ = advance(state, world(), NOW + HOUR)
    assert state.levels == {"mine": 2}


def test_cancel_leaves_earlier_and_other_orders_alone() -> None:
    """Only orders behind the cancelled one, for the same asset, change their level."""
    state = granted(metal=1000)
    for name, asset in (("a", "mine"), ("b", "well"), ("c", "mine")):
        state, _ = order(state, name, asset)
    state, events, _ = cancel_order(state, world(), order_id="c", now_ms=NOW)
    assert {o.id for o in events.orders} == {"c"}
    assert [o.level for o in state.orders] == [1, 1]


@pytest.mark.parametrize("order_id", ["b", "", "A"])
def test_cancel_of_an_unknown_order_is_refused(order_id: str) -> None:
    """Only a pending order of this inventory can be cancelled."""
    state, _ = order(begin(world()), "a", "mine")
    with pytest.raises(UnknownOrder):
        cancel_order(state, world(), order_id=order_id, now_ms=NOW)


def test_cancel_with_nothing_to_give_back_is_entered_all_the_same() -> None:
    """A follower of the ledger sees every step of an order, even if no asset moves."""
    state, _ = order(begin(world()), "a", "digger", 1)
    _, events, refund = cancel_order(state, world(), order_id="a", now_ms=NOW)
    assert (refund, causes(events)) == ({}, ["order-cancelled"])
    assert (events.entries[0].order_id, events.entries[0].changes) == ("a", {})
    assert events.orders[0].state == "cancelled"


@given(st.integers(1, 10**6), st.data())
def test_refund_never_exceeds_the_share_of_what_is_undelivered(
    count: int, data: st.DataObject
) -> None:
    """No sequence of deliveries and cancels refunds more than was paid for the rest."""
    delivered = data.draw(st.integers(0, count - 1))
    denominator = data.draw(st.integers(1, 100))
    numerator = data.draw(st.integers(0, denominator))
    price = data.draw(st.integers(0, 10**9))
    batch: Order = msgspec.structs.replace(
        order(begin(world()), "a", "scout", 1)[1].orders[0],
        count=count,
        delivered=delivered,
        cost={"metal": price * count},
        refund=(numerator, denominator),
    )
    back = batch.refundable().get("metal", 0)
    exact = price * (count - delivered) * numerator
    assert back * denominator <= exact < (back + 1) * denominator
