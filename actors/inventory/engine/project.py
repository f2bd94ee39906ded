"""The view of an inventory at a moment, without changing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.inventory.engine.grains import GRAINS_PER_UNIT, LATEST_MS, to_grains
from actors.inventory.engine.settle import foresee, glimpse
from actors.inventory.engine.transfers import held_units
from actors.inventory.errors import ForecastTooFar
from actors.inventory.views import BalanceView, InventoryView, StockView

if TYPE_CHECKING:
    from msgspec import Raw

    from actors.inventory.engine.state import State
    from actors.inventory.memo import Memo
    from actors.inventory.ruleset import Ruleset
    from actors.inventory.views import OrderView


def view(
    state: State,
    ruleset: Ruleset,
    now_ms: int,
    *,
    version: int,
    tick: int,
    encoded: Memo[OrderView, Raw] | None = None,
) -> InventoryView:
    """Return the inventory at ``now_ms``, with all that is due by then shown as done.

    ``version``, ``tick`` and ``encoded`` are passed through. ``full_at_ms`` is None if the stock
    is full, does not grow, has no capacity, or would be full only after the year 9999.
    """
    state = glimpse(state, ruleset, now_ms)
    assets = ruleset.assets
    buildings: dict[str, int] = {}
    technologies: dict[str, int] = {}
    for address, level in state.levels.items():
        kind = assets[address].kind
        (buildings if kind == "building" else technologies)[address] = level
    return InventoryView(
        account_id=state.account_id,
        version=version,
        at_ms=state.at_ms,
        tick=tick,
        resources=_stocks(state),
        balances={
            name: BalanceView(reading.produced, reading.used, reading.factor_percent)
            for name, reading in state.flows.rates.balances.items()
        },
        buildings=buildings,
        technologies=technologies,
        units=state.units,
        orders=state.pending.views,
        encoded=encoded,
    )


def forecast(
    state: State, ruleset: Ruleset, at_ms: int, *, now_ms: int, version: int, tick: int
) -> InventoryView:
    """Return the inventory as it will be at ``at_ms`` if nothing more is ordered.

    Raises ForecastTooFar if so much changes until then that following it takes too long: the
    work of one forecast is bounded by `FORESIGHT_MAX`.
    """
    if at_ms > state.at_ms:
        state, reached_ms = foresee(state, ruleset, at_ms)
        if reached_ms < at_ms:
            raise ForecastTooFar(reached_ms, now_ms)
    return view(state, ruleset, at_ms, version=version, tick=tick)


def _stocks(state: State) -> dict[str, StockView]:
    capacities = state.flows.rates.capacity
    held = held_units(state)
    stocks: dict[str, StockView] = {}
    for name, per_hour, _ in state.flows.streams:
        amount = state.amounts[name]
        capacity = capacities[name]
        full_at_ms: int | None = None
        if capacity is not None and per_hour > 0:
            room = to_grains(capacity) - amount
            if room > 0:
                full_at_ms = state.at_ms - (-room // per_hour)
                if full_at_ms > LATEST_MS:
                    full_at_ms = None
        units = amount // GRAINS_PER_UNIT
        stocks[name] = StockView(units, per_hour, capacity, full_at_ms, held.get(name, 0))
    return stocks
