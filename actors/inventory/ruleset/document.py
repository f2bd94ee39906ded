"""Reading a ruleset file: from text to a `Document`, with every fault of shape named."""

from __future__ import annotations

import hashlib
import json
import math
import re
import tomllib
import types
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, cast, get_args, get_origin

import msgspec

from actors.inventory.ruleset.errors import Problem, RulesetError
from actors.inventory.ruleset.names import nearest
from actors.inventory.ruleset.schema import Document

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

BYTES_MAX = 1_000_000
KEY_PARTS_MAX: Final = 16
"""How many parts a dotted key may have: tomllib may take quadratic time and memory for them."""

VERSION_DIGITS = 16

_PLACE = re.compile(r"(.*) - at `\$(.*)`", re.DOTALL)
_KEY_PART: Final = r"""(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+"""
_LONG_KEY: Final = re.compile(
    rf"(?:^|[\[{{,])[ \t]*+(?:{_KEY_PART}){{{KEY_PARTS_MAX}}}", re.ASCII | re.MULTILINE
)
_INTEGER_BITS: Final = 63
"""How large integers are in TOML, apart from their sign."""

_SEMANTICS = "holdfast ruleset 1"  # goes into the version: equal text, equal meaning


def parse_toml(content: bytes, file: str) -> dict[str, Any]:
    """Return the tables of a TOML file; raises RulesetError if it is not one."""
    if len(content) > BYTES_MAX:
        message = f"a ruleset has at most {BYTES_MAX} bytes, not {len(content)}"
        raise RulesetError(file, [Problem("", message)])
    try:
        # Some editors put a byte order mark at the beginning.
        data = _tables(content.decode("utf-8-sig"))
        inexact = [*_inexact(data, "")]
    except UnicodeDecodeError as error:
        raise RulesetError(file, [Problem("", "not UTF-8 text")]) from error
    except (ValueError, RecursionError) as error:
        raise RulesetError(file, [Problem("", f"not TOML: {error}")]) from error
    if inexact:
        raise RulesetError(file, inexact)
    return data


def _tables(text: str) -> dict[str, Any]:
    """Return the tables of a TOML text; raises ValueError, RecursionError if it is not one."""
    if _LONG_KEY.search(text) is not None:
        raise ValueError(f"a key has more than {KEY_PARTS_MAX} parts")
    return tomllib.loads(text, parse_float=_number)


def read_document(data: Mapping[str, Any], file: str) -> Document:
    """Return the typed document; raises RulesetError with every fault of shape."""
    problems: list[Problem] = []
    document: Document | None = _read(Document, data, "", problems)
    if document is None or problems:
        raise RulesetError(file, problems)
    return document


def archive_text(name: str, data: Mapping[str, Any], parameters: Mapping[str, float]) -> str:
    """Return everything that makes up a ruleset, as JSON text in the order of the file."""
    return json.dumps({"name": name, "parameters": dict(parameters), "rules": data})


def version_of(data: Mapping[str, Any], parameters: Mapping[str, float]) -> str:
    """Return the digest of content and parameters; comments, order and layout do not count."""
    text = json.dumps([_SEMANTICS, dict(parameters), data], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:VERSION_DIGITS]


class _Inexact(float):
    """A number that is not exactly what was written; TOML itself promises no exactness."""

    written: str


def _number(text: str) -> float:
    value = float(text)
    try:
        exact = math.isfinite(value) and Decimal(text) == Decimal(repr(value))
    except ArithmeticError:
        exact = False
    if exact:
        return value
    inexact = _Inexact(value)
    inexact.written = text
    return inexact


def _inexact(value: Any, where: str) -> Iterator[Problem]:
    """Find the numbers that cannot be kept exactly, wherever they occur."""
    if isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            yield from _inexact(item, _under(where, key))
    elif isinstance(value, list):
        for place, item in enumerate(cast("Iterable[Any]", value)):
            yield from _inexact(item, f"{where}[{place}]")
    elif isinstance(value, _Inexact):
        if math.isfinite(value):
            reason = "cannot be represented exactly: write it as a formula, in quotes"
        else:
            reason = "is not a finite number"
        yield Problem(where, f"{value.written:.60} {reason}")
    elif isinstance(value, int) and value.bit_length() > _INTEGER_BITS:
        yield Problem(where, "is too large: an integer must lie between -2^63 and 2^63")


