"""Declared tables: what Storage may touch, and with values of which types."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_BIGINT_MAX = 2**63 - 1
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class ColumnType(Enum):
    """A column's type: its name in PostgreSQL is the value."""

    UUID = "uuid"
    TEXT = "text"
    BIGINT = "bigint"
    BYTES = "bytea"
    JSON = "jsonb"
    TIMESTAMP = "timestamptz"

    __hash__ = object.__hash__

    def fault(self, value: object) -> str | None:
        """Say what keeps ``value`` from being of this type, or None where nothing does."""
        return _FAULTS[self](value)


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


_FAULTS: Final[Mapping[ColumnType, Callable[[object], str | None]]] = MappingProxyType(
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
    _type_fault: Callable[[object], str | None] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Find the check of the type, which every value goes through."""
        object.__setattr__(self, "_type_fault", _FAULTS[self.type])

    def fault(self, value: object) -> str | None:
        """Say what keeps ``value`` out of this column, or None where nothing does."""
        if value is None:
            return None if self.nullable else "must not be null"
        return self._type_fault(value)


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
    """The names of the columns that are not Storage's own to count."""
    needed: frozenset[str] = field(init=False, repr=False)
    """The names of those that a new row cannot go without."""

    def __post_init__(self) -> None:
        """Index the columns by name."""
        object.__setattr__(self, "by_name", {column.name: column for column in self.columns})
        own = {"version"} if self.versioned else set[str]()
        given = [column for column in self.columns if column.name not in own]
        object.__setattr__(self, "given", tuple(column.name for column in given))
        needed = frozenset(column.name for column in given if not column.nullable)
        object.__setattr__(self, "needed", needed)
