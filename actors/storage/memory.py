"""The in-memory twin of the PostgreSQL engine: same contract, for virtual time and simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

import trio

from actors.storage.errors import Conflict, Duplicate, StorageError
from actors.storage.operations import Create, Delete, Operation, Read, Row, Update
from actors.storage.validation import row_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from actors.storage.engine import Unit
    from actors.storage.tables import Table

_Key = tuple[object, ...]


class MemoryEngine:
    """Keeps rows in dictionaries; every commit passes one checkpoint.

    Rows are found by primary key and, for the first column of a key, by index.
    """

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self._tables = tables
        self._rows: dict[str, dict[_Key, dict[str, Any]]] = {name: {} for name in tables}
        self._by_column: dict[tuple[str, str], dict[object, dict[_Key, None]]] = {
            (name, column.name): {}
            for name, table in tables.items()
            for column in table.columns
            if column.name in {table.key[0], "account_id"}
        }

    async def open(self) -> None:
        """Nothing to connect to."""
        await trio.lowlevel.checkpoint()

    def forget(self) -> None:
        """Nothing is ever left undone."""

    async def commit(self, units: Sequence[Unit]) -> list[StorageError | None]:
        """Apply each unit whole or not at all."""
        await trio.lowlevel.checkpoint()
        return [self._apply(unit) for unit in units]

    async def read(self, reads: Sequence[Read]) -> list[list[Row]]:
        """Answer from the dictionaries."""
        await trio.lowlevel.checkpoint()
        return [self._select(read) for read in reads]

    async def aclose(self) -> None:
        """Nothing to disconnect from."""
        await trio.lowlevel.checkpoint()

    def _apply(self, unit: Unit) -> StorageError | None:
        for operation in unit:
            table = self._tables[operation.table]
            row = self._rows[table.name].get(row_of(operation, table)[1:])
            error = _precondition(operation, row)
            if error is not None:
                return error
        for operation in unit:
            self._write(operation, self._tables[operation.table])
        return None

    def _write(self, operation: Operation, table: Table) -> None:
        rows = self._rows[table.name]
        key = row_of(operation, table)[1:]
        match operation:
            case Create(values=values):
                row = {column.name: values.get(column.name) for column in table.columns}
                if table.versioned:
                    row["version"] = 1
                rows[key] = row
                self._index(table, key, row)
            case Update(values=values):
                old: Mapping[str, Any] = rows[key]
                row = {**old, **values}
                if table.versioned:
                    row["version"] = old["version"] + 1
                self._unindex(table, key, old)
                rows[key] = row
                self._index(table, key, row)
            case Delete():
                self._unindex(table, key, rows.pop(key))
            case _ as unreachable:
                assert_never(unreachable)

    def _index(self, table: Table, key: _Key, row: Mapping[str, object]) -> None:
        for (name, column), index in self._by_column.items():
            if name == table.name:
                index.setdefault(row[column], {})[key] = None

    def _unindex(self, table: Table, key: _Key, row: Mapping[str, object]) -> None:
        for (name, column), index in self._by_column.items():
            if name == table.name:
                index[row[column]].pop(key, None)

    def _select(self, read: Read) -> list[Row]:
        found = [row for row in self._candidates(read) if _holds(row, read)]
        if read.order_by is not None:
            order_by = read.order_by
            found.sort(
                key=lambda row: (row[order_by] is None, row[order_by]), reverse=read.descending
            )
        found = found[: read.limit]
        if not read.columns:
            return list(found)
        return [{name: row[name] for name in read.columns} for row in found]

    def _candidates(self, read: Read) -> Iterable[dict[str, Any]]:
        rows = self._rows[read.table]
        for column, value in read.where.items():
            index = self._by_column.get((read.table, column))
            if index is not None:
                return [rows[key] for key in index.get(value, ())]
        for column, values in read.within.items():
            index = self._by_column.get((read.table, column))
            if index is not None:
                return [
                    rows[key] for value in dict.fromkeys(values) for key in index.get(value, ())
                ]
        return rows.values()


def _precondition(operation: Operation, row: Mapping[str, object] | None) -> StorageError | None:
    match operation:
        case Create(table=table):
            return None if row is None else Duplicate(table)
        case Update(table=table, version=version) | Delete(table=table, version=version):
            if row is None or (version is not None and row["version"] != version):
                return Conflict(table)
            return None
        case _ as unreachable:
            assert_never(unreachable)


def _holds(row: Mapping[str, Any], read: Read) -> bool:
    if any(row[name] != value for name, value in read.where.items()):
        return False
    if any(row[name] not in values for name, values in read.within.items()):
        return False
    for bound, above in ((read.above, True), (read.at_most, False)):
        if bound is not None:
            value = row[bound[0]]
            if value is None or (value > bound[1]) is not above:
                return False
    return True
