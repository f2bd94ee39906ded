"""Declared tables: what Storage may touch, and with values of which types."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from operator import itemgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_BIGINT_MAX = 2**63 - 1
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class ColumnType(Enum):
    """A column's type: its name in PostgreSQL is the value."""

    UUID = "uuid"
    TEXT = "text"
    BIGINT = "bigint"
    BYTES = "bytea"
    JSON = "jsonb"
    TIMESTAMP = "timestamptz"

    __hash__ = object.__hash__


Check: TypeAlias = "Callable[[object], str | None]"
"""Looks at a value of a type; gives None for a sound one, otherwise what is wrong with it."""

Columns: TypeAlias = tuple[tuple[str, Check, bool], ...]
"""Columns by name, check, and whether they may be null."""


def are_sound(values: Mapping[str, object], columns: Columns, *, whole: bool) -> bool:
    """Tell whether these may be the values of these columns and of no others.

    A column that is left out is null where the row is to be ``whole``. Nearly all that is looked
    at is sound: it is told so at once, in one go, and `Column.fault` explains the rest.
    """
    left = len(values)
    for name, check, nullable in columns:
        if name in values:
            left -= 1
            value = values[name]
        elif whole:
            value = None
        else:
            continue
        refused = not nullable if value is None else check(value) is not None
        if refused:
            return False
    return not left


def _bigint_fault(value: object) -> str | None:
    # bool is an int to Python; to a database it is not.
    if type(value) is not int:
        return "must be an integer"
    return None if -_BIGINT_MAX <= value <= _BIGINT_MAX else "is out of range"


def _uuid_fault(value: object) -> str | None:
    # Canonical only: what is read back is compared with what was asked for.
    ok = type(value) is str and _UUID.fullmatch(value)
    return None if ok else "must be a UUID as lower-case text"


def _bytes_fault(value: object) -> str | None:
    return None if type(value) is bytes else "must be bytes"


def _timestamp_fault(value: object) -> str | None:
    aware = isinstance(value, datetime) and value.tzinfo is not None
    return None if aware else "must be a time with its zone"


def _text_fault(value: object) -> str | None:
    # PostgreSQL takes UTF-8 without NUL.
    if type(value) is not str:
        return "must be text"
    if "\0" in value:
        return "must not contain NUL"
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return "must not contain surrogates"
    return None


_FAULTS: Final[Mapping[ColumnType, Check]] = MappingProxyType(
    {
        ColumnType.UUID: _uuid_fault,
        ColumnType.TEXT: _text_fault,
        ColumnType.BIGINT: _bigint_fault,
        ColumnType.BYTES: _bytes_fault,
        ColumnType.JSON: _text_fault,
        ColumnType.TIMESTAMP: _timestamp_fault,
    }
)


@dataclass(frozen=True, slots=True)
class Column:
    """One declared column."""

    name: str
    type: ColumnType
    nullable: bool = False

    def fault(self, value: object) -> str | None:
        """Say what keeps ``value`` out of this column, or None where nothing does."""
        if value is None:
            return None if self.nullable else "must not be null"
        return _FAULTS[self.type](value)


@dataclass(frozen=True, slots=True)
class Table:
    """One declared table; ``key`` names the primary key's columns.

    A versioned table has a column ``version`` that Storage itself counts up from 1.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    versioned: bool = False
    by_name: Mapping[str, Column] = field(init=False, repr=False)
    given: tuple[str, ...] = field(init=False, repr=False)
    """What a new row is given: the columns of the key, then all others but Storage's own."""
    key_of: Callable[[Mapping[str, object]], object] = field(init=False, repr=False)
    """Gives a row's key: its value, or a tuple of them where it has several columns."""
    key_columns: Columns = field(init=False, repr=False)
    given_columns: Columns = field(init=False, repr=False)
    changeable_columns: Columns = field(init=False, repr=False)
    """What the columns of a key take, those of a new row, and those that an update may change."""

    def __post_init__(self) -> None:
        """Find by name what every operation needs."""
        by_name = {column.name: column for column in self.columns}
        own = {*self.key, "version"} if self.versioned else {*self.key}
        takes = {each.name: (each.name, _FAULTS[each.type], each.nullable) for each in self.columns}
        key = {name: takes[name] for name in self.key}
        change = {name: column for name, column in takes.items() if name not in own}
        found: dict[str, object] = {
            "by_name": by_name,
            "given": (*key, *change),
            "key_of": itemgetter(*self.key),
            "key_columns": tuple(key.values()),
            "given_columns": (*key.values(), *change.values()),
            "changeable_columns": tuple(change.values()),
        }
        for name, value in found.items():
            object.__setattr__(self, name, value)
