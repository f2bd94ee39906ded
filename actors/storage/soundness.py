"""Checks many units at once for faults; pure.

Nearly always there are none. All values of a type are checked at once, whatever their columns, so
that a value costs a small part of what it costs alone in `validation`, which says what is wrong,
and where.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache, partial
from itertools import repeat, starmap
from operator import methodcaller
from typing import TYPE_CHECKING, Final, TypeAlias

from actors.storage.operations import Create, Update
from actors.storage.tables import ColumnType, are_values
from actors.storage.validation import row_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from actors.storage.operations import Operation
    from actors.storage.tables import Kind, Table

SHAPES_MAX: Final = 256
"""How many shapes are remembered: those used last. They arise from code, not from players, so there
are few of them."""

_VALUES: Final = methodcaller("values")

Shape: TypeAlias = tuple[str, ...]
"""What rows, or keys, that are alike have in common: the names of their table and columns."""
Rows: TypeAlias = "defaultdict[Shape, list[Mapping[str, object]]]"


class Soundness:
    """Checks units against the declared tables."""

    __slots__ = ("_kinds", "_tables")

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self._tables = tables
        self._kinds = lru_cache(SHAPES_MAX)(partial(_kinds, tables))

    def are_sound(self, units: Sequence[Sequence[Operation]]) -> bool:
        """Whether no unit has a fault that `validation.unit_faults` would name. Never raises."""
        try:
            return self._are_sound(units)
        # One holds something that is not an operation.
        except Exception:  # noqa: BLE001
            return False

    def _are_sound(self, units: Sequence[Sequence[Operation]]) -> bool:
        created: Rows = defaultdict(list)
        keys: Rows = defaultdict(list)
        changed: Rows = defaultdict(list)
        expected: set[str] = set()
        values: defaultdict[Kind, list[object]] = defaultdict(list)
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
        tables = self._tables
        return (
            all(units)
            and self._fit(_make_a_row, created, values)
            and self._fit(_make_a_key, keys, values)
            and self._fit(_may_change, changed, values)
            and all(starmap(are_values, values.items()))
            and all(tables[name].versioned for name in expected)
            and (
                _touch_different_rows((*created.items(), *keys.items()), tables)
                or all(_touches_each_row_once(operations, tables) for operations in units)
            )
        )

    def _fit(
        self,
        may_be: Callable[[Table, set[str]], bool],
        rows: Rows,
        values: defaultdict[Kind, list[object]],
    ) -> bool:
        """Whether all have the columns that they may have; adds their values to ``values``."""
        for shape, alike in rows.items():
            kinds = self._kinds(may_be, shape)
            if kinds is None:
                return False
            for kind, given in zip(kinds, zip(*map(_VALUES, alike), strict=True), strict=True):
                values[kind].extend(given)
        return True


def _kinds(
    tables: Mapping[str, Table], may_be: Callable[[Table, set[str]], bool], shape: Shape
) -> tuple[Kind, ...] | None:
    """Return the kind of each column; None if these are not the columns that they may have."""
    name, *columns = shape
    table = tables.get(name)
    if table is None or not may_be(table, set(columns)):
        return None
    return tuple(table.by_name[column].kind for column in columns)


def _make_a_row(table: Table, columns: set[str]) -> bool:
    return table.required <= columns and columns.issubset(table.given)


def _make_a_key(table: Table, columns: set[str]) -> bool:
    return columns == set(table.key)


def _may_change(table: Table, columns: set[str]) -> bool:
    return bool(columns) and columns.issubset(table.given) and columns.isdisjoint(table.key)


def _touch_different_rows(
    groups: Iterable[tuple[Shape, Sequence[Mapping[str, object]]]],
    tables: Mapping[str, Table],
) -> bool:
    """Whether no row is touched twice, not even by two units, as is nearly always so."""
    count = 0
    rows: set[tuple[str, object]] = set()
    for shape, alike in groups:
        name = shape[0]
        rows.update(zip(repeat(name), map(tables[name].key_of, alike)))
        count += len(alike)
    return len(rows) == count


def _touches_each_row_once(operations: Sequence[Operation], tables: Mapping[str, Table]) -> bool:
    rows = {row_of(operation, tables[operation.table]) for operation in operations}
    return len(rows) == len(operations)
