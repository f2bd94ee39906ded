"""A change of ruleset: settled under the old one, continued under the new one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.inventory.engine import (
    State,
    advance,
    cancel_order,
    credit,
    grant,
    place_order,
    resettle,
)
from actors.inventory.errors import RulesetMismatch
from tests.actors.inventory.engine.worlds import (
    COLONY,
    HOUR,
    NOW,
    SECOND,
    begin,
    causes,
    deltas,
    whole,
    world,
)


def built(*assets: str, **changes: int) -> State:
    """Return an inventory with changes granted and assets ordered."""
    rules = world()
    state = begin(rules)
    if changes:
        state, _ = grant(state, rules, changes=changes, now_ms=NOW, cause="grant")
    for asset in assets:
        count = 10 if asset == "scout" else None
        state, _ = place_order(state, rules, order_id=asset, asset=asset, count=count, now_ms=NOW)
    return state


def changed(old: str, new: str) -> str:
    """Return the colony's text with one thing changed."""
    assert old in COLONY
    return COLONY.replace(old, new)


def test_resettle_settles_under_the_old_and_goes_on_under_the_new() -> None:
    """Time before the change counts at the old rates, time after it at the new."""
    new = world(changed("base_per_hour = 30", "base_per_hour = 3000"))
    state, events = resettle(built(), world(), new, NOW + HOUR)
    assert (state.ruleset, causes(events)) == (new.version, ["production"])
    assert whole(state)["metal"] == 530
    assert whole(advance(state, new, NOW + HOUR + 1200 * SECOND)[0])["metal"] == 1530


def test_resettle_keeps_price_duration_and_refund_of_pending_orders() -> None:
    """An order placed before the change completes and refunds as it was placed."""
    text = changed("cost = {metal = 60, crystal = 15}", "cost = {metal = 6000}")
    new = world(text.replace("40 * level", "4000").replace("refund = 0.8", "refund = 0.1"))
    state, _ = resettle(built("mine"), world(), new, NOW)
    assert state.orders == built("mine").orders
    assert cancel_order(state, new, order_id="mine", now_ms=NOW)[2] == {"metal": 48, "crystal": 12}
    assert advance(state, new, NOW + 40 * SECOND)[0].levels == {"mine": 1}


def test_resettle_starts_what_waits_where_a_queue_grew() -> None:
    """Each new slot is used from the moment of the change, in the order of the queue."""
    built_so_far = built("mine", "plant", "well")
    for slots, started in ((2, ["plant"]), (3, ["plant", "well"])):
        new = world(changed("slots = 1\nlength = 2", f"slots = {slots}\nlength = 2"))
        state, events = resettle(built_so_far, world(), new, NOW + SECOND)
        assert [order.id for order in events.orders] == started
        assert [order.starts_ms for order in state.orders[1:slots]] == [NOW + SECOND] * (slots - 1)


def test_resettle_moves_orders_to_the_queue_of_their_asset() -> None:
    """An asset that changed its queue takes its pending orders along."""
    new = world(changed("cost = {metal = 40}", 'queue = "research"\ncost = {metal = 40}'))
    state, _ = resettle(built("mine", "well"), world(), new, NOW)
    assert [(order.queue, order.state) for order in state.orders] == [
        ("construction", "running"),
        ("research", "running"),
    ]
    _, events = resettle(built("well"), world(), new, NOW)
    assert [order.queue for order in events.orders] == ["research"]
    assert events.entries == ()


def test_resettle_begins_new_resources_at_zero() -> None:
    """A resource the new ruleset adds exists, empty."""
    new = world(COLONY + "\n[resources.dust]\nstart = 9\nbase_per_hour = 60\n")
    state, events = resettle(built(), world(), new, NOW)
    assert (state.amounts["dust"], events.entries) == (0, ())
    assert whole(advance(state, new, NOW + HOUR)[0])["dust"] == 60


