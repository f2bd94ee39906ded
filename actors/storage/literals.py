"""Columns of values as text from which PostgreSQL makes arrays; pure.

A driver that encodes an array inspects each element several times. Building one text for all of
them costs a fraction of that, and the server reads it as quickly. The values must have been
checked: text holds no NUL, JSON no separator, an integer is not of a subclass.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors.storage.tables import JSON_NULL, JSON_SEPARATOR, ColumnType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from actors.storage.tables import Kind

_ENCODER: Final = msgspec.json.Encoder()
# Escaping their many quotes would take longer than all else, and on the server too.
_JSONS: Final = JSON_SEPARATOR.join


def _bigints(values: Sequence[int | None]) -> str:
    # JSON differs in its brackets only: NULL may be in lower case.
    return "{" + _ENCODER.encode(values)[1:-1].decode() + "}"


def _uuids(values: Sequence[str]) -> str:
    # A canonical UUID needs no quoting.
    return "{" + ",".join(values) + "}"


def _uuids_or_null(values: Sequence[str | None]) -> str:
    return _uuids([value or "NULL" for value in values])


def _texts(values: Sequence[str]) -> str:
    # No value has a NUL, so it can separate them while all are escaped at once.
    return '{"' + _escaped("\0".join(values)).replace("\0", '","') + '"}'


def _texts_or_null(values: Sequence[str | None]) -> str:
    quoted = ["NULL" if value is None else f'"{_escaped(value)}"' for value in values]
    return "{" + ",".join(quoted) + "}"


def _jsons_or_null(values: Sequence[str | None]) -> str:
    return _JSONS([value or JSON_NULL for value in values])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _bytes(values: Sequence[bytes | None]) -> str:
    quoted = ["NULL" if value is None else f'"\\\\x{value.hex()}"' for value in values]
    return "{" + ",".join(quoted) + "}"


ARRAY_LITERALS: Final[Mapping[Kind, Callable[[Sequence[Any]], str]]] = MappingProxyType(
    {
        (ColumnType.UUID, False): _uuids,
        (ColumnType.UUID, True): _uuids_or_null,
        (ColumnType.TEXT, False): _texts,
        (ColumnType.TEXT, True): _texts_or_null,
        (ColumnType.BIGINT, False): _bigints,
        (ColumnType.BIGINT, True): _bigints,
        (ColumnType.BYTES, False): _bytes,
        (ColumnType.BYTES, True): _bytes,
        (ColumnType.JSON, False): _JSONS,
        (ColumnType.JSON, True): _jsons_or_null,
    }
)
"""What makes the text of one value or more (null is None), by the kind of their column."""
_JSON_ARRAY: Final = (
    f"string_to_array({{}}, e'\\x{ord(JSON_SEPARATOR):x}', e'\\x{ord(JSON_NULL):x}')"
)


def array_of(type_: ColumnType, parameter: str) -> str:
    """Return the SQL of the array that is given as a parameter; of JSON it has the texts."""
    if type_ is ColumnType.JSON:
        return _JSON_ARRAY.format(f"{parameter}::text")
    given = "::text" if (type_, True) in ARRAY_LITERALS else ""
    return f"{parameter}{given}::{type_.value}[]"
