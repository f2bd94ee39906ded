"""Strict JSON: bytes in, a typed value out; nothing passes that JSON does not allow.

The standard library accepts NaN, Infinity, duplicate members and lone surrogates, and fails on
deep nesting; msgspec's decoder keeps the last of duplicate members. So the standard library's
scanner parses (with hooks that refuse), and msgspec then checks the value against the type
without converting anything: ``true``, ``1.0`` and ``"5"`` are not the integer 5.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

import msgspec

from app.http.errors import FieldError, InvalidRequest, MalformedJson

if TYPE_CHECKING:
    from collections.abc import Container

T = TypeVar("T")

DEPTH_MAX = 32
"""How deep objects and arrays may be nested."""

_DIGITS_MAX = 64
# An integer longer than `_DIGITS_MAX` is out of every range; its value is never used.
_OUT_OF_RANGE = int("9" * _DIGITS_MAX)

# A string, even an unterminated one, is one token, so that the scan is linear for every input.
_STRUCTURE = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
# Where msgspec reports the fault: `$.a.b[0]`; `[...]` is any value of a map, and "`key` in"
# precedes the map if one of its names is at fault.
_PLACE = re.compile(r" - at (`key` in )?`\$?\.?([^`]*)`\Z")
_UNKNOWN = "Object contains unknown field `"
_NAMED_FIELD = re.compile(r"^Object (?:missing required|contains unknown) field `(.*)`", re.DOTALL)


def decode_body(body: bytes, type_: type[T]) -> T:
    """Decode a request's body as ``type_``.

    Raises:
        MalformedJson: it is not JSON, or breaks the limits of `parse`.
        InvalidRequest: it is JSON, but not of this type.
    """
    return convert(parse(body), type_)


def convert(value: object, type_: type[T]) -> T:
    """Check plain data against a type without converting any value.

    Raises:
        InvalidRequest: it is not of this type; the error names the first faulty field.
    """
    try:
        return msgspec.convert(value, type_, strict=True)
    except msgspec.ValidationError as error:
        fault = field_error(str(error), _members_of(value))
        raise InvalidRequest(_named_in_map(fault, value, type_)) from None


def parse(body: bytes) -> object:
    """Parse JSON text (RFC 8259) into plain data.

    Beyond what the grammar forbids, it refuses duplicate members, lone surrogates, NUL in a
    string, nesting beyond `DEPTH_MAX`, and a byte order mark.

    Raises:
        MalformedJson: the text is refused; the message says why.
    """
    if not body:
        raise MalformedJson("the body is empty; a JSON object is expected")
    if _too_deep(body):
        raise MalformedJson(f"nested more than {DEPTH_MAX} deep")
    try:
        value: object = _DECODER.decode(body.decode())
    except UnicodeDecodeError:
        raise MalformedJson("the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        reason = error.msg.removesuffix(" at").removesuffix(" starting")
        raise MalformedJson(
            f"not JSON: {reason}, line {error.lineno} column {error.colno}"
        ) from None
    if b"\\u" in body:
        _check_strings(value)
    return value


def field_error(message: str, members: Container[str] = ()) -> FieldError:
    """Split msgspec's message into the faulty field and its fault.

    The message does not say which value of a map is faulty: that becomes ``map.*``. ``members``
    are the names in the value itself: an unknown one may look as if a place followed it.
    """
    place = _PLACE.search(message)
    if message.startswith(_UNKNOWN) and message[len(_UNKNOWN) : -1] in members:
        place = None
    field = place[2].replace("[...]", ".*").removeprefix(".") if place else ""
    text = message[: place.start()] if place else message
    if place and place[1]:
        text = f"a name in it is not valid: {text}"
    named = _NAMED_FIELD.match(text)
    if named:
        field = f"{field}.{named[1]}" if field else named[1]
    return FieldError(field, text.replace("`", ""))


def _named_in_map(fault: FieldError, value: object, type_: type) -> FieldError:
    """Replace ``*`` by the name of the first faulty value of a map.

    Only for a map that is a member of ``value`` itself; others keep the ``*``.
    """
    field, star, rest = fault.field.partition(".*")
    if star:
        for name, member in _members_of(_members_of(value).get(field)).items():
            try:
                msgspec.convert({field: {name: member}}, type_, strict=True)
            except msgspec.ValidationError as error:
                if field_error(str(error)) == fault:
                    return FieldError(f"{field}.{name}{rest}", fault.message)
    return fault


def _members_of(value: object) -> dict[str, object]:
    """Return an object's members; a value that is not an object has none."""
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _too_deep(body: bytes) -> bool:
    if body.count(b"{") + body.count(b"[") <= DEPTH_MAX:
        return False
    depth = 0
    for token in _STRUCTURE.finditer(body):
        first = body[token.start()]
        if first in b"{[":
            depth += 1
            if depth > DEPTH_MAX:
                return True
        elif first in b"}]":
            depth -= 1
    return False


def _check_strings(value: object) -> None:
    """Refuse what only an escape can put into a string: NUL and lone surrogates."""
    if isinstance(value, str):
        if "\0" in value:
            raise MalformedJson("a string contains NUL")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise MalformedJson("a string contains a lone surrogate") from None
    elif isinstance(value, dict):
        for name, member in cast("dict[str, object]", value).items():
            _check_strings(name)
            _check_strings(member)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            _check_strings(item)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedJson("an object has two members with the same name")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedJson(f"{name} is not JSON")


def _whole_number(text: str) -> int:
    if len(text) <= _DIGITS_MAX:
        return int(text)
    return -_OUT_OF_RANGE if text.startswith("-") else _OUT_OF_RANGE


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_constant=_refuse_constant, parse_int=_whole_number
)
