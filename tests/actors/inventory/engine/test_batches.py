"""Units that move rates: a run of deliveries in closed form equals one delivery at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.inventory.engine import GRAINS_PER_UNIT, advance, grant, place_order
from actors.inventory.engine.batches import moves_rates, next_shift
from actors.inventory.engine.draft import Draft
from actors.inventory.engine.pending import Pending
from actors.inventory.errors import InvalidCount
from tests.actors.inventory.engine.naive import Naive
from tests.actors.inventory.engine.worlds import (
    NOW,
    SECOND,
    begin,
    causes,
    essence,
    world,
)

if TYPE_CHECKING:
    from actors.inventory.engine import State

MOVERS = ("satellite", "soldier", "digger", "courier", "barge")


def ordered(asset: str, count: int, **changes: int) -> State:
    """Return an inventory with these changes and a running batch."""
    rules = world()
    rich = {"metal": 400_000, "crystal": 100_000, **changes}
    state, _ = grant(begin(rules), rules, changes=rich, now_ms=NOW, cause="grant")
    state, _ = place_order(state, rules, order_id="a", asset=asset, count=count, now_ms=NOW)
    spent = {name: -(amount // 3_600_000) for name, amount in state.amounts.items() if amount}
    rest = {name: left for name, left in spent.items() if left}
    return grant(state, rules, changes=rest, now_ms=NOW, cause="grant")[0]


@pytest.mark.parametrize("asset", MOVERS)
def test_units_with_effects_move_rates(asset: str) -> None:
    """Whatever a unit makes, eats, powers or stores counts."""
    assert moves_rates(world(), asset)
    assert not moves_rates(world(), "scout")


@given(
    st.sampled_from(MOVERS),
    st.integers(1, 120),
    st.fixed_dictionaries(
        {"mine": st.integers(1, 5), "plant": st.integers(1, 3), "refining": st.integers(1, 3)}
    ),
    st.integers(0, 900),
    st.integers(0, 900),
    st.sampled_from([0, 1, 1990, 1999]),
)
@example("satellite", 100, {"mine": 5, "plant": 1, "refining": 1}, 700, 800, 0)
@example("soldier", 120, {"mine": 2, "plant": 3, "refining": 1}, 600, 0, 1999)
@settings(max_examples=80)
def test_a_batch_that_moves_rates_equals_second_by_second(
    asset: str, count: int, levels: dict[str, int], first: int, second: int, metal: int
) -> None:
    """Energy, upkeep, production and room of units grow delivery by delivery, exactly."""
    rules = world()
    state = ordered(asset, count, **levels)
    if metal:
        state, _ = grant(state, rules, changes={"metal": metal}, now_ms=NOW, cause="grant")
    oracle = Naive(state, rules)
    for seconds in (first, second):
        oracle.run(seconds)
        state, _ = advance(state, rules, state.at_ms + seconds * SECOND)
        assert (state.amounts, state.units) == (oracle.amounts, oracle.units)


@given(
    st.sampled_from(MOVERS),
    st.sampled_from(MOVERS),
    st.integers(1, 90),
    st.integers(1, 60),
    st.integers(0, 500),
)
@example("courier", "courier", 90, 60, 500)
@example("courier", "satellite", 90, 60, 500)
@example("courier", "soldier", 90, 60, 500)
@settings(max_examples=80)
def test_two_batches_that_move_rates_equal_second_by_second(
    first: str, second: str, count: int, more: int, seconds: int
) -> None:
    """Two batches side by side, alike or opposed, are as exact as one."""
    rules = world()
    state = ordered(first, count, **{"mine": 4, "plant": 2, "field:1": 1})
    changes = {"metal": 120, "crystal": 120}
    state, _ = grant(state, rules, changes=changes, now_ms=NOW, cause="grant")
    state, _ = place_order(state, rules, order_id="b", asset=second, count=more, now_ms=NOW)
    oracle = Naive(state, rules)
    oracle.run(seconds)
    state, _ = advance(state, rules, state.at_ms + seconds * SECOND)
    assert (state.amounts, state.units) == (oracle.amounts, oracle.units)


@given(st.sampled_from(MOVERS), st.lists(st.integers(0, 4_000_000), max_size=5))
@settings(max_examples=40)
def test_a_run_may_be_split_anywhere(asset: str, readings: list[int]) -> None:
    """Reading in the middle of a delivery changes nothing."""
    rules = world()
    state = once = ordered(asset, 300, mine=5, plant=1, refining=2)
    for reading in sorted(readings):
        state, _ = advance(state, rules, NOW + reading)
    end = NOW + 4_000_000
    assert essence(advance(state, rules, end)[0]) == essence(advance(once, rules, end)[0])


@pytest.mark.parametrize("asset", ["satellite", "soldier", "courier"])
def test_a_million_units_take_few_steps(asset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The work of a settle does not grow with the batch."""
    steps = 0

    def counted(*args: object) -> object:
        nonlocal steps
        steps += 1
        return next_shift(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("actors.inventory.engine.settle.next_shift", counted)
    rules = world()
    state = ordered(asset, 1, mine=5, plant=1)
    batch = msgspec.structs.replace(
        state.orders[0],
        count=1_000_000,
        finishes_ms=NOW + 1_000_000 * state.orders[0].piece_ms,
    )
    state = msgspec.structs.replace(state, pending=Pending.of([batch]))
    state, events = advance(state, rules, NOW + 1_000_000 * batch.piece_ms)
    assert state.units[asset] == 1_000_000
    assert steps < 250  # a hundred per cent of energy, each in a few steps
    assert causes(events) == ["unit-completed", "production"]


@pytest.mark.parametrize(("asset", "most"), [("digger", 2_000), ("barge", 2_000)])
def test_a_batch_that_must_be_walked_is_bounded(asset: str, most: int) -> None:
    """Without a known closed form, an order is limited to so few units that walking is short."""
    assert len(ordered(asset, most).orders) == 1
    with pytest.raises(InvalidCount):
        ordered(asset, most + 1)


def test_a_rate_that_turns_within_a_run_meets_its_capacity_on_the_way() -> None:
    """A stock that first fills up and then sinks starts sinking from its capacity, not above it."""
    rules = world()
    state = ordered("soldier", 120, mine=2, plant=3)
    state, _ = grant(state, rules, changes={"metal": 1999}, now_ms=NOW, cause="grant")
    assert state.flows.rates.per_hour["metal"] > 0
    seconds = 100 * 5
    full, _ = advance(state, rules, NOW + 100 * SECOND)
    oracle = Naive(state, rules)
    oracle.run(seconds)
    late, _ = advance(state, rules, NOW + seconds * SECOND)
    assert full.amounts["metal"] == 2000 * GRAINS_PER_UNIT
    assert late.flows.rates.per_hour["metal"] < 0
    assert late.amounts == oracle.amounts


def test_next_shift_of_a_batch_whose_deliveries_are_all_beyond_the_limit() -> None:
    """Before the next delivery nothing can change."""
    state = ordered("soldier", 5)
    draft = Draft(state, world())
    assert next_shift(draft, list(state.orders), NOW + 5 * SECOND - 1) == (None, None)
