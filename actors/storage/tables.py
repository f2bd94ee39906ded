"""Declared tables: what Storage may touch, and with values of which types."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, assert_never

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        match self:
            case ColumnType.BIGINT:
                # bool is an int to Python; to a database it is not.
                if type(value) is not int:
                    return "must be an integer"
                return None if -_BIGINT_MAX <= value <= _BIGINT_MAX else "is out of range"
            case ColumnType.UUID:
                # Canonical only: what is read back is compared with what was asked for.
                ok = type(value) is str and _UUID.fullmatch(value)
                return None if ok else "must be a UUID as lower-case text"
            case ColumnType.BYTES:
                return None if type(value) is bytes else "must be bytes"
            case ColumnType.TIMESTAMP:
                aware = isinstance(value, datetime) and value.tzinfo is not None
                return None if aware else "must be a time with its zone"
            case ColumnType.TEXT | ColumnType.JSON:
                if type(value) is not str:
                    return "must be text"
                return _text_fault(value)
            case _ as unreachable:
                assert_never(unreachable)


def _text_fault(value: str) -> str | None:
    """Say what PostgreSQL, which takes UTF-8 without NUL, has against a text."""
    if "\0" in value:
        return "must not contain NUL"
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return "must not contain surrogates"
    return None


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
        return self.type.fault(value)


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

    def __post_init__(self) -> None:
        """Index the columns by name."""
        object.__setattr__(self, "by_name", {column.name: column for column in self.columns})
