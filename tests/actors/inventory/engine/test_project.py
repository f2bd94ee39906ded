"""Views: an inventory at a moment, without changing it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.inventory.engine import (
    GRAINS_PER_UNIT,
    State,
    advance,
    forecast,
    grant,
    order_view,
    place_order,
    view,
)
from actors.inventory.views import BalanceView, OrderView, StockView
from tests.actors.inventory.engine.plays import Move, enrich, moves, play
from tests.actors.inventory.engine.worlds import COLONY, HOUR, NOW, SECOND, begin, world


def granted(**changes: int) -> State:
    """Return a new inventory with these changes."""
    rules = world()
    return grant(begin(rules), rules, changes=changes, now_ms=NOW, cause="grant")[0]


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
    """The moment told is the first one at which the stock is at its capacity."""
    amounts = {"metal": 500 * GRAINS_PER_UNIT - 1, "crystal": 0, "gas": 0}
    state, _ = advance(begin(world(), amounts=amounts), world(), NOW + 7)
    stock = view(state, world(), NOW + 7, version=1, tick=1).resources["metal"]
    assert stock == StockView(500, 30, 2000, NOW + 1500 * HOUR // 30 + 1)
    full = stock.full_at_ms or 0
    almost, _ = advance(state, world(), full - 1)
    there, _ = advance(state, world(), full)
    assert almost.amounts["metal"] < there.amounts["metal"] == 2000 * GRAINS_PER_UNIT


def test_view_has_no_full_moment_where_there_is_none() -> None:
    """A full stock, one that does not grow and one without capacity have no such moment."""
    state = granted(metal=1500, well=1)
    stocks = view(state, world(), NOW, version=1, tick=1).resources
    assert stocks["metal"].full_at_ms is None
    assert stocks["gas"] == StockView(0, 1700, None, None)
    drained = view(granted(burner=1), world(), NOW, version=1, tick=1)
    assert drained.resources["metal"].full_at_ms is None


def test_view_has_no_full_moment_beyond_the_calendar() -> None:
    """A moment that cannot be written is none."""
    rules = world(COLONY.replace("base_capacity = 2000", "base_capacity = 1_000_000_000_000_000"))
    stock = view(begin(rules), rules, NOW, version=1, tick=1).resources["metal"]
    assert (stock.capacity, stock.full_at_ms) == (10**15, None)


def test_view_shows_due_orders_as_done() -> None:
    """Whoever looks late sees what has come due."""
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
