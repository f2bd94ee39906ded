"""Views: an inventory at a moment, without changing it."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.inventory.engine import (
    GRAINS_PER_UNIT,
    State,
    advance,
    credit,
    forecast,
    next_due_ms,
    order_view,
    place_order,
    quote,
    view,
)
from actors.inventory.errors import ForecastTooFar
from actors.inventory.views import BalanceView, OrderView, StockView
from tests.actors.inventory.engine.plays import Move, enrich, moves, play
from tests.actors.inventory.engine.worlds import COLONY, HOUR, NOW, SECOND, begin, granted, world

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.inventory.ruleset import Ruleset


def test_view_shows_everything_owned() -> None:
    """Assets appear by kind, the version and tick as they were handed in."""
    state = granted(**{"field:2": 3, "plant": 1, "optics": 2, "scout": 4})
    shown = view(state, world(), NOW, version=7, tick=1234)
    assert (shown.account_id, shown.version, shown.tick, shown.at_ms) == ("account", 7, 1234, NOW)
    assert shown.buildings == {"field:2": 3, "plant": 1}
    assert shown.technologies == {"optics": 2}
    assert shown.units == {"scout": 4}
    assert shown.balances == {"energy": BalanceView(13, 0, 100)}


def test_view_projects_the_stocks_to_the_moment() -> None:
    """Amounts are floors at the moment of the view; the state stays as it was."""
    state = begin(world())
    shown = view(state, world(), NOW + HOUR + HOUR // 30 - 1, version=1, tick=1)
    assert shown.resources["metal"].amount == 530
    assert state.at_ms == NOW
    assert shown.at_ms == NOW + HOUR + HOUR // 30 - 1


def test_view_tells_when_a_stock_is_full() -> None:
    """The moment shown is the first at which the stock is at its capacity."""
    amounts = {"metal": 500 * GRAINS_PER_UNIT - 1, "crystal": 0, "gas": 0}
    state, _ = advance(begin(world(), amounts=amounts), world(), NOW + 7)
    stock = view(state, world(), NOW + 7, version=1, tick=1).resources["metal"]
    assert stock == StockView(500, 30, 2000, NOW + 1500 * HOUR // 30 + 1)
    full = stock.full_at_ms or 0
    almost, _ = advance(state, world(), full - 1)
    there, _ = advance(state, world(), full)
    assert almost.amounts["metal"] < there.amounts["metal"] == 2000 * GRAINS_PER_UNIT


def test_view_has_no_full_moment_where_there_is_none() -> None:
    """A full stock, one that does not grow and one without a capacity have no such moment."""
    state = granted(metal=1500, well=1)
    stocks = view(state, world(), NOW, version=1, tick=1).resources
    assert stocks["metal"].full_at_ms is None
    assert stocks["gas"] == StockView(0, 1700, None, None)
    drained = view(granted(burner=1), world(), NOW, version=1, tick=1)
    assert drained.resources["metal"].full_at_ms is None


def test_view_has_no_full_moment_beyond_the_calendar() -> None:
    """A moment that cannot be written is omitted."""
    rules = world(COLONY.replace("base_capacity = 2000", "base_capacity = 1_000_000_000_000_000"))
    stock = view(begin(rules), rules, NOW, version=1, tick=1).resources["metal"]
    assert (stock.capacity, stock.full_at_ms) == (10**15, None)


def test_view_shows_what_is_held_beside_each_stock() -> None:
    """Goods that wait for room are shown in whole units; clients' sums with them are exact."""
    full, _ = credit(
        granted(burner=1),
        world(),
        resources={"metal": 1610},
        now_ms=NOW,
        cause="received",
        transfer_id="t",
        overflow="hold",
    )

    def stock(after_ms: int) -> StockView:
        return view(full, world(), NOW + after_ms, version=1, tick=1).resources["metal"]

    assert stock(0) == StockView(2000, -870, 2000, None, 110)
    assert view(full, world(), NOW, version=1, tick=1).resources["crystal"].held == 0
    for after_ms in range(0, HOUR, HOUR // 100):
        left = (2110 * HOUR - 870 * after_ms) // HOUR
        shown = stock(after_ms)
        assert (shown.amount, shown.held) == (min(left, 2000), max(0, left - 2000))


def test_view_shows_due_orders_as_done() -> None:
    """A late look shows orders that have come due as done."""
    state, _ = place_order(
        begin(world()), world(), order_id="a", asset="well", count=None, now_ms=NOW
    )
    shown = view(state, world(), NOW + 20 * SECOND, version=1, tick=1)
    assert (shown.buildings, shown.orders) == ({"well": 1}, ())
    assert view(state, world(), NOW + 20 * SECOND - 1, version=1, tick=1).buildings == {}


def test_view_shows_pending_orders() -> None:
    """An order shows its receipt, state and times."""
    state, _ = place_order(
        begin(world()), world(), order_id="a", asset="well", count=None, now_ms=NOW
    )
    expected = OrderView(
        id="a",
        asset="well",
        kind="building",
        level=1,
        count=None,
        cost={"metal": 40},
        state="running",
        placed_at_ms=NOW,
        starts_at_ms=NOW,
        finishes_at_ms=NOW + 20 * SECOND,
    )
    assert view(state, world(), NOW, version=1, tick=1).orders == (expected,)
    assert order_view(state.orders[0]) == expected


def test_view_of_the_past_shows_the_settled_state() -> None:
    """A clock that lags behind the record shows the record."""
    assert view(begin(world()), world(), NOW - 5, version=1, tick=1).at_ms == NOW


@given(st.lists(moves(), max_size=8), st.integers(0, 20 * HOUR))
@settings(max_examples=40)
def test_forecast_is_what_will_be(made: list[Move], span: int) -> None:
    """If nothing more is ordered, the forecast comes true to the last unit."""
    rules = world()
    state = enrich(begin(rules), rules)
    for number, move in enumerate(made):
        state, _ = play(state, rules, move, number)
    at_ms = state.at_ms + span
    foretold = forecast(state, rules, at_ms, now_ms=NOW, version=1, tick=1)
    lived, _ = advance(state, rules, state.at_ms + span // 3)
    lived, _ = advance(lived, rules, at_ms)
    assert foretold == view(lived, rules, at_ms, version=1, tick=1)


YARD = """
title = "Yard"
[resources.metal]
start = 1_000_000_000
[resources.gold]
base_per_hour = 1
[resources.ore]
base_capacity = 1
[balances.energy]
[queues.yard]
slots = 4
length = 500
[defaults.units]
queue = "yard"
[units.giver]
cost = { metal = 1 }
duration = 30
balance = { energy = 20 }
[units.taker]
cost = { metal = 1 }
duration = 30
balance = { energy = -20 }
produces = { gold = 1 }
[units.drifter]
cost = { metal = 1 }
duration = 31
balance = { energy = -20 }
produces = { gold = 1 }
[units.barge]
cost = { metal = 1 }
duration = 30
capacity = { ore = 1 }
[units.half]
cost = { metal = 1 }
duration = 30
produces = { gold = 0.5 }
[units.statue]
cost = { gold = 1_000_000_000 }
duration = 1
"""
LARGE = YARD + "".join(
    f"""
[buildings.mine{number}]
queue = "yard"
max_level = 50
cost = {{ metal = 1 }}
cost_growth = 1
duration = 30
produces = {{ metal = "10 * level" }}
consumes = {{ gold = "2 * level" }}
"""
    for number in range(150)
)
"""A ruleset of 150 buildings that all move rates."""
YEAR = 365 * 24 * HOUR
MILLION = 1_000_000


def yard(*batches: tuple[str, int | None], rules: Ruleset | None = None) -> State:
    """Return an inventory in which these batches were ordered, one each second."""
    rules = rules or world(YARD)
    state = begin(rules)
    for number, (asset, count) in enumerate(batches):
        state, _ = place_order(
            state,
            rules,
            order_id=f"o{number}",
            asset=asset,
            count=count,
            now_ms=NOW + number * SECOND,
        )
    return state


CALLS_MAX = 400_000
"""Half as many again as the most expensive look makes."""


def calls_of(look: Callable[[], object]) -> int:
    """Count the calls a look makes, of Python and C functions: the same on every machine."""
    calls = 0

    def count(_frame: object, event: str, _what: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        look()
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize(
    "batches",
    [
        [("giver", MILLION), ("drifter", MILLION)],
        [("barge", 2_000)],
        [("giver", 10)] * 400,
        [("giver", MILLION), ("taker", MILLION)],
        [("giver", MILLION), ("taker", MILLION), ("drifter", MILLION)],
        [("barge", 20)] * 400,
    ],
    ids=["drifting apart", "walked", "many", "to and fro", "three", "many walked"],
)
def test_look_ahead_costs_little_whatever_is_on_order(batches: list[tuple[str, int]]) -> None:
    """A forecast over years and a quote are some 50 ms of work at most, refused or not."""
    rules, state = world(YARD), yard(*batches)

    def ahead() -> None:
        with suppress(ForecastTooFar):
            forecast(state, rules, NOW + 3 * YEAR, now_ms=NOW, version=1, tick=1)

    def priced() -> None:
        quote(state, rules, asset="statue", count=1, now_ms=NOW)

    assert calls_of(ahead) < CALLS_MAX
    assert calls_of(priced) < CALLS_MAX


@pytest.mark.parametrize(
    "orders",
    [[("barge", 2_000)] * 2, [(f"mine{number}", None) for number in range(150)] * 3],
    ids=["walked", "levels"],
)
def test_look_ahead_costs_little_however_large_the_ruleset(
    orders: list[tuple[str, int | None]],
) -> None:
    """Deriving the rates anew is dearer the more there is in the ruleset: fewer are followed."""
    rules = world(LARGE)
    state = yard(*orders, rules=rules)

    def ahead() -> None:
        with suppress(ForecastTooFar):
            forecast(state, rules, NOW + 3 * YEAR, now_ms=NOW, version=1, tick=1)

    assert calls_of(ahead) < CALLS_MAX
    assert calls_of(lambda: quote(state, rules, asset="statue", count=1, now_ms=NOW)) < CALLS_MAX


@pytest.mark.parametrize(
    "batches",
    [
        [("barge", 2_000)],
        [("half", MILLION)] * 2,
        [("giver", MILLION), ("taker", MILLION)],
        [("taker", MILLION), ("drifter", MILLION), ("giver", MILLION)],
    ],
    ids=["never a series", "fractions", "to and fro", "three"],
)
def test_reading_costs_little_however_large_the_ruleset(batches: list[tuple[str, int]]) -> None:
    """Batches that must be walked are touched the sooner the dearer their deliveries are."""
    rules = world(LARGE)
    state = yard(*batches, rules=rules)
    due_ms = next_due_ms(state, rules)
    assert due_ms is not None
    assert calls_of(lambda: view(state, rules, due_ms - 1, version=1, tick=1)) < CALLS_MAX / 8


def test_batch_that_is_foreseen_is_touched_as_seldom_under_a_large_ruleset() -> None:
    """It is not walked, so its deliveries cost nothing more there."""
    rules = world(LARGE)
    assert next_due_ms(yard(("giver", MILLION), rules=rules), rules) == next_due_ms(
        yard(("giver", MILLION)), world(YARD)
    )


def test_forecast_too_far_tells_how_far_it_reaches() -> None:
    """Batches that flip a balance with every piece are followed exactly, for a while."""
    rules, state = world(YARD), yard(("giver", MILLION), ("taker", MILLION))
    with pytest.raises(ForecastTooFar) as refusal:
        forecast(state, rules, NOW + YEAR, now_ms=NOW, version=1, tick=1)
    at_ms = refusal.value.at_ms
    assert at_ms > NOW + HOUR
    assert str(refusal.value).endswith(f"at most {(at_ms - NOW) // 1000} seconds now")
    foretold = forecast(state, rules, at_ms, now_ms=NOW, version=1, tick=1)
    lived = state
    for moment in range(NOW, at_ms, HOUR // 4):
        lived, _ = advance(lived, rules, moment)
    lived, _ = advance(lived, rules, at_ms)
    assert foretold == view(lived, rules, at_ms, version=1, tick=1)


def test_price_beyond_what_can_be_foreseen_has_no_moment() -> None:
    """A quote looks as far ahead as a forecast does when balances flip with every piece."""
    rules = world(YARD)
    drifting = yard(("giver", MILLION), ("drifter", MILLION))
    assert quote(drifting, rules, asset="statue", count=1, now_ms=NOW).affordable_at_ms is not None
    turning = yard(("giver", MILLION), ("taker", MILLION))
    assert quote(turning, rules, asset="statue", count=1, now_ms=NOW).affordable_at_ms is None


@pytest.mark.parametrize("batch", [("giver", MILLION), ("taker", MILLION), ("barge", 2_000)])
def test_one_batch_is_foreseen_to_its_end(batch: tuple[str, int]) -> None:
    """However many pieces one order has, a forecast reaches beyond them."""
    rules, state = world(YARD), yard(batch)
    foretold = forecast(state, rules, NOW + 3 * YEAR, now_ms=NOW, version=1, tick=1)
    assert foretold.units == {batch[0]: batch[1]}
