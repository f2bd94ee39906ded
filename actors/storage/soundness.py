"""Checks many units at once for faults; pure.

Nearly always there are none. Rows with the same columns are checked column by column, so that a
value costs a small part of what it costs alone in `validation`, which says what is wrong, and
where.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, TypeAlias

from actors.storage.operations import Create, Update
from actors.storage.validation import row_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from actors.storage.operations import Operation
    from actors.storage.tables import Table

Rows: TypeAlias = "defaultdict[tuple[str, ...], list[Iterable[object]]]"
"""The values of rows, by table and column names."""


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
                created[table, *operation.values].append(operation.values.values())
                continue
            keys[table, *operation.key].append(operation.key.values())
            if isinstance(operation, Update):
                changed[table, *operation.values].append(operation.values.values())
            if operation.version is not None:
                expected.add(table)
    return (
        _fit(created, tables, _make_a_row)
        and _fit(keys, tables, _make_a_key)
        and _fit(changed, tables, _may_change)
        and all(tables[name].versioned for name in expected)
        and all(_touches_each_row_once(operations, tables) for operations in units)
    )


def _fit(
    rows: Rows, tables: Mapping[str, Table], may_be: Callable[[Table, set[str]], bool]
) -> bool:
    for (name, *columns), values in rows.items():
        table = tables.get(name)
        if table is None or not may_be(table, set(columns)):
            return False
        for column, its_values in zip(columns, zip(*values, strict=True), strict=True):
            if not table.by_name[column].takes(its_values):
                return False
    return True


def _make_a_row(table: Table, columns: set[str]) -> bool:
    left = set(table.given) - columns
    return columns.issubset(table.given) and all(table.by_name[name].nullable for name in left)


def _make_a_key(table: Table, columns: set[str]) -> bool:
    return columns == set(table.key)


def _may_change(table: Table, columns: set[str]) -> bool:
    return bool(columns) and columns.issubset(table.given) and columns.isdisjoint(table.key)


def _touches_each_row_once(operations: Sequence[Operation], tables: Mapping[str, Table]) -> bool:
    if len({operation.table for operation in operations}) == len(operations):
        return bool(operations)
    rows = {row_of(operation, tables[operation.table]) for operation in operations}
    return len(rows) == len(operations)