def test_resettle_refuses_to_lose_what_is_owned() -> None:
    """Anything owned, held or on order that has no place in the new ruleset is named."""
    small = """
[resources.crystal]
[queues.construction]
[buildings.mine]
queue = "construction"
cost = {crystal = 1}
duration = 1
"""
    state = built("scout", "mine", plant=1, satellite=2, mine=1)
    state, _ = credit(
        state,
        world(),
        resources={"gas": 1},
        now_ms=NOW,
        cause="received",
        transfer_id="t",
        overflow="hold",
    )
    with pytest.raises(RulesetMismatch) as refused:
        resettle(state, world(), world(small), NOW)
    assert set(refused.value.removed) == {"metal", "gas", "plant", "satellite", "scout"}


def test_resettle_lets_go_of_what_nobody_owns() -> None:
    """A removed asset without an owner, and a fraction of a unit, do not block the change."""
    new = world(changed("[resources.metal]", "[resources.ore]").replace("metal =", "ore ="))
    poor = begin(world(), amounts={"metal": 3_599_999, "crystal": 0, "gas": 0})
    state, events = resettle(poor, world(), new, NOW)
    assert state.amounts == {"ore": 0, "crystal": 0, "gas": 0}
    assert events.entries == ()


def test_resettle_renames_what_is_mapped() -> None:
    """A mapped name takes stocks, receipts, levels, instances and units along."""
    text = COLONY.replace("metal", "ore").replace("buildings.field", "buildings.farm")
    new = world(text.replace("units.scout", "units.spy"))
    renamed = {"metal": "ore", "field": "farm", "scout": "spy"}
    before = built("scout", "mine", **{"field:2": 3, "scout": 4})
    state, events = resettle(before, world(), new, NOW, renamed=renamed)
    assert whole(state) == {"ore": 410, "crystal": 475, "farm:2": 3, "spy": 4}
    assert [order.asset for order in state.orders] == ["spy", "mine"]
    assert state.orders[0].cost == {"ore": 30, "crystal": 10}
    assert causes(events) == ["ruleset-changed"]
    assert deltas(events.entries[0]) == {
        "metal": -410,
        "ore": 410,
        "field:2": -3,
        "farm:2": 3,
        "scout": -4,
        "spy": 4,
    }


def test_resettle_merges_stocks_but_never_buildings() -> None:
    """Two resources may become one; of two levels, one would be lost."""
    renamed = {"gas": "metal", "plant": "mine"}
    state, _ = resettle(built(gas=7), world(), world(), NOW, renamed={"gas": "metal"})
    assert whole(state) == {"metal": 507, "crystal": 500}
    with pytest.raises(RulesetMismatch) as refused:
        resettle(built(plant=1, mine=2), world(), world(), NOW, renamed=renamed)
    assert set(refused.value.removed) == {"plant", "mine"}


RESOURCES = st.sampled_from(["metal", "crystal", "gas"])


@given(st.dictionaries(RESOURCES, RESOURCES))
def test_resettle_keeps_whole_what_was_paid(renamed: dict[str, str]) -> None:
    """A receipt, and what a cancel refunds of it, is worth as much as before under any names."""
    placed = built("scout")
    state, _ = resettle(placed, world(), world(), NOW, renamed=renamed)
    [before], [after] = placed.orders, state.orders
    expected = dict.fromkeys((renamed.get(name, name) for name in before.cost), 0)
    for name, paid in before.cost.items():
        expected[renamed.get(name, name)] += paid
    assert after.cost == expected
    assert sum(after.refundable().values()) >= sum(before.refundable().values()) > 0


def test_resettle_releases_held_goods_where_room_grew() -> None:
    """A larger capacity in the new ruleset lets held goods in."""
    state, _ = credit(
        built(),
        world(),
        resources={"metal": 1600},
        now_ms=NOW,
        cause="received",
        transfer_id="t",
        overflow="hold",
    )
    new = world(changed("base_capacity = 2000", "base_capacity = 3000"))
    state, events = resettle(state, world(), new, NOW)
    assert whole(state) == {"metal": 2100, "crystal": 500}
    assert causes(events) == ["held-released"]
