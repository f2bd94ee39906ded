"""Declared tables: what Storage may touch, and the types of its values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from operator import itemgetter
from types import MappingProxyType, NoneType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

JSON_SEPARATOR: Final = "\x1e"
JSON_NULL: Final = "\x1f"
"""Stands for what is null in a column of JSON; JSON has neither of these characters in it."""

_BIGINT_MAX = 2**63 - 1
_UUID_ENDED = b"00000000-0000-0000-0000-000000000000,"
_DIGITS_TO_0 = bytes.maketrans(b"123456789abcdef", b"000000000000000")


class ColumnType(Enum):
    """A column's type: its name in PostgreSQL is the value."""

    UUID = "uuid"
    TEXT = "text"
    BIGINT = "bigint"
    BYTES = "bytea"
    JSON = "jsonb"
    TIMESTAMP = "timestamptz"

    __hash__ = object.__hash__


Kind: TypeAlias = tuple[ColumnType, bool]
"""A column's type, and whether it may be null."""
Check: TypeAlias = "Callable[[object], str | None]"
"""Checks a value of a type; returns None if it is sound, otherwise what is wrong with it."""


def _bigint_fault(value: object) -> str | None:
    # To Python a bool is an int; to a database it is not.
    if type(value) is not int:
        return "must be an integer"
    return None if -_BIGINT_MAX <= value <= _BIGINT_MAX else "is out of range"


def _uuid_fault(value: object) -> str | None:
    # Canonical only: values read back are compared with those asked for.
    ok = type(value) is str and _are_uuids((value,))
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


def _json_fault(value: object) -> str | None:
    # The server parses it, but must be able to tell where it begins and ends.
    if isinstance(value, str) and (not value or JSON_SEPARATOR in value or JSON_NULL in value):
        return "must be JSON"
    return _text_fault(value)


_FAULTS: Final[Mapping[ColumnType, Check]] = MappingProxyType(
    {
        ColumnType.UUID: _uuid_fault,
        ColumnType.TEXT: _text_fault,
        ColumnType.BIGINT: _bigint_fault,
        ColumnType.BYTES: _bytes_fault,
        ColumnType.JSON: _json_fault,
        ColumnType.TIMESTAMP: _timestamp_fault,
    }
)


def _are_bigints(values: Collection[int]) -> bool:
    return min(values) >= -_BIGINT_MAX and max(values) <= _BIGINT_MAX


def _are_uuids(values: Collection[str]) -> bool:
    text = ",".join(values) + ","
    # As many commas as values: each is one UUID.
    expected = _UUID_ENDED * len(values)
    return text.isascii() and text.encode().translate(_DIGITS_TO_0) == expected


def _are_texts(values: Collection[str]) -> bool:
    return _text_fault("".join(values)) is None


def _are_json(values: Collection[str]) -> bool:
    return all(values) and _json_fault("".join(values)) is None


def _are_times(values: Collection[datetime]) -> bool:
    return all(value.tzinfo is not None for value in values)


_SOUND: Final[Mapping[ColumnType, tuple[type, Callable[[Collection[Any]], bool]]]] = (
    MappingProxyType(
        {
            ColumnType.UUID: (str, _are_uuids),
            ColumnType.TEXT: (str, _are_texts),
            ColumnType.BIGINT: (int, _are_bigints),
            ColumnType.BYTES: (bytes, bool),
            ColumnType.JSON: (str, _are_json),
            ColumnType.TIMESTAMP: (datetime, _are_times),
        }
    )
)
"""For each column type, the Python type of its values, and a check that some of them, one at
least, are all sound."""


def are_values(kind: Kind, values: Collection[object]) -> bool:
    """Check at once whether `Column.fault` finds nothing wrong with any of these, one at least."""
    type_, nullable = kind
    types = set(map(type, values))
    if nullable:
        types.discard(NoneType)
    python_type, are_sound = _SOUND[type_]
    if types != {python_type}:
        return not types
    # As a set they lose what is null without a look at each.
    return are_sound(set(values) - {None} if nullable else values)


@dataclass(frozen=True, slots=True)
class Column:
    """One declared column."""

    name: str
    type: ColumnType
    nullable: bool = False

    @property
    def kind(self) -> Kind:
        """What its values may be."""
        return self.type, self.nullable

    def fault(self, value: object) -> str | None:
        """Say why ``value`` may not be in this column, or None if it may."""
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
    """The columns given for a new row: those of the key, then all others but Storage's own."""
    required: frozenset[str] = field(init=False, repr=False)
    """Those of them that must not be null."""
    key_of: Callable[[Mapping[str, object]], object] = field(init=False, repr=False, compare=False)
    """Takes the key out of a row: its one value, or a tuple of several."""

    def __post_init__(self) -> None:
        """Precompute by name what every operation needs."""
        own = {*self.key, "version"} if self.versioned else {*self.key}
        by_name = {column.name: column for column in self.columns}
        object.__setattr__(self, "by_name", by_name)
        given = (*self.key, *[name for name in by_name if name not in own])
        object.__setattr__(self, "given", given)
        required = frozenset(name for name in given if not by_name[name].nullable)
        object.__setattr__(self, "required", required)
        column, *others = self.key
        object.__setattr__(self, "key_of", itemgetter(column, *others))
