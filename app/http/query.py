"""Query strings, typed as strictly as bodies: unknown, repeated and odd parameters are refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import parse_qsl

import msgspec

from app.http.errors import FieldError, InvalidRequest
from app.http.json import convert

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")

PARAMETERS_MAX = 32
"""How many parameters a query string may have."""

# Wider than any bound, so that a number out of range is reported as such, not as no number.
_WHOLE_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,39})")


def parameters(query: bytes) -> dict[str, str]:
    """Split a query string into its parameters.

    Raises:
        InvalidRequest: a parameter is repeated or contains NUL, or there are too many.
    """
    try:
        pairs = parse_qsl(
            query.decode("latin-1"), keep_blank_values=True, max_num_fields=PARAMETERS_MAX
        )
    except ValueError:
        raise InvalidRequest(FieldError("", f"more than {PARAMETERS_MAX} parameters")) from None
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise InvalidRequest(FieldError(repeated, "given more than once"))
    for name, value in pairs:
        if "\0" in name or "\0" in value:
            raise InvalidRequest(FieldError(name.replace("\0", ""), "contains NUL"))
    return values


class QueryDecoder(Generic[T]):
    """Decodes query strings as one type, whose fields are integers or strings."""

    def __init__(self, type_: type[T]) -> None:
        self._type = type_
        self._numbers = frozenset(_integer_fields(type_))

    def decode(self, query: bytes) -> T:
        """Decode a query string.

        Raises:
            InvalidRequest: it does not fit the type.
        """
        values: dict[str, str | int] = {}
        for name, text in parameters(query).items():
            whole = name in self._numbers and _WHOLE_NUMBER.fullmatch(text)
            values[name] = int(text) if whole else text
        return convert(values, self._type)


def _integer_fields(type_: type) -> Iterator[str]:
    info = msgspec.inspect.type_info(type_)
    if not isinstance(info, msgspec.inspect.StructType):
        raise TypeError(f"a query is described by a msgspec.Struct, not by {type_!r}")
    for field in info.fields:
        kinds = (
            field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
        )
        if any(isinstance(kind, msgspec.inspect.IntType) for kind in kinds):
            yield field.encode_name
