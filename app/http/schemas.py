"""The types' JSON schemas as they stand in ``/openapi.json``: true, and plain to generators.

A member with a default is taken by generators of clients for one that is always there. It is told
here as what it is: one that may be absent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_REF: Final = "#/components/schemas/{name}"


def schemas_of(types: Sequence[Any]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """Give the schema of each type, and the components that they refer to."""
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    for component in components.values():
        _tell_absence(component)
    return dict(zip(types, schemas, strict=True)), components


def query_parameters(type_: type[Any]) -> list[dict[str, Any]]:
    """Describe a query string's parameters; the default of one is kept where it says something."""
    _, components = msgspec.json.schema_components([type_])
    schema: dict[str, Any] = components[type_.__name__]
    parameters: list[dict[str, Any]] = []
    for name, shape in schema["properties"].items():
        if _says_nothing(shape.get("default")):
            shape.pop("default", None)
        # No query string can say null.
        _exclude_null(shape)
        required = name in schema["required"]
        parameters.append({"name": name, "in": "query", "required": required, "schema": shape})
    return parameters


def _tell_absence(component: dict[str, Any]) -> None:
    """Turn the defaults of a type's members into words."""
    members: Mapping[str, dict[str, Any]] = component.get("properties", {})
    # Requests alone refuse unknown members. In an answer what has a default is left out, so that
    # it is never null; a request may say either.
    is_request = component.get("additionalProperties") is False
    for shape in members.values():
        if "default" not in shape:
            continue
        default = shape.pop("default")
        if not _says_nothing(default):
            shape["description"] = f"`{msgspec.json.encode(default).decode()}` if absent"
        if not is_request:
            _exclude_null(shape)


def _says_nothing(default: object) -> bool:
    # What is absent would be nothing anyway.
    return default in (None, "", [], {})


def _exclude_null(shape: dict[str, Any]) -> None:
    kinds: list[dict[str, Any]] = shape.pop("anyOf", [])
    left = [kind for kind in kinds if kind.get("type") != "null"]
    if len(left) == 1:
        shape.update(left[0])
    elif left:
        shape["anyOf"] = left