def _read(kind: Any, value: Any, where: str, problems: list[Problem]) -> Any:
    """Return ``value`` as ``kind``, continuing after a fault so that all of them are reported."""
    origin: Any = get_origin(kind)
    if _is_plain_table(kind):
        return _read_struct(kind, value, where, problems)
    if origin is Literal:
        return _read_choice(get_args(kind), value, where, problems)
    if isinstance(kind, types.UnionType) and isinstance(value, dict):
        return _read_either(kind, cast("dict[str, Any]", value), where, problems)
    if origin is dict and isinstance(value, dict):
        inner = get_args(kind)[1]
        items = cast("dict[str, Any]", value).items()
        return {key: _read(inner, item, _under(where, key), problems) for key, item in items}
    if origin is list and isinstance(value, list):
        inner = get_args(kind)[0]
        places = enumerate(cast("Iterable[Any]", value))
        return [_read(inner, item, f"{where}[{place}]", problems) for place, item in places]
    return _convert(kind, value, where, problems)


def _read_either(
    kind: types.UnionType, table: dict[str, Any], where: str, problems: list[Problem]
) -> Any:
    """Read a table where one of several kinds of value is allowed."""
    members: tuple[Any, ...] = get_args(kind)
    tables = [member for member in members if _is_plain_table(member)]
    if len(tables) == 1:
        return _read_struct(tables[0], table, where, problems)
    if all(map(_is_table, members)):
        return _read_tagged(members, table, where, problems)
    return _convert(kind, table, where, problems)


def _read_choice(
    choices: tuple[str, ...], value: object, where: str, problems: list[Problem]
) -> Any:
    if value in choices:
        return value
    problems.append(Problem(where, f"{value!r:.60} is not one of: {', '.join(choices)}"))
    return None


def _read_tagged(
    kinds: tuple[type[msgspec.Struct], ...],
    table: Mapping[str, Any],
    where: str,
    problems: list[Problem],
) -> Any:
    """Read a table of one of several shapes, selected by one of its keys, the tag."""
    by_tag = {str(kind.__struct_config__.tag): kind for kind in kinds}
    field = str(kinds[0].__struct_config__.tag_field)
    if field not in table:
        problems.append(Problem(_under(where, field), f"is missing; one of: {', '.join(by_tag)}"))
        return None
    tag = _read_choice(tuple(by_tag), table[field], _under(where, field), problems)
    return None if tag is None else _read_struct(by_tag[tag], table, where, problems)


def _read_struct(
    kind: type[msgspec.Struct], value: object, where: str, problems: list[Problem]
) -> Any:
    if not isinstance(value, dict):
        problems.append(Problem(where, f"expected a table, got {_toml_type(value)}"))
        return None
    table = cast("dict[str, Any]", value)
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    tag = kind.__struct_config__.tag_field
    known = [*fields] if tag is None else [tag, *fields]
    before = len(problems)
    for key in table:
        if key not in known:
            near = nearest(key, known)
            hint = f"did you mean {near}? Known" if near else "known"
            message = f"unknown key; {hint} keys: {', '.join(known)}"
            problems.append(Problem(_under(where, key), message))
    for name, field in fields.items():
        if field.required and name not in table:
            problems.append(Problem(_under(where, name), "is missing"))
    given = {
        name: _read(fields[name].type, item, _under(where, name), problems)
        for name, item in table.items()
        if name in fields
    }
    return kind(**given) if len(problems) == before else None


def _convert(kind: Any, value: Any, where: str, problems: list[Problem]) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        text = str(error)
        matched = _PLACE.fullmatch(text)
        message, place = (matched[1], matched[2]) if matched else (text, "")
        message = message[:1].lower() + message[1:].replace("`", "").replace(" | ", " or ")
        problems.append(Problem(where + place, message.replace("object", "table")))
        return None


def _is_plain_table(kind: Any) -> bool:
    """Return whether this is a table of one shape (modifiers have several, selected by a tag)."""
    return _is_table(kind) and kind.__struct_config__.tag is None


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _under(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _toml_type(value: object) -> str:
    names: dict[type, str] = {
        list: "an array",
        str: "a string",
        bool: "a boolean",
        int: "an integer",
        float: "a float",
    }
    return names.get(type(value), "a date or time")
