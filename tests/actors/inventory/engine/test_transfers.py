"""The halves of a transfer: what leaves, what arrives, and what happens without room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.inventory.engine import (
    AMOUNT_MAX,
    GRAINS_PER_UNIT,
    Events,
    State,
    advance,
    credit,
    debit,
    decode_state,
    encode_state,
    give_back,
    grant,
    held_units,
    place_order,
)
from actors.inventory.errors import InsufficientResources, InvalidAmount, NoRoom, UnknownAsset
from actors.inventory.ruleset.model import Overflow
from tests.actors.inventory.engine.worlds import (
    COLONY,
    HOUR,
    NOW,
    begin,
    causes,
    deltas,
    essence,
    whole,
    world,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

POLICIES: tuple[Overflow, ...] = get_args(Overflow)

CELLAR = """
[buildings.cellar]
cost = {}
duration = 1
capacity = {metal = "2000 - 1500 * level"}
max_level = 1
instances = 2
"""


def send(state: State, now_ms: int = NOW, **resources: int) -> tuple[State, Events]:
    """Take resources out."""
    return debit(state, world(), resources=resources, now_ms=now_ms, cause="sent", transfer_id="t")


def receive(
    state: State, overflow: Overflow, resources: Mapping[str, int], now_ms: int = NOW
) -> tuple[State, Events]:
    """Bring resources in."""
    return credit(
        state,
        world(),
        resources=resources,
        now_ms=now_ms,
        cause="received",
        transfer_id="t",
        overflow=overflow,
    )


def test_debit_takes_all_or_nothing() -> None:
    """A debit is one entry with its transfer's id; a shortage of one resource refuses all."""
    state, events = send(begin(world()), metal=500, crystal=1)
    assert whole(state) == {"crystal": 499}
    assert causes(events) == ["sent"]
    assert events.entries[0].transfer_id == "t"
    with pytest.raises(InsufficientResources) as refused:
        send(begin(world()), metal=501, crystal=1)
    assert refused.value.missing == {"metal": 1}


@pytest.mark.parametrize("overflow", POLICIES)
def test_credit_that_fits_is_the_same_under_every_policy(overflow: Overflow) -> None:
    """If there is room, everything arrives, up to exactly the capacity."""
    state, events = receive(begin(world()), overflow, {"metal": 1500, "gas": 7})
    assert whole(state) == {"metal": 2000, "crystal": 500, "gas": 7}
    assert [deltas(entry) for entry in events.entries] == [{"metal": 1500, "gas": 7}]
    assert state.held == {}


@pytest.mark.parametrize("amount", [0, -1, AMOUNT_MAX + 1, 10**30, True, 1.0, "5"])
def test_transfers_refuse_what_is_no_amount(amount: Any) -> None:
    """Quantities are strict positive integers within bounds, both ways."""
    with pytest.raises(InvalidAmount) as sent:
        send(begin(world()), crystal=1, metal=amount)
    with pytest.raises(InvalidAmount) as received:
        receive(begin(world()), "spill", {"metal": amount})
    assert (sent.value.name, received.value.name) == ("metal", "metal")


def test_transfers_refuse_nothing_and_the_unknown() -> None:
    """A transfer carries resources of the ruleset, at least one."""
    with pytest.raises(InvalidAmount) as refused:
        send(begin(world()))
    assert refused.value.name == ""
    with pytest.raises(UnknownAsset, match=r"^the ruleset has no resource 'scout'$"):
        receive(begin(world()), "hold", {"scout": 1})


def test_credit_rejected_as_a_whole() -> None:
    """Under reject a single resource without room refuses everything."""
    with pytest.raises(NoRoom) as refused:
        receive(begin(world()), "reject", {"metal": 1501, "gas": 7})
    assert refused.value.room == {"metal": 1500}


def test_credit_counts_room_in_grains() -> None:
    """A capacity that is a grain short of room for a unit does not have it."""
    nearly, _ = advance(begin(world()), world(), NOW + 1)
    with pytest.raises(NoRoom) as refused:
        receive(nearly, "reject", {"metal": 1500}, nearly.at_ms)
    assert refused.value.room == {"metal": 1499}


def test_credit_spilled_is_told_in_the_ledger() -> None:
    """Under spill the ledger shows everything arriving and the rest lost."""
    state, events = receive(begin(world()), "spill", {"metal": 1600, "gas": 7})
    assert whole(state)["metal"] == 2000
    assert causes(events) == ["received", "spilled"]
    assert deltas(events.entries[0]) == {"metal": 1600, "gas": 7}
    assert deltas(events.entries[1]) == {"metal": -100}
    assert {entry.transfer_id for entry in events.entries} == {"t"}


