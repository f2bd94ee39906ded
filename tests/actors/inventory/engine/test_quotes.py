"""Quotes: prices, durations, and the exact first moment at which a price can be paid."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.inventory.engine import (
    GRAINS_PER_UNIT,
    State,
    advance,
    grant,
    place_order,
    quote,
)
from actors.inventory.engine.draft import Draft
from actors.inventory.engine.grains import LATEST_MS
from actors.inventory.engine.quotes import _affordable_at_ms
from actors.inventory.engine.settle import settle
from actors.inventory.errors import InvalidCount, MaxLevel, UnknownAsset
from tests.actors.inventory.engine.plays import Move, enrich, moves, play
from tests.actors.inventory.engine.worlds import HOUR, NOW, SECOND, begin, granted, world


def test_quote_tells_what_the_next_level_would_be() -> None:
    """Level, price and duration are those an order would get."""
    state = granted(mine=2)
    told = quote(state, world(), asset="mine", count=None, now_ms=NOW)
    assert (told.asset, told.kind, told.level, told.count) == ("mine", "building", 3, None)
    assert told.cost == world().cost("mine", 3)
    assert told.duration_ms == 120 * SECOND
    assert (told.affordable, told.affordable_at_ms, told.missing) == (True, NOW, {})


def test_quote_counts_pending_levels() -> None:
    """A quote is for the level after the one on order."""
    state, _ = place_order(
        begin(world()), world(), order_id="a", asset="mine", count=None, now_ms=NOW
    )
    assert quote(state, world(), asset="mine", count=None, now_ms=NOW).level == 2


def test_quote_of_units_is_for_the_whole_batch() -> None:
    """Price and duration of a batch are those of all its pieces."""
    told = quote(begin(world()), world(), asset="scout", count=4, now_ms=NOW)
    assert (told.level, told.count, told.cost) == (None, 4, {"metal": 12, "crystal": 4})
    assert told.duration_ms == 28 * SECOND


def test_quote_names_missing_prerequisites() -> None:
    """Missing prerequisites are named, and the price is shown nevertheless."""
    told = quote(begin(world()), world(), asset="optics", count=None, now_ms=NOW)
    assert told.missing == {"plant": 1}
    assert told.affordable


def test_quote_tells_the_exact_millisecond() -> None:
    """One millisecond before the moment shown, the price cannot be paid."""
    state = granted(metal=-499)
    told = quote(state, world(), asset="mine", count=None, now_ms=NOW)
    assert told.affordable_at_ms == NOW + 59 * HOUR // 30
    assert not told.affordable
    before, _ = advance(state, world(), told.affordable_at_ms - 1)
    after, _ = advance(state, world(), told.affordable_at_ms)
    assert before.amounts["metal"] < 60 * GRAINS_PER_UNIT <= after.amounts["metal"]


def test_quote_is_never_beyond_a_capacity() -> None:
    """A price above what the stock can hold can never be paid."""
    told = quote(begin(world()), world(), asset="scout", count=700, now_ms=NOW)
    assert (told.affordable, told.affordable_at_ms) == (False, None)


def test_quote_sees_a_capacity_that_is_being_built() -> None:
    """A completion on the way may bring the room the price needs."""
    state, _ = place_order(
        granted(metal=1500, crystal=200),
        world(),
        order_id="a",
        asset="store",
        count=None,
        now_ms=NOW,
    )
    told = quote(state, world(), asset="scout", count=700, now_ms=NOW)
    assert told.affordable_at_ms == NOW + 200 * HOUR // 30


def test_quote_is_none_where_nothing_comes_in() -> None:
    """Without income there is no moment."""
    state = begin(world(), amounts={"metal": 0, "crystal": 0, "gas": 0})
    state = grant(state, world(), changes={"burner": 1}, now_ms=NOW, cause="grant")[0]
    assert quote(state, world(), asset="well", count=None, now_ms=NOW).affordable_at_ms is None


def test_quote_sees_that_one_stock_sinks_while_another_rises() -> None:
    """All resources must suffice at the same moment."""
    state = granted(burner=1, crystal=-486)  # metal: 500, minus 870 an hour; crystal: 14, plus 15
    told = quote(state, world(), asset="mine", count=None, now_ms=NOW)
    assert told.affordable_at_ms == NOW + HOUR // 15
    state = granted(burner=1, crystal=-500)
    told = quote(state, world(), asset="mine", count=None, now_ms=NOW)
    assert told.affordable_at_ms is None


def test_quote_uses_what_is_held_while_a_stock_sinks() -> None:
    """Held goods keep a sinking stock at its capacity for a while."""
    full = {"metal": 2000 * GRAINS_PER_UNIT, "crystal": 0, "gas": 0}
    state = begin(world(), amounts=full, held={"metal": 870 * GRAINS_PER_UNIT})
    state = grant(state, world(), changes={"burner": 1}, now_ms=NOW, cause="grant")[0]
    draft = Draft(state, world())
    assert _affordable_at_ms(draft, {"metal": 2000, "crystal": 15}) == NOW + HOUR
    draft = Draft(state, world())
    assert _affordable_at_ms(draft, {"metal": 2000, "crystal": 16}) is None


def test_quote_does_not_count_on_held_goods_above_the_capacity() -> None:
    """Held goods never lift a stock above its capacity."""
    over = {"metal": 2870 * GRAINS_PER_UNIT, "crystal": 0, "gas": 0}
    state = begin(world(), amounts=over, held={"metal": 870 * GRAINS_PER_UNIT})
    state = grant(state, world(), changes={"burner": 1}, now_ms=NOW, cause="grant")[0]
    later = NOW + 2 * HOUR // 15
    assert _affordable_at_ms(Draft(state, world()), {"metal": 2754, "crystal": 2}) == later
    assert _affordable_at_ms(Draft(state, world()), {"metal": 2755, "crystal": 2}) is None


def test_quote_knows_the_last_millisecond_of_a_sinking_stock() -> None:
    """A stock that falls a grain short just as the other suffices is too late."""
    for fraction, expected in ((0, NOW + 2 * HOUR // 15), (-1, None)):
        stock = {"metal": 1870 * GRAINS_PER_UNIT + fraction, "crystal": 0, "gas": 0}
        state = begin(world(), amounts=stock)
        state = grant(state, world(), changes={"burner": 1}, now_ms=NOW, cause="grant")[0]
        moment = _affordable_at_ms(Draft(state, world()), {"metal": 1754, "crystal": 2})
        assert moment == expected


@pytest.mark.parametrize(
    ("asset", "count", "error"),
    [
        ("nothing", None, UnknownAsset),
        ("scout", None, InvalidCount),
        ("scout", True, InvalidCount),
        ("mine", 1, InvalidCount),
        ("optics", None, MaxLevel),
    ],
)
def test_quote_refuses_what_no_order_could_be(
    asset: str, count: Any, error: type[Exception]
) -> None:
    """A quote refuses names and counts as an order does."""
    with pytest.raises(error):
        quote(granted(optics=5), world(), asset=asset, count=count, now_ms=NOW)


def test_quote_ends_with_the_calendar() -> None:
    """An order that would finish after the year 9999 has a price, but cannot be placed."""
    late = begin(world(), at_ms=LATEST_MS - 40 * SECOND)
    assert quote(late, world(), asset="mine", count=None, now_ms=late.at_ms).duration_ms
    with pytest.raises(MaxLevel, match="the next would not be finished"):
        quote(late, world(), asset="mine", count=None, now_ms=late.at_ms + 1)


@given(
    st.lists(moves(unit_ms=SECOND), max_size=7),
    st.fixed_dictionaries({"metal": st.integers(0, 2500), "crystal": st.integers(0, 2500)}),
)
@settings(max_examples=60)
def test_affordable_moment_is_the_first_one(made: list[Move], cost: dict[str, int]) -> None:
    """Through completions, deliveries, caps and shortages: enough then, and never before."""
    rules = world()
    state = enrich(begin(rules), rules)
    for number, move in enumerate(made):
        state, _ = play(state, rules, move, number)
    moment = _affordable_at_ms(Draft(state, rules), cost)
    end = state.at_ms + 600 * SECOND if moment is None else moment
    step = max(1, (end - state.at_ms) // 50)
    for reading in (*range(state.at_ms, end, step), end - 1):
        assert reading < state.at_ms or _short(state, cost, reading)
    assert (moment is None) == bool(_short(state, cost, end))


@given(st.integers(0, 3000), st.sampled_from(["soldier", "satellite", "digger"]))
@settings(max_examples=60)
def test_affordable_moment_within_a_run_of_deliveries(metal: int, asset: str) -> None:
    """A batch that moves rates is evaluated without walking it."""
    rules = world()
    state = granted(metal=2500, mine=6, plant=2, burner=1)
    state, _ = place_order(state, rules, order_id="a", asset=asset, count=200, now_ms=NOW)
    state = msgspec.structs.replace(state, amounts={**state.amounts, "metal": 0})
    moment = _affordable_at_ms(Draft(state, rules), {"metal": metal})
    if moment is None:
        assert _short(state, {"metal": metal}, NOW + 1000 * SECOND)
    else:
        assert not _short(state, {"metal": metal}, moment)
        assert moment == NOW or _short(state, {"metal": metal}, moment - 1)


def _short(state: State, cost: dict[str, int], at_ms: int) -> dict[str, int]:
    draft = Draft(state, world())
    settle(draft, at_ms)
    return draft.shortfall(cost)
