"""Columns of values as the text of PostgreSQL's arrays; pure.

A driver that encodes an array looks at its every element several times. One text for all of them
is made at a fraction of that, and the server reads it as quickly. The values must have been
checked: text holds no NUL, an integer is none of its subclasses.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from actors.storage.tables import ColumnType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def _bigints(values: Sequence[int | None]) -> str:
    return "{" + str(list(values))[1:-1].replace("None", "NULL") + "}"


def _uuids(values: Sequence[str | None]) -> str:
    # There is nothing to be quoted in a canonical one.
    return "{" + ",".join([value or "NULL" for value in values]) + "}"


def _texts(values: Sequence[str | None]) -> str:
    present = [value for value in values if value is not None]
    if len(present) < len(values):
        quoted = ["NULL" if value is None else f'"{_escaped(value)}"' for value in values]
        return "{" + ",".join(quoted) + "}"
    # NUL is in no value, so it stands between them while all are escaped at once.
    return '{"' + _escaped("\0".join(present)).replace("\0", '","') + '"}'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _bytes(values: Sequence[bytes | None]) -> str:
    quoted = ["NULL" if value is None else f'"\\\\x{value.hex()}"' for value in values]
    return "{" + ",".join(quoted) + "}"


ARRAY_LITERALS: Final[Mapping[ColumnType, Callable[[Sequence[Any]], str]]] = MappingProxyType(
    {
        ColumnType.UUID: _uuids,
        ColumnType.TEXT: _texts,
        ColumnType.BIGINT: _bigints,
        ColumnType.BYTES: _bytes,
        ColumnType.JSON: _texts,
    }
)
"""What makes the text of an array of one value or more (null is None), by their type."""
