"""The operator's grants: signed changes, all or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from actors.inventory.engine import (
    AMOUNT_MAX,
    State,
    advance,
    cancel_order,
    credit,
    grant,
    place_order,
)
from actors.inventory.errors import InsufficientResources, InvalidAmount, UnknownAsset
from tests.actors.inventory.engine.worlds import (
    HOUR,
    NOW,
    begin,
    causes,
    deltas,
    whole,
    world,
)


def granted(state: State, **changes: Any) -> State:
    """Return the state after a grant."""
    return grant(state, world(), changes=changes, now_ms=state.at_ms, cause="grant")[0]


def test_grant_changes_everything_in_one_entry() -> None:
    """Resources, units and levels change together, with the balances after."""
    changes = {"metal": -100, "gas": 5, "scout": 3, "mine": 2}
    state, events = grant(begin(world()), world(), changes=changes, now_ms=NOW, cause="quest")
    assert whole(state) == {"metal": 400, "crystal": 500, "gas": 5, "scout": 3, "mine": 2}
    assert causes(events) == ["quest"]
    assert deltas(events.entries[0]) == changes
    assert events.entries[0].changes["scout"].balance == 3


def test_grant_of_a_level_moves_the_rates_at_once() -> None:
    """A granted level works from that moment."""
    state = granted(begin(world()), well=2)
    assert state.flows.rates.per_hour["gas"] == 3400
    assert advance(state, world(), NOW + HOUR)[0].amounts["gas"] == 3400 * HOUR


def test_grant_settles_first() -> None:
    """Production before the grant is at the old rates."""
    state, events = grant(
        begin(world()), world(), changes={"mine": 1}, now_ms=NOW + HOUR, cause="grant"
    )
    assert causes(events) == ["production", "grant"]
    assert whole(state)["metal"] == 530


def test_grant_of_what_is_there_takes_it_to_nothing() -> None:
    """An asset that falls to zero is gone."""
    state = granted(granted(begin(world()), scout=3, mine=2), scout=-3, mine=-2)
    assert (state.units, state.levels) == ({}, {})


@pytest.mark.parametrize("name", ["metal", "scout", "mine"])
def test_grant_never_goes_below_zero(name: str) -> None:
    """A grant that takes more than there is, of anything, is refused as a whole."""
    with pytest.raises(InsufficientResources) as refused:
        granted(begin(world()), crystal=5, **{name: -501})
    assert refused.value.missing[name] in {1, 501}


def test_grant_may_exceed_a_capacity_but_not_the_bound() -> None:
    """Operators may fill above a capacity, up to the largest amount."""
    full = granted(begin(world()), metal=AMOUNT_MAX - 500)
    assert whole(full)["metal"] == AMOUNT_MAX
    with pytest.raises(InvalidAmount):
        granted(full, metal=1)
    with pytest.raises(InvalidAmount) as refused:
        granted(granted(full, scout=AMOUNT_MAX), crystal=1, scout=1)
    assert refused.value.name == "scout"


def test_grant_takes_any_part_of_what_a_refund_lifted_over_the_bound() -> None:
    """The bound keeps an operator from giving more, not from taking a little away."""
    state = begin(world())
    state, _ = place_order(state, world(), order_id="a", asset="mine", count=None, now_ms=NOW)
    full = granted(state, metal=AMOUNT_MAX - whole(state)["metal"])
    over, _, _ = cancel_order(full, world(), order_id="a", now_ms=NOW)
    assert whole(over)["metal"] > AMOUNT_MAX
    assert whole(granted(over, metal=-1))["metal"] == whole(over)["metal"] - 1
    with pytest.raises(InvalidAmount):
        granted(over, metal=1)


def test_grant_respects_the_highest_level_with_what_is_pending() -> None:
    """A level on order has its place below the maximum."""
    state = granted(begin(world()), well=6)
    state, _ = place_order(state, world(), order_id="a", asset="well", count=None, now_ms=NOW)
    with pytest.raises(InvalidAmount):
        granted(state, well=2)
    assert granted(state, well=1).orders[0].level == 8


def test_grant_keeps_pending_levels_one_above_what_is_built() -> None:
    """No level is skipped or built twice when the one below it moves."""
    state = begin(world())
    for name, asset in (("a", "mine"), ("b", "mine"), ("c", "well")):
        state, _ = place_order(state, world(), order_id=name, asset=asset, count=None, now_ms=NOW)
    state, events = grant(state, world(), changes={"mine": 3}, now_ms=NOW, cause="grant")
    assert [order.level for order in state.orders] == [4, 5, 1]
    assert [order.id for order in events.orders] == ["a", "b"]
    assert advance(state, world(), NOW + HOUR)[0].levels == {"mine": 5, "well": 1}


@pytest.mark.parametrize("delta", [0, True, 1.0, "5", AMOUNT_MAX + 1, -(10**30), None])
def test_grant_refuses_what_is_no_change(delta: Any) -> None:
    """A change is a nonzero strict integer within bounds."""
    with pytest.raises(InvalidAmount) as refused:
        granted(begin(world()), crystal=1, metal=delta)
    assert refused.value.name == "metal"


def test_grant_refuses_nothing_and_the_unknown() -> None:
    """Only assets of the ruleset can be granted, at least one."""
    with pytest.raises(InvalidAmount):
        granted(begin(world()))
    with pytest.raises(UnknownAsset, match=r"^the ruleset has no resource or asset 'nothing'$"):
        granted(begin(world()), metal=1, nothing=1)
    with pytest.raises(UnknownAsset, match=r"'field', only 'field:1' to 'field:3'$"):
        granted(begin(world()), field=1)


def test_grant_that_takes_makes_room_for_held_goods() -> None:
    """Held goods flow in when a grant lowers the stock."""
    state, _ = credit(
        begin(world()),
        world(),
        resources={"metal": 1600},
        now_ms=NOW,
        cause="received",
        transfer_id="t",
        overflow="hold",
    )
    assert whole(granted(state, metal=-30))["metal"] == 2000
    assert whole(granted(state, metal=-30))["held:metal"] == 70
