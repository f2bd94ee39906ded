"""Checks many units at once for faults; pure.

Nearly always there are none. Rows with the same columns are checked column by column, so that a
value costs a small part of what it costs alone in `validation`, which says what is wrong, and
where.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import repeat
from operator import itemgetter, methodcaller
from typing import TYPE_CHECKING, Final, TypeAlias

from actors.storage.operations import Create, Update
from actors.storage.validation import row_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from actors.storage.operations import Operation
    from actors.storage.tables import Table

_VALUES: Final = methodcaller("values")

Rows: TypeAlias = "defaultdict[tuple[str, ...], list[Mapping[str, object]]]"
"""Rows, or their keys, by table and column names."""


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
    for operations in units:
        for operation in operations:
            table = operation.table
            if isinstance(operation, Create):
                values = operation.values
                created[table, *values].append(values)
                continue
            keys[table, *operation.key].append(operation.key)
            if isinstance(operation, Update):
                changed[table, *operation.values].append(operation.values)
            if operation.version is not None:
                expected.add(table)
    return (
        all(units)
        and _fit(created, tables, _make_a_row)
        and _fit(keys, tables, _make_a_key)
        and _fit(changed, tables, _may_change)
        and all(tables[name].versioned for name in expected)
        and (
            _touch_different_rows((*created.items(), *keys.items()), tables)
            or all(_touches_each_row_once(operations, tables) for operations in units)
        )
    )


def _fit(
    rows: Rows, tables: Mapping[str, Table], may_be: Callable[[Table, set[str]], bool]
) -> bool:
    for (name, *columns), alike in rows.items():
        table = tables.get(name)
        if table is None or not may_be(table, set(columns)):
            return False
        for column, values in zip(columns, zip(*map(_VALUES, alike), strict=True), strict=True):
            if not table.by_name[column].takes(values):
                return False
    return True


def _make_a_row(table: Table, columns: set[str]) -> bool:
    left = set(table.given) - columns
    return columns.issubset(table.given) and all(table.by_name[name].nullable for name in left)


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
