"""Costs: from base, growth and rounding, from formulas or from lists, to a price per level.

They also determine the number of levels: ``max_level`` if set, else the length of the lists, else
the default, ending before the first level that would cost more than an account can hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from actors.inventory.ruleset.errors import FormulaError, TooLarge
from actors.inventory.ruleset.exact import RESULT_MAX, Number, bounded
from actors.inventory.ruleset.names import OWN_LEVEL
from actors.inventory.ruleset.rounding import Rounding, parse_rounding
from actors.inventory.ruleset.schema import SeriesTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.inventory.ruleset.schema import (
        AssetTable,
        LeveledDefaults,
        TechnologyTable,
        UnitDefaults,
        UnitTable,
        Value,
    )
    from actors.inventory.ruleset.scope import Costs, Scope

HOLDING_MAX = 10**15
"""The maximum of a resource in an account: a level that costs more could never be bought."""

LEVELS_MAX = 1000
"""The maximum number of levels of one asset, as in `max_level`."""

_Price: TypeAlias = Callable[[int], Number]


@dataclass(frozen=True, slots=True)
class Levels:
    """How many levels an asset has; ``stated`` by the file, or as many as can be paid for."""

    last: int
    stated: bool


def leveled_costs(
    scope: Scope, where: str, table: TechnologyTable, defaults: LeveledDefaults
) -> Costs:
    """Return the price of each level from 1; its length is the asset's maximum level."""
    levels = _levels(scope, where, table, defaults)
    growth = defaults.cost_growth if table.cost_growth is None else table.cost_growth
    factor = scope.constant(f"{where}.cost_growth", growth)
    if factor is not None and factor <= 0:
        scope.report(f"{where}.cost_growth", "must be more than 0")
        factor = None
    rounding = _rounding(scope, where, table.cost_rounding or defaults.cost_rounding)
    prices = {
        resource: _price(scope, f"{where}.cost.{resource}", value, factor or 1)
        for resource, value in table.cost.items()
        if scope.known(f"{where}.cost.{resource}", "resource", scope.document.resources, resource)
    }
    return _priced(scope, where, prices, levels, rounding)


def unit_cost(scope: Scope, where: str, table: UnitTable, defaults: UnitDefaults) -> Costs:
    """Return the price of one unit, as the only element."""
    rounding = _rounding(scope, where, table.cost_rounding or defaults.cost_rounding)
    price: dict[str, int] = {}
    for resource, value in table.cost.items():
        at = f"{where}.cost.{resource}"
        if not scope.known(at, "resource", scope.document.resources, resource):
            continue
        if isinstance(value, list | SeriesTable):
            scope.report(at, "a unit has no levels: give one number or formula")
            continue
        amount = scope.constant(at, value)
        if amount is not None and amount < 0:
            scope.report(at, "a cost cannot be negative")
        elif amount is not None and rounding.applied(amount):
            price[resource] = int(rounding.applied(amount))
    return (MappingProxyType(price),)


def list_lengths(table: AssetTable) -> dict[str, int]:
    """Return, by key, how many levels above 0 each list covers."""
    from_one: dict[str, Value] = {f"cost.{name}": value for name, value in table.cost.items()}
    if table.duration is not None:
        from_one["duration"] = table.duration
    from_zero: dict[str, Value] = {
        f"{section}.{name}": value
        for section, values in effect_sections(table).items()
        for name, value in values.items()
    }
    return _lengths(from_one, 0) | _lengths(from_zero, 1)


def _lengths(values: Mapping[str, Value], unbuilt: int) -> dict[str, int]:
    listed = {
        key: value.levels if isinstance(value, SeriesTable) else value
        for key, value in values.items()
        if isinstance(value, list | SeriesTable)
    }
    return {key: len(levels) - unbuilt for key, levels in listed.items()}


def effect_sections(table: AssetTable) -> dict[str, dict[str, Value]]:
    """Return the tables of the asset's effects, by their key."""
    return {
        "produces": table.produces,
        "consumes": table.consumes,
        "balance": table.balance,
        "capacity": table.capacity,
    }


def _levels(scope: Scope, where: str, table: TechnologyTable, defaults: LeveledDefaults) -> Levels:
    lengths = list_lengths(table)
    shortest = min(lengths, key=lengths.__getitem__, default="")
    last = table.max_level or lengths.get(shortest, defaults.max_level)
    if not 1 <= last <= LEVELS_MAX:
        scope.report(where, f"its lists cover {last} levels; 1 to {LEVELS_MAX} are allowed")
    for key, length in lengths.items():
        if length != last:
            # Either list may be wrong: unless the number is stated, name both.
            other = f"not {last}" if table.max_level else f"but {shortest} for {last}"
            named = [key] if table.max_level else [key, shortest]
            paid = all(each.startswith(("cost", "duration")) for each in named)
            zero = "" if paid else " (lists of effects begin at level 0)"
            levels = "level" if length == 1 else "levels"
            scope.report(f"{where}.{key}", f"a list for {length} {levels}, {other}{zero}")
    return Levels(last, stated=table.max_level is not None or bool(lengths))


def _rounding(scope: Scope, where: str, text: str) -> Rounding:
    try:
        rounding = parse_rounding(text)
    except ValueError as error:
        scope.report(f"{where}.cost_rounding", str(error))
        return Rounding("floor")
    if rounding.step.denominator != 1:
        scope.report(f"{where}.cost_rounding", "prices are whole numbers: round to whole steps")
    return rounding


def _price(scope: Scope, where: str, value: Value, growth: Number) -> _Price:
    """Return the unrounded price by level."""
    if isinstance(value, list | SeriesTable):
        amounts = scope.series(where, value) or ()
        return lambda level: amounts[level - 1] if level <= len(amounts) else 0
    if isinstance(value, str):
        formula = scope.formula(where, value, OWN_LEVEL)
        if formula is None:
            return lambda _: 0
        return lambda level: formula.value({**scope.parameters, "level": level, "L": level})
    base = scope.constant(where, value) or 0
    powers: list[Number] = [1]

    def grown(level: int) -> Number:
        while len(powers) < level:
            powers.append(bounded(powers[-1] * growth))
        return bounded(base * powers[level - 1])

    return grown


def _priced(
    scope: Scope, where: str, prices: Mapping[str, _Price], levels: Levels, rounding: Rounding
) -> Costs:
    costs: list[Mapping[str, int]] = []
    most = RESULT_MAX if levels.stated else HOLDING_MAX
    for level in range(1, levels.last + 1):
        if not scope.take(f"{where}.cost", len(prices)):
            return (MappingProxyType[str, int]({}),) * levels.last
        price: dict[str, int] = {}
        for resource, amount_at in prices.items():
            try:
                amount = _whole(amount_at(level), rounding, most)
            except TooLarge as error:
                if levels.stated or level == 1:
                    scope.report(f"{where}.cost.{resource}", f"at level {level}: {error}")
                return tuple(costs)
            except FormulaError as error:
                scope.report(f"{where}.cost.{resource}", f"at level {level}: {error}")
                return tuple(costs)
            if amount:
                price[resource] = amount
        costs.append(MappingProxyType(price))
    return tuple(costs)


def _whole(amount: Number, rounding: Rounding, most: int) -> int:
    if amount < 0:
        raise FormulaError("a cost cannot be negative")
    result = int(rounding.applied(amount))
    if result > most:
        raise TooLarge(f"a cost of {result} is more than anyone can pay")
    return result
