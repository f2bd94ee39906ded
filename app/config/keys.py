"""The keys of the configuration as data, for the loader and the renderer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Final, cast, get_args

import msgspec
from msgspec import Meta, inspect

from app.config.errors import ConfigError
from app.config.secret import Secret
from app.config.sections import Config

SHOWN_MAX = 60
"""How many characters of a refused value an error quotes."""

_INTEGER_BITS: Final = 63
"""How large integers are in TOML, apart from their sign."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its place, its type, its meaning."""

    section: str
    name: str
    type: Any
    shape: inspect.Type
    default: object
    description: str
    path_kind: str | None

    @property
    def path(self) -> str:
        """The key's name in messages: ``http.port``."""
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable that sets it: ``HOLDFAST_HTTP__PORT``."""
        return f"HOLDFAST_{self.section}__{self.name}".upper()

    @property
    def secret(self) -> bool:
        """Whether its value may neither be in the file nor be shown."""
        return isinstance(self.shape, inspect.CustomType)

    @property
    def table(self) -> bool:
        """Whether it is a table of numbers rather than one value."""
        return isinstance(self.shape, inspect.DictType)

    @property
    def text(self) -> bool:
        """Whether it is a string."""
        return self.secret or isinstance(self.shape, inspect.StrType | inspect.LiteralType)

    @property
    def switch(self) -> bool:
        """Whether it is true or false."""
        return isinstance(self.shape, inspect.BoolType)

    def check(self, value: object, source: str) -> object:
        """Return ``value`` as this key's type.

        Raises:
            ConfigError: it has another type (strictly: true, 5.0 and "5" are not 5), is out of
                range, is a path that no file can have, or is another text that is not UTF-8.
        """
        if self.table:
            _check_members(self.path, value, source)
        if isinstance(value, str):
            self._check_text(value, source)
        try:
            checked = msgspec.convert(value, self.type, strict=True, dec_hook=_make_secret)
        except msgspec.ValidationError:
            checked = None
        if checked is None or (isinstance(checked, float) and not isfinite(checked)):
            shown = "this value" if self.secret else show(value)
            problem = f"must be {expectation(self.shape)}, not {shown}"
            raise ConfigError(source, self.path, problem)
        return checked

    def _check_text(self, text: str, source: str) -> None:
        if self.path_kind is not None:
            _check_path(self.path, text, source)
        elif not _is_utf8(text):
            raise ConfigError(source, self.path, "is not UTF-8 text")


def all_keys() -> dict[str, Key]:
    """Return every key by its path, in the order of the file."""
    found: dict[str, Key] = {}
    for section in msgspec.structs.fields(Config):
        for field in msgspec.structs.fields(section.type):
            key = describe(section.name, field, getattr(section.default, field.name))
            found[key.path] = key
    return found


def number_of(shape: inspect.Type) -> inspect.Type:
    """Return the widest number type in a type: of several, the last one."""
    if not isinstance(shape, inspect.UnionType):
        return shape
    return [each for each in shape.types if not isinstance(each, inspect.NoneType)][-1]


def expectation(shape: inspect.Type) -> str:
    """Describe in words the values that a type takes."""
    match shape:
        case inspect.IntType() | inspect.FloatType():
            return _expected_number(shape)
        case inspect.UnionType():
            return expectation(number_of(shape))
        case inspect.LiteralType():
            return "one of " + ", ".join(show(choice) for choice in shape.values)
        case inspect.BoolType():
            return "true or false"
        case inspect.DictType():
            return "a table of numbers"
        case inspect.StrType(min_length=1, max_length=None):
            return "a non-empty string"
        case inspect.StrType(min_length=int(least), max_length=int(most)):
            return f"a string of {least} to {most} characters"
        case _:
            return "a string"


def _expected_number(shape: inspect.IntType | inspect.FloatType) -> str:
    kind = "a whole number" if isinstance(shape, inspect.IntType) else "a number"
    least = f"above {shape.gt}" if shape.ge is None else f"from {shape.ge}"
    return f"{kind} {least} to {shape.le}"


def show(value: object) -> str:
    """Write a value as TOML would, shortened to fit on a line."""
    match value:
        case bool():
            written = "true" if value else "false"
        case str():
            written = json.dumps(value, ensure_ascii=False)
        case int() if value.bit_length() > _INTEGER_BITS:
            # It may have more digits than Python prints.
            written = "an integer of more than 64 bits"
        case dict():
            written = "a table"
        case list():
            written = "a list"
        case _:
            written = str(value)
    return written if len(written) <= SHOWN_MAX else written[: SHOWN_MAX - 1] + "…"


def describe(section: str, field: msgspec.structs.FieldInfo, default: object) -> Key:
    """Make a key from its field; raises TypeError if the field has no description."""
    meta = next((each for each in get_args(field.type) if isinstance(each, Meta)), Meta())
    if not meta.description:
        raise TypeError(f"{section}.{field.name} has no description")
    info = inspect.type_info(field.type)
    # msgspec leaves the members of `extra` open; sections.py uses only strings.
    extra = cast("dict[str, str]", meta.extra or {})
    return Key(
        section=section,
        name=field.name,
        type=field.type,
        shape=info.type if isinstance(info, inspect.Metadata) else info,
        default=default,
        description=meta.description,
        path_kind=extra.get("path"),
    )


def _is_utf8(text: str) -> bool:
    """Whether a text can be sent to clients; bytes of the environment may not be UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _make_secret(kind: type, value: object) -> Secret:
    """Convert to the only type that msgspec does not know."""
    if kind is not Secret or not isinstance(value, str):
        raise TypeError
    return Secret(value)


def _check_path(key: str, path: str, source: str) -> None:
    """Refuse a path that contains NUL, or begins with ``~`` for a home that is not known."""
    if "\0" in path:
        raise ConfigError(source, key, f"must be a path, not {show(path)}")
    try:
        Path(path).expanduser()
    except RuntimeError:
        problem = f"must be a path, not {show(path)}: that home directory is not known"
        raise ConfigError(source, key, problem) from None


def _check_members(path: str, table: object, source: str) -> None:
    """Refuse a member of a table that is not a usable number; the error names it."""
    members = cast("dict[str, object]", table) if isinstance(table, dict) else {}
    for name, value in members.items():
        if not _is_number(value):
            raise ConfigError(source, f"{path}.{name}", f"must be a number, not {show(value)}")


def _is_number(value: object) -> bool:
    """Whether a value is a finite number, and if it is an integer, one that TOML can hold."""
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return value.bit_length() <= _INTEGER_BITS
    return isinstance(value, float) and isfinite(value)