def test_credit_spilled_above_the_capacity_takes_nothing_away() -> None:
    """A stock that is already above its capacity stays as it is."""
    over, _ = grant(begin(world()), world(), changes={"metal": 2000}, now_ms=NOW, cause="grant")
    state, _ = receive(over, "spill", {"metal": 10})
    assert whole(state)["metal"] == 2500


def test_credit_held_waits_for_room() -> None:
    """Under hold the rest belongs to the account, in the ledger under its own name."""
    state, events = receive(begin(world()), "hold", {"metal": 1600})
    assert whole(state) == {"metal": 2000, "crystal": 500, "held:metal": 100}
    assert held_units(state) == {"metal": 100}
    assert deltas(events.entries[0]) == {"metal": 1500, "held:metal": 100}


def test_held_goods_flow_in_when_something_is_spent() -> None:
    """Room made by an order or a debit is filled at once."""
    state, _ = receive(begin(world()), "hold", {"metal": 1600})
    spent, events = place_order(state, world(), order_id="a", asset="mine", count=None, now_ms=NOW)
    assert (whole(spent)["metal"], held_units(spent)) == (2000, {"metal": 40})
    assert causes(events) == ["order-placed", "held-released", "order-started"]
    assert deltas(events.entries[1]) == {"metal": 60, "held:metal": -60}
    sent, _ = send(spent, metal=50)
    assert (whole(sent)["metal"], sent.held) == (1990, {})


def test_held_goods_flow_in_when_a_capacity_rises() -> None:
    """A store that is finished lets held goods in at its due time."""
    state, _ = place_order(
        begin(world()), world(), order_id="a", asset="store", count=None, now_ms=NOW
    )
    state, _ = receive(state, "hold", {"metal": 2000})
    assert held_units(state) == {"metal": 400}
    state, events = advance(state, world(), NOW + 60_000)
    assert (whole(state)["metal"], state.held) == (2400, {})
    assert causes(events)[:2] == ["order-completed", "held-released"]


