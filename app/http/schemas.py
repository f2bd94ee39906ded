"""The types' JSON schemas in ``/openapi.json``: true, and suited to client generators.

Client generators take a member with a default for one that is always present. It is described
here as what it is: one that may be absent.

Most generators use 32 bits for a number without a format, and a separate, often empty type for a
choice between integers and numbers. So integers are ``int64`` unless their bounds are narrower,
numbers ``double``, and anything that may have a fraction is a number. Types distinguished by a
member are ``oneOf``: with ``anyOf`` a generator would merge the members of all.
"""

from __future__ import annotations

from inspect import cleandoc
from math import inf
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_REF: Final = "#/components/schemas/{name}"
_MEMBERS: Final = frozenset({"properties", "additionalProperties"})
_INT32_MIN: Final = -(1 << 31)
_INT32_MAX: Final = (1 << 31) - 1


def schemas_of(types: Sequence[Any]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """Return the schema of each type, and the components that they refer to."""
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    for component in components.values():
        _tell_absence(component)
        if "description" in component:
            # Markdown takes indented text, as in a docstring, for code.
            component["description"] = cleandoc(component["description"])
    for shape in (*schemas, *components.values()):
        _make_plain(shape)
    return dict(zip(types, schemas, strict=True)), components


def query_parameters(type_: type[Any]) -> list[dict[str, Any]]:
    """Describe a query string's parameters; a default is kept if it is informative."""
    _, components = msgspec.json.schema_components([type_])
    schema: dict[str, Any] = components[type_.__name__]
    parameters: list[dict[str, Any]] = []
    for name, shape in schema["properties"].items():
        if _says_nothing(shape.get("default")):
            shape.pop("default", None)
        # A query string cannot express null.
        _exclude_null(shape)
        _make_plain(shape)
        required = name in schema["required"]
        parameters.append({"name": name, "in": "query", "required": required, "schema": shape})
    return parameters


def _tell_absence(component: dict[str, Any]) -> None:
    """Turn the defaults of a type's members into words."""
    members: Mapping[str, dict[str, Any]] = component.get("properties", {})
    # Only requests refuse unknown members. An answer omits members that have their default, so
    # they are never null; a request may do either.
    is_request = component.get("additionalProperties") is False
    for shape in members.values():
        if "default" not in shape:
            continue
        default = shape.pop("default")
        if not _says_nothing(default):
            shape["description"] = f"`{msgspec.json.encode(default).decode()}` if absent"
        if not is_request:
            _exclude_null(shape)


def _make_plain(shape: dict[str, Any]) -> None:
    """Rewrite a schema, recursively, into the form that client generators read best."""
    _plain_numbers(shape)
    if "discriminator" in shape:
        shape["oneOf"] = shape.pop("anyOf")
    if "pattern" in shape:
        # Other languages need no guard of `$` against a line feed, and mostly lack this one.
        shape["pattern"] = shape["pattern"].replace(r"(?!\n)$", "$")
    if shape.get("type") == "object" and shape.keys().isdisjoint(_MEMBERS):
        shape["additionalProperties"] = {}
    if all(isinstance(each, str) for each in shape.get("enum", (None,))):
        shape["type"] = "string"
    inner: list[Any] = [*shape.get("properties", {}).values(), *shape.get("anyOf", ())]
    inner += [shape.get("items"), shape.get("additionalProperties")]
    for each in inner:
        if isinstance(each, dict):
            _make_plain(cast("dict[str, Any]", each))


def _plain_numbers(shape: dict[str, Any]) -> None:
    kinds: list[dict[str, Any]] = shape.get("anyOf", [])
    if {"type": "integer"} in kinds and {"type": "number"} in kinds:
        kinds.remove({"type": "integer"})
        _unwrap(shape)
    if shape.get("type") == "integer" and not _fits_int32(shape):
        shape["format"] = "int64"
    elif shape.get("type") == "number":
        shape["format"] = "double"


def _fits_int32(shape: Mapping[str, Any]) -> bool:
    least: float = shape.get("minimum", -inf)
    most: float = shape.get("maximum", inf)
    return least >= _INT32_MIN and most <= _INT32_MAX


def _says_nothing(default: object) -> bool:
    # Absence means the same as these.
    return default in (None, "", [], {})


def _exclude_null(shape: dict[str, Any]) -> None:
    if "anyOf" in shape:
        shape["anyOf"] = [kind for kind in shape["anyOf"] if kind.get("type") != "null"]
        _unwrap(shape)


def _unwrap(shape: dict[str, Any]) -> None:
    """Replace a choice of one by that one."""
    if len(shape["anyOf"]) == 1:
        shape.update(shape.pop("anyOf")[0])
