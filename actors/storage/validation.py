"""Checks every operation against the declared tables, before any I/O; pure.

Anything that is not an operation is refused as well, to its sender: raised, it would end Storage
with all that others have in progress there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from actors.storage.operations import Create, Delete, Operation, Read, Update
from actors.storage.tables import ColumnType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from actors.storage.tables import Table

Fault = tuple[str, str]
"""Where (``inventories.state``), and what is wrong there."""

READ_LIMIT_MAX = 10_000


def unit_faults(operations: Iterable[Operation], tables: Mapping[str, Table]) -> tuple[Fault, ...]:
    """Find and name every fault of a unit; empty if there is none. Never raises."""
    try:
        return tuple(_unit_faults(operations, tables))
    except Exception as error:  # noqa: BLE001
        return (_unreadable("unit", error),)


def query_faults(reads: Sequence[Read], tables: Mapping[str, Table]) -> tuple[Fault, ...]:
    """Find and name every fault of a query; empty if there is none. Never raises."""
    try:
        return tuple(fault for read in reads for fault in _read_faults(read, tables))
    except Exception as error:  # noqa: BLE001
        return (_unreadable("query", error),)


def _unreadable(what: str, error: Exception) -> Fault:
    return what, f"cannot be read ({type(error).__name__}: {error})"


def _unit_faults(operations: Iterable[Operation], tables: Mapping[str, Table]) -> list[Fault]:
    faults: list[Fault] = []
    rows: set[tuple[object, ...]] = set()
    empty = True
    for operation in operations:
        empty = False
        table = tables.get(operation.table)
        if table is None:
            faults.append((operation.table, "unknown table"))
            continue
        before = len(faults)
        _check_operation(operation, table, faults)
        if len(faults) > before:
            # Its key may be what is wrong with it, and then names no row.
            continue
        row = row_of(operation, table)
        if row in rows:
            faults.append((table.name, "one unit may touch a row only once"))
        rows.add(row)
    if empty:
        faults.append(("unit", "has no operation"))
    return faults


def _read_faults(read: Read, tables: Mapping[str, Table]) -> list[Fault]:
    table = tables.get(read.table)
    if table is None:
        return [(read.table, "unknown table")]
    faults = _value_faults(table, read.where)
    ordered = () if read.order_by is None else (read.order_by,)
    faults.extend(
        (f"{table.name}.{name}", "unknown column")
        for name in (*read.columns, *ordered)
        if name not in table.by_name
    )
    faults.extend(
        (f"{table.name}.{name}", "cannot be compared")
        for name in (*read.where, *read.within, *ordered)
        if name in table.by_name and table.by_name[name].type is ColumnType.JSON
    )
    bounds = (bound for bound in (read.above, read.at_most) if bound is not None)
    for name, values in (*read.within.items(), *((name, (value,)) for name, value in bounds)):
        for value in values:
            faults.extend(_compared_faults(table, name, value))
    if read.limit is not None and not 0 < read.limit <= READ_LIMIT_MAX:
        faults.append((table.name, f"limit must be from 1 to {READ_LIMIT_MAX}"))
    return faults


def row_of(operation: Operation, table: Table) -> tuple[object, ...]:
    """Name the row that an operation touches: the table and its key's values."""
    source = operation.values if isinstance(operation, Create) else operation.key
    return (table.name, *[source.get(name) for name in table.key])


def _check_operation(operation: Operation, table: Table, faults: list[Fault]) -> None:
    match operation:
        case Create(values=values):
            _check_new_row(table, values, faults)
        case Update(key=key, values=values, version=version):
            _check_key(table, key, version, faults)
            _check_change(table, values, faults)
        case Delete(key=key, version=version):
            _check_key(table, key, version, faults)
        case _ as unreachable:
            assert_never(unreachable)


def _check_new_row(table: Table, values: Mapping[str, object], faults: list[Fault]) -> None:
    faults.extend(_value_faults(table, values))
    faults.extend(
        (f"{table.name}.{column.name}", "is missing")
        for column in table.columns
        if column.name in table.given and not column.nullable and column.name not in values
    )
    if table.versioned and "version" in values:
        faults.append((f"{table.name}.version", "is counted by Storage itself"))


def _check_change(table: Table, values: Mapping[str, object], faults: list[Fault]) -> None:
    faults.extend(_value_faults(table, values))
    if not values:
        faults.append((table.name, "update without values"))
    faults.extend(
        (f"{table.name}.{name}", "cannot be changed by an update")
        for name in values
        if name in table.key or (table.versioned and name == "version")
    )


def _check_key(
    table: Table, key: Mapping[str, object], version: int | None, faults: list[Fault]
) -> None:
    if set(key) != set(table.key):
        faults.append((table.name, f"the key is {', '.join(table.key)}"))
    faults.extend(_value_faults(table, key))
    if version is None:
        return
    if table.versioned:
        faults.extend(_value_faults(table, {"version": version}))
    else:
        faults.append((table.name, "has no versions"))


def _value_faults(table: Table, values: Mapping[str, object]) -> list[Fault]:
    columns = table.by_name
    faults: list[Fault] = []
    for name, value in values.items():
        column = columns.get(name)
        fault = "unknown column" if column is None else column.fault(value)
        if fault is not None:
            faults.append((f"{table.name}.{name}", fault))
    return faults


def _compared_faults(table: Table, name: str, value: object) -> list[Fault]:
    if value is None:
        return [(f"{table.name}.{name}", "cannot be compared with null")]
    return _value_faults(table, {name: value})
