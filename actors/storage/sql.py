"""Turns many units into few statements, one for each form of operation, and reads into SQL; pure.

Two units that touch the same row go into successive *waves*, so that the second sees the effect of
the first.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import chain, groupby, repeat
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from actors.storage.forms import written
from actors.storage.operations import Read
from actors.storage.tables import ColumnType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from actors.storage.forms import Form, Forms
    from actors.storage.operations import Operation
    from actors.storage.tables import Table

Cells: TypeAlias = "tuple[object, ...]"
Shaped: TypeAlias = "Sequence[tuple[Form, Cells]]"
"""A unit's operations, each as its form and its cells."""


class Statement(NamedTuple):
    """One statement for several operations of a form.

    ``rows`` holds the cells of each, and ``owners`` the index of its unit, so that an untouched
    row can be traced to its unit. Units whose statements are in the same ``wave`` touch no row in
    common.
    """

    wave: int
    form: Form
    owners: Sequence[int]
    rows: Sequence[Cells]

    def arguments(self) -> list[object]:
        """Return the parameters of the form's SQL."""
        return self.form.arguments(self.rows)


def plan(units: Sequence[tuple[Operation, ...]], forms: Forms) -> list[Statement]:
    """Plan the statements, in order, that carry out all units."""
    shaped = [[forms.cells(operation) for operation in operations] for operations in units]
    statements = _statements(0, enumerate(shaped))
    if _rows_touched(statements) == sum(map(len, units)):
        # None is touched twice, as is nearly always so.
        return statements
    waves: defaultdict[int, list[tuple[int, Shaped]]] = defaultdict(list)
    for owner, (wave, unit) in enumerate(zip(_wave_of_each(shaped), shaped, strict=True)):
        waves[wave].append((owner, unit))
    return [each for wave, its_units in waves.items() for each in _statements(wave, its_units)]


def _statements(wave: int, units: Iterable[tuple[int, Shaped]]) -> list[Statement]:
    """Return the statements for units that touch no row in common, given with their indexes."""
    alike: defaultdict[Form, list[tuple[int, Cells]]] = defaultdict(list)
    for owner, shaped in units:
        for form, cells in shaped:
            alike[form].append((owner, cells))
    return [Statement(wave, form, *zip(*owned, strict=True)) for form, owned in alike.items()]


def _rows_touched(statements: Sequence[Statement]) -> int:
    """Count the different rows that they touch."""
    rows: set[tuple[str, Cells]] = set()
    for statement in statements:
        form = statement.form
        rows.update(zip(repeat(form.table.name), map(form.key_of, statement.rows)))
    return len(rows)


def _wave_of_each(units: Iterable[Shaped]) -> Iterator[int]:
    """Yield the wave of each unit: the first after those of earlier units on any of its rows."""
    next_wave: dict[tuple[str, Cells], int] = {}
    for shaped in units:
        rows = [(form.table.name, form.key_of(cells)) for form, cells in shaped]
        wave = max([next_wave.get(row, 0) for row in rows], default=0)
        next_wave.update(dict.fromkeys(rows, wave + 1))
        yield wave


def together(statements: Sequence[Statement], forms: Forms, mark: int) -> tuple[str, list[object]]:
    """Build the one statement that carries out those of a wave; return it and its arguments.

    The caller must append one argument: the place of the row that takes the mark. The statement
    succeeds entirely or fails, as `Forms.together` says. All see the same snapshot, and touch no
    row in common.
    """
    combined = forms.together(tuple([each.form for each in statements]))
    columns = chain.from_iterable([zip(*each.rows, strict=True) for each in statements])
    arguments = written(combined.writers, columns)
    arguments += [len(each.rows) for each in statements]
    arguments.append(mark)
    return combined.sql, arguments


def waves(statements: Sequence[Statement]) -> Iterator[list[Statement]]:
    """Yield the statements of each wave, always in the same order, so that few texts arise."""
    for _, wave in groupby(statements, attrgetter("wave")):
        yield sorted(wave, key=attrgetter("form.sql"))


def select(read: Read, table: Table) -> tuple[str, list[object]]:
    """Build the statement of one read and its arguments."""
    arguments: list[object] = []
    conditions: list[str] = []

    def bind(name: str, operator: str, value: object, suffix: str = "") -> None:
        arguments.append(value)
        column = table.by_name[name]
        parameter = f"${len(arguments)}::{column.type.value}{suffix}"
        right = f"any({parameter})" if suffix else parameter
        conditions.append(f"{_quoted(name)} {operator} {right}")

    for name, value in read.where.items():
        if value is None:
            conditions.append(f"{_quoted(name)} is null")
        else:
            bind(name, "=", value)
    for name, values in read.within.items():
        bind(name, "=", list(values), "[]")
    if read.above is not None:
        bind(read.above[0], ">", read.above[1])
    if read.at_most is not None:
        bind(read.at_most[0], "<=", read.at_most[1])
    return _select(table, conditions, read), arguments


def select_many(
    column: str, values: list[object], read: Read, table: Table
) -> tuple[str, list[object]]:
    """Build one statement for reads like ``read`` that differ in the value of ``column`` alone."""
    merged = Read(
        read.table,
        read.columns,
        {name: value for name, value in read.where.items() if name != column},
        {column: tuple(values), **read.within},
        order_by=read.order_by,
        descending=read.descending,
    )
    return select(merged, table)


def mergeable(read: Read) -> str | None:
    """Name the column by which reads of this form can be answered in one statement, if any."""
    bounded = read.limit is not None or read.above is not None or read.at_most is not None
    if bounded or read.columns:
        return None
    found = (name for name, value in read.where.items() if value is not None)
    return next((name for name in found if name not in read.within), None)


def _select(table: Table, conditions: list[str], read: Read) -> str:
    # Only declared names reach the text; every value is a parameter.
    names = read.columns or tuple(table.by_name)
    columns = ", ".join(_quoted(name) for name in names)
    sql = f"select {columns} from {_quoted(table.name)}"  # noqa: S608
    if conditions:
        sql += " where " + " and ".join(conditions)
    if read.order_by is not None:
        is_text = table.by_name[read.order_by].type is ColumnType.TEXT
        sql += f" order by {_quoted(read.order_by)}"
        sql += (' collate "C"' if is_text else "") + (" desc" if read.descending else "")
    if read.limit is not None:
        sql += f" limit {read.limit:d}"
    return sql


def _quoted(name: str) -> str:
    return f'"{name}"'


def untouched(statement: Statement, touched: Sequence[Sequence[object]]) -> Iterator[int]:
    """Yield the unit of every row that the statement should have touched but did not."""
    left: dict[tuple[object, ...], int] = {}
    for key in touched:
        left[tuple(key)] = left.get(tuple(key), 0) + 1
    for owner, cells in zip(statement.owners, statement.rows, strict=True):
        key = statement.form.key_of(cells)
        if left.get(key, 0):
            left[key] -= 1
        else:
            yield owner