def test_held_goods_flow_in_while_consumption_lowers_the_stock() -> None:
    """A stock that is consumed stays at its capacity until the held part is used up."""
    state, _ = grant(begin(world()), world(), changes={"burner": 1}, now_ms=NOW, cause="grant")
    state, _ = receive(state, "hold", {"metal": 1500 + 870})
    half, _ = advance(state, world(), NOW + HOUR // 2)
    assert (whole(half)["metal"], held_units(half)) == (2000, {"metal": 435})
    later, _ = advance(half, world(), NOW + 2 * HOUR)
    assert (whole(later)["metal"], later.held) == (2000 - 870, {})


def test_held_goods_where_no_room_is_left_lower_no_stock_below_nothing() -> None:
    """With cellars that take more room than there is, and consumption, held goods are used up."""
    rules = world(COLONY + CELLAR)
    state, _ = grant(
        begin(rules),
        rules,
        changes={"cellar:1": 1, "cellar:2": 1, "soldier": 100},
        now_ms=NOW,
        cause="g",
    )
    state, _ = credit(
        state,
        rules,
        resources={"metal": 1000},
        now_ms=NOW,
        cause="received",
        transfer_id="t",
        overflow="hold",
    )
    assert whole(state) == {**whole(state), "metal": 500, "held:metal": 1000}
    later, _ = advance(state, rules, NOW + 2 * HOUR)
    assert (later.amounts["metal"], held_units(later)) == (0, {"metal": 1500 - 2 * (700 - 30)})
    later, _ = advance(state, rules, NOW + 3 * HOUR)
    assert (later.amounts["metal"], held_units(later)) == (0, {})
    assert decode_state(encode_state(later), rules, ()) == later


def test_held_goods_that_find_room_in_mid_batch_keep_the_ledger_in_time() -> None:
    """Deliveries and production before room appeared are entered before it, apart from it."""
    rules = world()
    rich = {"metal": 1500, "field:1": 3}
    state, _ = grant(begin(rules), rules, changes=rich, now_ms=NOW, cause="grant")
    for name, asset in (("a", "scout"), ("b", "barge")):
        state, _ = place_order(state, rules, order_id=name, asset=asset, count=3, now_ms=NOW)
    state, _ = receive(state, "hold", {"metal": 500})
    _, events = advance(state, rules, NOW + 30_000)
    moments = [entry.at_ms for entry in events.entries]
    assert moments == sorted(moments)
    released = [deltas(entry) for entry in events.entries if entry.cause == "held-released"]
    assert released == [{"metal": 5, "held:metal": -5}] * 2
    assert causes(events).count("production") >= 2


def test_held_goods_are_bounded() -> None:
    """Even under hold an account cannot pile up goods without end."""
    state, _ = receive(begin(world()), "hold", {"metal": AMOUNT_MAX})
    with pytest.raises(NoRoom) as refused:
        receive(state, "hold", {"metal": AMOUNT_MAX})
    assert refused.value.room == {"metal": 1500}


def test_held_fraction_of_a_unit_shows_in_no_entry() -> None:
    """The last held grains flow in without moving a whole unit."""
    grains = {"metal": 2000 * GRAINS_PER_UNIT - 5, "crystal": 0, "gas": 0}
    state, _ = receive(begin(world(), amounts=grains), "hold", {"metal": 1})
    assert state.held == {"metal": GRAINS_PER_UNIT - 5}
    state, _ = grant(state, world(), changes={"burner": 1}, now_ms=NOW, cause="grant")
    state, events = advance(state, world(), NOW + HOUR // 870 + 1)
    assert (whole(state)["metal"], state.held) == (1999, {})
    assert [deltas(entry) for entry in events.entries] == [{"metal": -1}]


def test_give_back_is_never_cut_to_the_capacity() -> None:
    """A debit's resources come back whole, like a refund."""
    state, _ = send(begin(world()), metal=500)
    full, _ = grant(state, world(), changes={"metal": 2000}, now_ms=NOW, cause="grant")
    back, events = give_back(
        full,
        world(),
        resources={"metal": 500},
        now_ms=NOW + HOUR,
        cause="returned",
        transfer_id="t",
    )
    assert whole(back)["metal"] == 2500
    assert (causes(events), deltas(events.entries[-1])) == (
        ["production", "returned"],
        {"metal": 500},
    )


@given(
    st.sampled_from(POLICIES),
    st.lists(st.tuples(st.integers(1, 3000), st.integers(0, HOUR), st.booleans()), max_size=8),
    st.integers(0, 2),
)
@settings(max_examples=60)
def test_transfers_conserve(
    overflow: Overflow, traffic: list[tuple[int, int, bool]], burners: int
) -> None:
    """Everything that left one inventory reached the other, or was entered as spilled."""
    rules = world()
    giver = begin(rules)
    taker = begin(rules)
    if burners:
        taker = grant(taker, rules, changes={"burner": burners}, now_ms=NOW, cause="grant")[0]
    for metal, wait_ms, read in traffic:
        now_ms = giver.at_ms + wait_ms
        if read:
            taker, _ = advance(taker, rules, now_ms - wait_ms // 2)
        settled, _ = advance(taker, rules, now_ms)
        total = whole(settled).get("metal", 0) + settled.held.get("metal", 0) // GRAINS_PER_UNIT
        try:
            after, sent = send(giver, now_ms, metal=metal)
            taken, received = receive(taker, overflow, {"metal": metal}, now_ms)
        except (InsufficientResources, NoRoom):
            giver, _ = advance(giver, rules, now_ms)
            continue
        giver, taker = after, taken
        here = whole(taker).get("metal", 0) + taker.held.get("metal", 0) // GRAINS_PER_UNIT
        spilled = sum(
            entry.changes["metal"].delta for entry in received.entries if entry.cause == "spilled"
        )
        assert sum(e.changes["metal"].delta for e in sent.entries if e.cause == "sent") == -metal
        assert abs(here - total - metal - spilled) <= 1  # two floors for one amount


@given(st.lists(st.integers(0, 3 * HOUR), max_size=5), st.integers(1, 3000))
@settings(max_examples=40)
def test_held_goods_do_not_depend_on_readings(readings: list[int], metal: int) -> None:
    """Consumption drains stock and held goods alike, however often they are looked at."""
    rules = world()
    state, _ = grant(begin(rules), rules, changes={"burner": 1}, now_ms=NOW, cause="grant")
    state, _ = receive(state, "hold", {"metal": metal + 1000})
    once, _ = advance(state, rules, NOW + 4 * HOUR)
    for reading in sorted(readings):
        state, _ = advance(state, rules, NOW + reading)
    assert essence(advance(state, rules, NOW + 4 * HOUR)[0]) == essence(once)
