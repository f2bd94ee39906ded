"""An asset's effects: its duration and its flows, compiled to tables."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from actors.inventory.ruleset.schema import SeriesTable
from actors.inventory.ruleset.sheets import Effects, Flow
from actors.inventory.ruleset.tables import Ratio, Table

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from actors.inventory.ruleset.exact import Number
    from actors.inventory.ruleset.schema import AssetTable, UnitDefaults, Value
    from actors.inventory.ruleset.scope import Scope, Span

NOTHING: Table[Ratio] = Table(((0, 1),), 0)
NO_LEVELS = "a unit has no levels: give one number or formula"


def duration_table(
    scope: Scope, where: str, table: AssetTable, defaults: UnitDefaults, span: Span
) -> Table[Ratio]:
    """Return exact seconds by level, before modifiers; ``span`` has the costs."""
    value = defaults.duration if table.duration is None else table.duration
    at = f"{where}.duration"
    if value is None:
        scope.report(at, "is missing")
        return NOTHING
    if isinstance(value, list | SeriesTable) and not span.leveled:
        scope.report(at, NO_LEVELS)
        return NOTHING
    seconds = scope.table(at, value, span)
    if seconds is None or not _none_negative(scope, at, seconds):
        return NOTHING
    return _ratios(seconds)


def effects_of(scope: Scope, where: str, table: AssetTable, span: Span) -> Effects:
    """Return what the asset produces, consumes, balances and stores."""
    resources, balances = scope.document.resources, scope.document.balances
    for name in table.capacity:
        if name in resources and resources[name].base_capacity is None:
            message = f"{name} has no limit: give it a base_capacity"
            scope.report(f"{where}.capacity.{name}", message)
    produced = _tables(scope, f"{where}.produces", table.produces, span, resources)
    consumed = _tables(scope, f"{where}.consumes", table.consumes, span, resources)
    balance = _tables(scope, f"{where}.balance", table.balance, span, balances, signed=True)
    capacity = _tables(scope, f"{where}.capacity", table.capacity, span, resources)
    if span.leveled:
        capacity = {name: _added_room(room) for name, room in capacity.items()}
    return Effects(
        makes=_flows(produced) + _flows(consumed, sign=-1),
        balance=_flows(balance),
        capacity=_flows(capacity),
        draws=tuple(
            name
            for name, values in balance.items()
            if any(numerator < 0 for numerator, _ in values.values)
        ),
    )


def shares_by_level(
    scope: Scope, where: str, value: float | str, span: Span, *, zero: bool
) -> tuple[Ratio, ...]:
    """Return a modifier's factors or shares from level 0; ``zero`` says whether 0 is allowed."""
    table = scope.table(where, value, span, alone=True)
    if table is None or not _none_negative(scope, where, table):
        return ((1, 1),)
    if not zero and 0 in table.values:
        scope.report(where, "a factor must be more than 0")
    return _ratios(table).values


def _tables(
    scope: Scope,
    where: str,
    values: Mapping[str, Value],
    span: Span,
    known: Collection[str],
    *,
    signed: bool = False,
) -> dict[str, Table[Ratio]]:
    what = "balance" if signed else "resource"
    tables: dict[str, Table[Ratio]] = {}
    for name, value in values.items():
        at = f"{where}.{name}"
        if not scope.known(at, what, known, name):
            continue
        if isinstance(value, list | SeriesTable) and not span.leveled:
            scope.report(at, NO_LEVELS)
            continue
        per_level = isinstance(value, int | float) and span.leveled
        table = scope.table(at, f"{value} * level" if per_level else value, span)
        if table is not None and (signed or _none_negative(scope, at, table)):
            tables[name] = _ratios(table)
    return tables


def _flows(tables: Mapping[str, Table[Ratio]], *, sign: int = 1) -> tuple[Flow, ...]:
    return tuple(
        Flow(
            name,
            sign,
            exact=table,
            whole=Table(
                tuple(sign * (top // low) for top, low in table.values), table.last, table.axes
            ),
        )
        for name, table in tables.items()
    )


def _none_negative(scope: Scope, where: str, table: Table[Number]) -> bool:
    if min(table.values, default=0) < 0:
        scope.report(where, "is less than 0")
        return False
    return True


def _added_room(table: Table[Ratio]) -> Table[Ratio]:
    """Return what each level adds to the room there is with nothing built."""
    bare = table.values[0][0] // table.values[0][1]
    return replace(table, values=tuple((top // low - bare, 1) for top, low in table.values))


def _ratios(table: Table[Number]) -> Table[Ratio]:
    ratios = tuple((value.numerator, value.denominator) for value in table.values)
    return Table(ratios, table.last, table.axes)
