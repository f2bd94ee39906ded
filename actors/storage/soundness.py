"""Checks many units at once for faults; pure.

Nearly always there are none. All values of a type are checked at once, whatever their columns, so
that a value costs a small part of what it costs alone in `validation`, which says what is wrong,
and where.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import repeat
from operator import itemgetter, methodcaller
from typing import TYPE_CHECKING, Final, TypeAlias

from actors.storage.operations import Create, Update
from actors.storage.tables import ColumnType, are_values
from actors.storage.validation import row_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from actors.storage.operations import Operation
    from actors.storage.tables import Table

_VALUES: Final = methodcaller("values")

Rows: TypeAlias = "defaultdict[tuple[str, ...], list[Mapping[str, object]]]"
"""Rows, or their keys, by table and column names."""
Values: TypeAlias = "defaultdict[tuple[ColumnType, bool], list[object]]"
"""Values by the type of their column, and whether it may be null."""


def are_sound(units: Sequence[Sequence[Operation]], tables: Mapping[str, Table]) -> bool:
    """Whether no unit has a fault that `validation.unit_faults` would name. Never raises."""
    try:
        return _are_sound(units, tables)
    # One holds something that is not an operation.
    except Exception:  # noqa: BLE001
        return False


def _are_sound(units: Sequence[Sequence[Operation]], tables: Mapping[str, Table]) -> bool:
    created: Rows = defaultdict(list)
    keys: Rows = defaultdict(list)
    changed: Rows = defaultdict(list)
    expected: set[str] = set()
    values: Values = defaultdict(list)
    for operations in units:
        for operation in operations:
            table = operation.table
            if isinstance(operation, Create):
                created[table, *operation.values].append(operation.values)
                continue
            keys[table, *operation.key].append(operation.key)
            if isinstance(operation, Update):
                changed[table, *operation.values].append(operation.values)
            if operation.version is not None:
                expected.add(table)
                values[ColumnType.BIGINT, False].append(operation.version)
    return (
        all(units)
        and _fit(created, tables, _make_a_row, values)
        and _fit(keys, tables, _make_a_key, values)
        and _fit(changed, tables, _may_change, values)
        and all(are_values(type_, each, nullable=null) for (type_, null), each in values.items())
        and all(tables[name].versioned for name in expected)
        and (
            _touch_different_rows((*created.items(), *keys.items()), tables)
            or all(_touches_each_row_once(operations, tables) for operations in units)
        )
    )


def _fit(
    rows: Rows,
    tables: Mapping[str, Table],
    may_be: Callable[[Table, set[str]], bool],
    values: Values,
) -> bool:
    """Whether all have the columns that they may have; adds their values to ``values``."""
    for (name, *columns), alike in rows.items():
        table = tables.get(name)
        if table is None or not may_be(table, set(columns)):
            return False
        by_column = zip(*map(_VALUES, alike), strict=True)
        for column, given in zip(map(table.by_name.__getitem__, columns), by_column, strict=True):
            values[column.type, column.nullable].extend(given)
    return True


def _make_a_row(table: Table, columns: set[str]) -> bool:
    return table.required <= columns and columns.issubset(table.given)


def _make_a_key(table: Table, columns: set[str]) -> bool:
    return columns == set(table.key)


def _may_change(table: Table, columns: set[str]) -> bool:
    return bool(columns) and columns.issubset(table.given) and columns.isdisjoint(table.key)


def _touch_different_rows(
    groups: Iterable[tuple[tuple[str, ...], list[Mapping[str, object]]]],
    tables: Mapping[str, Table],
) -> bool:
    """Whether no row is touched twice, not even by two units, as is nearly always so."""
    count = 0
    rows: set[tuple[object, ...]] = set()
    for (name, *_), alike in groups:
        key = [map(itemgetter(column), alike) for column in tables[name].key]
        rows.update(zip(repeat(name), *key))
        count += len(alike)
    return len(rows) == count


def _touches_each_row_once(operations: Sequence[Operation], tables: Mapping[str, Table]) -> bool:
    rows = {row_of(operation, tables[operation.table]) for operation in operations}
    return len(rows) == len(operations)
