"""Turns many units into few statements: one multi-row ``UNNEST`` for all operations alike; pure.

Operations of one kind on one table with the same columns become one statement. Two units that
touch the same row go into successive *waves*, so that the second sees what the first did.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, assert_never

from actors.storage.operations import Create, Delete, Operation, Read, Update
from actors.storage.tables import ColumnType, Table
from actors.storage.validation import row_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Shape = tuple[type[Operation], str, tuple[str, ...], bool]


_PARAMETER = re.compile(r"\$(\d+)")


@dataclass(slots=True)
class Statement:
    """One statement for several operations.

    ``arguments`` holds one list per parameter; ``owners`` the index of the unit of each row, and
    ``rows`` each row's key, so that a row that was not touched can be traced to its unit. Units
    whose statements are in the same ``wave`` touch no row in common.
    """

    wave: int
    table: Table
    kind: type[Operation]
    sql: str
    returning: str
    arguments: list[list[object]]
    owners: list[int] = field(default_factory=list[int])
    rows: list[tuple[object, ...]] = field(default_factory=list[tuple[object, ...]])


def plan(units: Sequence[tuple[Operation, ...]], tables: Mapping[str, Table]) -> list[Statement]:
    """Plan the statements, in order, that carry out all units."""
    waves: list[dict[Shape, Statement]] = []
    last_wave: dict[tuple[object, ...], int] = {}
    for owner, operations in enumerate(units):
        rows = [row_of(operation, tables[operation.table]) for operation in operations]
        wave = max((last_wave[row] + 1 for row in rows if row in last_wave), default=0)
        while len(waves) <= wave:
            waves.append({})
        for operation, row in zip(operations, rows, strict=True):
            last_wave[row] = wave
            statement = _place(waves[wave], wave, operation, tables[operation.table])
            statement.owners.append(owner)
            statement.rows.append(row[1:])
    return [statement for wave in waves for statement in wave.values()]


def together(statements: Sequence[Statement]) -> tuple[str, list[object]]:
    """Build the one statement that carries out those of a wave; give it and its arguments.

    Its row has, for each of them, how many rows it touched, and at last the transaction's id. They
    see the same snapshot, and touch no row in common.
    """
    parts: list[str] = []
    arguments: list[object] = []
    for number, statement in enumerate(statements):
        text = _shifted(statement.sql, len(arguments))
        parts.append(f"s{number} as ({text} returning 1)")
        arguments += statement.arguments
    # Only numbers and declared names reach the text; every value is a parameter.
    counts = [f"(select count(*) from s{number})" for number in range(len(parts))]  # noqa: S608
    told = ", ".join([*counts, "pg_current_xact_id()::text"])
    return f"with {', '.join(parts)} select {told}", arguments


def waves(statements: Sequence[Statement]) -> Iterator[list[Statement]]:
    """Give the statements of each wave, always in the same order, so that few forms come about."""
    for _, wave in groupby(statements, attrgetter("wave")):
        yield sorted(wave, key=attrgetter("sql"))


def _shifted(text: str, by: int) -> str:
    """Let the parameters of a statement count from ``by`` on."""
    return _PARAMETER.sub(lambda match: f"${int(match[1]) + by}", text) if by else text


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


def _place(
    statements: dict[Shape, Statement], wave: int, operation: Operation, table: Table
) -> Statement:
    """Put an operation into the statement of its shape, beginning that where it is new."""
    shape, cells = _shaped(operation, table)
    statement = statements.get(shape)
    if statement is None:
        statement = statements[shape] = _statement(wave, table, shape, len(cells))
    for argument, cell in zip(statement.arguments, cells, strict=True):
        argument.append(cell)
    return statement


def _shaped(operation: Operation, table: Table) -> tuple[Shape, list[object]]:
    match operation:
        case Create(values=values):
            names = table.given
            return (Create, table.name, names, False), [values.get(name) for name in names]
        case Update(key=key, values=values, version=version):
            cells = [*[key[name] for name in table.key], *values.values(), *_given(version)]
            return (Update, table.name, tuple(values), version is not None), cells
        case Delete(key=key, version=version):
            cells = [*[key[name] for name in table.key], *_given(version)]
            return (Delete, table.name, (), version is not None), cells
        case _ as unreachable:
            assert_never(unreachable)


def _given(version: int | None) -> tuple[int, ...]:
    return () if version is None else (version,)


def _statement(wave: int, table: Table, shape: Shape, width: int) -> Statement:
    kind, _, names, versioned = shape
    if kind is Create:
        sql = _insert(table, names)
    elif kind is Update:
        sql = _update(table, names, versioned=versioned)
    else:
        sql = _delete(table, versioned=versioned)
    returning = " returning " + ", ".join(f"t.{_quoted(name)}" for name in table.key)
    return Statement(wave, table, kind, sql, returning, [[] for _ in range(width)])


def _insert(table: Table, names: tuple[str, ...]) -> str:
    columns = ", ".join(_quoted(name) for name in names)
    values = ", ".join(_cast(table, name) for name in names)
    version, one = (", version", ", 1") if table.versioned else ("", "")
    return (
        f"insert into {_quoted(table.name)} as t ({columns}{version}) "  # noqa: S608 - see _select
        f"select {values}{one} from {_unnest(table, names)} on conflict do nothing"
    )


def _update(table: Table, names: tuple[str, ...], *, versioned: bool) -> str:
    sets = [f"{_quoted(name)} = {_cast(table, name)}" for name in names]
    if table.versioned:
        sets.append("version = t.version + 1")
    source = _unnest(table, (*table.key, *names, *_expected(versioned=versioned)))
    return (
        f"update {_quoted(table.name)} as t set {', '.join(sets)} "  # noqa: S608 - see _select
        f"from {source} where {_matches(table, versioned=versioned)}"
    )


def _delete(table: Table, *, versioned: bool) -> str:
    source = _unnest(table, (*table.key, *_expected(versioned=versioned)))
    return (
        f"delete from {_quoted(table.name)} as t using {source} "  # noqa: S608 - see _select
        f"where {_matches(table, versioned=versioned)}"
    )


def _expected(*, versioned: bool) -> tuple[str, ...]:
    return ("expected",) if versioned else ()


def _matches(table: Table, *, versioned: bool) -> str:
    conditions = [f"t.{_quoted(name)} = u.{_quoted(name)}" for name in table.key]
    if versioned:
        conditions.append("t.version = u.expected")
    return " and ".join(conditions)


def _unnest(table: Table, names: tuple[str, ...]) -> str:
    arrays = ", ".join(
        f"${position}::{_array_type(table, name)}[]" for position, name in enumerate(names, 1)
    )
    columns = ", ".join(_quoted(name) for name in names)
    return f"unnest({arrays}) as u({columns})"


def _array_type(table: Table, name: str) -> str:
    column = table.by_name.get(name)
    if column is None:  # the expected version
        return "bigint"
    # An array of jsonb would be sent as text anyway; the cast back stands in the select list.
    return "text" if column.type is ColumnType.JSON else column.type.value


def _cast(table: Table, name: str) -> str:
    is_json = table.by_name[name].type is ColumnType.JSON
    return f"u.{_quoted(name)}::jsonb" if is_json else f"u.{_quoted(name)}"


def _quoted(name: str) -> str:
    return f'"{name}"'


def untouched(statement: Statement, touched: Sequence[Sequence[object]]) -> Iterator[int]:
    """Give the unit of every row that the statement was to touch and did not."""
    left: dict[tuple[object, ...], int] = {}
    for row in touched:
        left[tuple(row)] = left.get(tuple(row), 0) + 1
    for owner, row in zip(statement.owners, statement.rows, strict=True):
        if left.get(row, 0):
            left[row] -= 1
        else:
            yield owner
