"""Columns of values as text from which PostgreSQL makes arrays; pure.

A driver that encodes an array inspects each element several times. Building one text for all of
them costs a fraction of that, and the server reads it as quickly. The values must have been
checked: text holds no NUL, JSON no separator, an integer is not of a subclass.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeGuard

import msgspec

from actors.storage.tables import JSON_NULL, JSON_SEPARATOR, ColumnType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_ENCODER: Final = msgspec.json.Encoder()


def _bigints(values: Sequence[int | None]) -> str:
    # JSON differs in its brackets only: NULL may be in lower case.
    return "{" + _ENCODER.encode(values)[1:-1].decode() + "}"


def _all_present(values: Sequence[str | None]) -> TypeGuard[Sequence[str]]:
    return None not in values


def _uuids(values: Sequence[str | None]) -> str:
    # A canonical UUID needs no quoting.
    present = values if _all_present(values) else [value or "NULL" for value in values]
    return "{" + ",".join(present) + "}"


def _texts(values: Sequence[str | None]) -> str:
    if _all_present(values):
        # No value has a NUL, so it can separate them while all are escaped at once.
        return '{"' + _escaped("\0".join(values)).replace("\0", '","') + '"}'
    quoted = ["NULL" if value is None else f'"{_escaped(value)}"' for value in values]
    return "{" + ",".join(quoted) + "}"


def _jsons(values: Sequence[str | None]) -> str:
    # Escaping their many quotes would take longer than all else, and on the server too.
    present = values if _all_present(values) else [value or JSON_NULL for value in values]
    return JSON_SEPARATOR.join(present)


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
        ColumnType.JSON: _jsons,
    }
)
"""What makes the text of one value or more (null is None), by type."""
_JSON_ARRAY: Final = (
    f"string_to_array({{}}, e'\\x{ord(JSON_SEPARATOR):x}', e'\\x{ord(JSON_NULL):x}')"
)


def array_of(type_: ColumnType, parameter: str) -> str:
    """Return the SQL of the array that is given as a parameter; of JSON it has the texts."""
    if type_ is ColumnType.JSON:
        return _JSON_ARRAY.format(f"{parameter}::text")
    given = "::text" if type_ in ARRAY_LITERALS else ""
    return f"{parameter}{given}::{type_.value}[]"
