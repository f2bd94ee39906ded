"""The forms of operations: what similar operations have in common, computed once; pure.

Operations of one kind on one table with the same columns share a form, and one statement with an
``UNNEST`` carries out any number of them. Forms arise from code, not from players, so there are
few of them.
"""

from __future__ import annotations

import re
from itertools import chain, count
from operator import itemgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from actors.storage.literals import ARRAY_LITERALS, array_of
from actors.storage.operations import Create, Operation, Update
from actors.storage.tables import ColumnType, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from actors.storage.tables import Kind

    Shape = tuple[type[Operation], str, tuple[str, ...], bool]
    Cells = tuple[object, ...]

Writer: TypeAlias = "Callable[[Sequence[Any]], object]"
"""Makes a parameter of a column of cells."""

FORMS_MAX: Final = 256
"""How many are cached; when full, the cache is cleared and rebuilt."""

_NO_VALUES: Final[Mapping[str, object]] = MappingProxyType({})
_EXPECTED: Final = "expected"
"""The name of an operation's expected version; no column has it."""
_VERSION: Final[Kind] = (ColumnType.BIGINT, False)
_PARAMETER: Final = re.compile(r"\$(\d+)")


def written(writers: Iterable[Writer], columns: Iterable[Sequence[object]]) -> list[object]:
    """Make a parameter of each column of cells."""
    return [write(column) for write, column in zip(writers, columns, strict=True)]


class Form:
    """One form of operation; the cells of each begin with the values of the row's key.

    ``pick`` takes the cells of a new row out of its values, or those of the key out of a key;
    ``key_of`` takes the key's out of all cells.
    ``sql`` has a parameter for each cell, an array with that of every operation; with
    ``returning`` appended it returns the keys of the rows that it touched.
    """

    __slots__ = ("key_of", "kind", "pick", "returning", "sql", "table", "writers")

    def __init__(self, shape: Shape, table: Table) -> None:
        self.kind, _, names, versioned = shape
        self.table = table
        self.key_of: Callable[[Cells], Cells] = itemgetter(slice(len(table.key)))
        cells = (*table.key, *names, *((_EXPECTED,) if versioned else ()))
        if self.kind is Create:
            cells = table.given
            self.sql = _insert(table, cells)
        elif self.kind is Update:
            self.sql = _update(table, names, cells)
        else:
            self.sql = _delete(table, cells)
        self.returning = " returning " + ", ".join(f't."{name}"' for name in table.key)
        self.pick = _picker(table.given if self.kind is Create else table.key)
        # The driver encodes what has no literal.
        self.writers = tuple(ARRAY_LITERALS.get(_kind(table, name), list) for name in cells)

    def arguments(self, rows: Iterable[Sequence[object]]) -> list[object]:
        """Return the parameters of the cells of one operation or more."""
        return written(self.writers, zip(*rows, strict=True))


class Together(NamedTuple):
    """One statement for several forms, and the writers of its parameters, one for each cell."""

    sql: str
    writers: Sequence[Writer]


class Forms:
    """Every form seen so far, and the statements that carry out several of them at once."""

    __slots__ = ("_by_shape", "_creating", "_tables", "_together")

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self._tables = tables
        self._creating = {
            name: Form((Create, name, (), False), table) for name, table in tables.items()
        }
        self._by_shape: dict[Shape, Form] = {}
        self._together: dict[tuple[Form, ...], Together] = {}

    def cells(self, operation: Operation) -> tuple[Form, Cells]:
        """Return the form of a sound operation, and its cells."""
        if isinstance(operation, Create):
            form = self._creating[operation.table]
            try:
                return form, form.pick(operation.values)
            except KeyError:
                # What may be null may be missing.
                return form, tuple(map(operation.values.get, form.table.given))
        version = operation.version
        expected = () if version is None else (version,)
        values = operation.values if isinstance(operation, Update) else _NO_VALUES
        shape: Shape = (type(operation), operation.table, tuple(values), version is not None)
        form = self._by_shape.get(shape) or self._new_form(shape)
        return form, (*form.pick(operation.key), *values.values(), *expected)

    def together(self, forms: tuple[Form, ...]) -> Together:
        """Return one statement for several forms: it carries out all of them, or fails.

        Its parameters are those of all cells; then, for each form, how many rows it must touch (if
        it does not, the statement fails with `sqlstates.DIVISION_BY_ZERO`); last, the mark to leave
        behind and the place of the row that takes it, which counts as a form too. The second column
        that it returns is where that row then is.
        """
        found = self._together.get(forms)
        if found is None:
            if len(self._together) >= FORMS_MAX:
                self._together.clear()
            found = self._together[forms] = Together(
                _together(forms), tuple(chain.from_iterable(form.writers for form in forms))
            )
        return found

    def _new_form(self, shape: Shape) -> Form:
        if len(self._by_shape) >= FORMS_MAX:
            self._by_shape.clear()
        form = self._by_shape[shape] = Form(shape, self._tables[shape[1]])
        return form


def _picker(names: tuple[str, ...]) -> Callable[[Mapping[str, object]], tuple[object, ...]]:
    """Return what takes the values of these names; `itemgetter` makes no tuple of a single one."""
    name = names[0]
    return itemgetter(*names) if len(names) > 1 else lambda values: (values[name],)


def _together(forms: Sequence[Form]) -> str:
    parts: list[str] = []
    conditions: list[str] = []
    parameters = count(1)
    for number, form in enumerate(forms):
        text = _PARAMETER.sub(lambda _: f"${next(parameters)}", form.sql)
        parts.append(f"s{number} as ({text} returning 1)")
    for number in range(len(forms)):
        # Only numbers and declared names reach the text; every value is a parameter.
        touched = f"select count(*) from s{number}"  # noqa: S608
        conditions.append(f"({touched}) = ${next(parameters)}::bigint")
    # By its place, not its key: the key would also go through its earlier versions, one for each
    # commit since the oldest transaction, such as a backup, began.
    mark = f"update last_commit set mark = ${next(parameters)}::bigint"  # noqa: S608 - see above
    parts.append(f"marked as ({mark} where ctid = ${next(parameters)}::tid returning ctid)")
    conditions.append("exists (select from marked)")
    agreed = f"case when {' and '.join(conditions)} then 1 else 0 end"
    select = f"select 1 / ({agreed}), (select ctid from marked)"  # noqa: S608
    return f"with {', '.join(parts)} {select}"


def _insert(table: Table, cells: tuple[str, ...]) -> str:
    columns = ", ".join(f'"{name}"' for name in cells)
    values = ", ".join(_cast(table, name) for name in cells)
    version, one = (", version", ", 1") if table.versioned else ("", "")
    return (
        f'insert into "{table.name}" as t ({columns}{version}) '  # noqa: S608 - see _together
        f"select {values}{one} from {_unnest(table, cells)} on conflict do nothing"
    )


def _update(table: Table, names: tuple[str, ...], cells: tuple[str, ...]) -> str:
    sets = [f'"{name}" = {_cast(table, name)}' for name in names]
    if table.versioned:
        sets.append("version = t.version + 1")
    return (
        f'update "{table.name}" as t set {", ".join(sets)} '  # noqa: S608 - see _together
        f"from {_unnest(table, cells)} where {_matches(table, cells)}"
    )


def _delete(table: Table, cells: tuple[str, ...]) -> str:
    return (
        f'delete from "{table.name}" as t using {_unnest(table, cells)} '  # noqa: S608 - see _together
        f"where {_matches(table, cells)}"
    )


def _matches(table: Table, cells: tuple[str, ...]) -> str:
    conditions = [f't."{name}" = u."{name}"' for name in table.key]
    if _EXPECTED in cells:
        conditions.append(f"t.version = u.{_EXPECTED}")
    return " and ".join(conditions)


def _unnest(table: Table, cells: tuple[str, ...]) -> str:
    arrays = ", ".join(
        array_of(_kind(table, name)[0], f"${number}") for number, name in enumerate(cells, 1)
    )
    columns = ", ".join(f'"{name}"' for name in cells)
    return f"unnest({arrays}) as u({columns})"


def _kind(table: Table, name: str) -> Kind:
    return _VERSION if name == _EXPECTED else table.by_name[name].kind


def _cast(table: Table, name: str) -> str:
    is_json = table.by_name[name].type is ColumnType.JSON
    return f'u."{name}"' + ("::jsonb" if is_json else "")
