"""What client generators make of the schemas in ``/openapi.json``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from app.http.endpoints import ENDPOINTS
from app.http.openapi import describe, with_openapi

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT = describe(with_openapi(ENDPOINTS))


def shapes(node: Any = DOCUMENT, place: str = "$") -> Iterator[tuple[str, dict[str, Any]]]:
    """Return every object of the document, schemas among them, and where it stands."""
    if isinstance(node, dict):
        members = cast("dict[str, Any]", node)
        yield place, members
        for name, each in members.items():
            yield from shapes(each, f"{place}.{name}")
    elif isinstance(node, list):
        for index, each in enumerate(cast("list[Any]", node)):
            yield from shapes(each, f"{place}[{index}]")


def named(name: str, member: str) -> dict[str, Any]:
    """Find the schema of a type's member."""
    found: dict[str, Any] = DOCUMENT["components"]["schemas"][name]["properties"][member]
    return found


def test_no_number_is_left_to_be_taken_for_one_of_32_bits() -> None:
    """Amounts, ticks and entry numbers outgrow the ``int`` of Java, C#, Go and Rust."""
    integers = [(place, shape) for place, shape in shapes() if shape.get("type") == "integer"]
    assert len(integers) > 100
    for place, shape in integers:
        narrow = shape.get("maximum", 1 << 53) < 1 << 31 and "minimum" in shape
        header = place.startswith("$.components.headers")
        assert shape.get("format") == (None if narrow or header else "int64"), place
    numbers = [shape for _, shape in shapes() if shape.get("type") == "number"]
    assert numbers
    assert all(shape["format"] == "double" for shape in numbers)


@pytest.mark.parametrize(
    ("name", "member"), [("WorldDetails", "speed"), ("LevelRules", "duration_seconds")]
)
def test_number_with_a_fraction_or_without_is_a_number(name: str, member: str) -> None:
    """For a choice of integer or number, Kotlin's generator makes a class without members."""
    assert named(name, member) == {"type": "number", "format": "double"}
    values = named("RulesetDocument", "parameters")["additionalProperties"]
    assert values == {"type": "number", "format": "double"}


def test_ids_of_answers_are_of_the_type_that_paths_take_them_in() -> None:
    """A generated client passes an order's id unchanged to the call that cancels it."""
    taken = [
        parameter["schema"]
        for _, parameter in shapes()
        if parameter.get("in") == "path" and parameter["name"].endswith("_id")
    ]
    assert taken
    assert all(shape == {"type": "string", "format": "uuid"} for shape in taken)
    given = {
        f"{name}.{member}": shape
        for name, whole in DOCUMENT["components"]["schemas"].items()
        for member, shape in whole.get("properties", {}).items()
        if member == "id" or member.endswith("_id")
    }
    assert len(given) > 10
    assert [name for name, shape in given.items() if shape.get("format") != "uuid"] == []


def test_patterns_are_such_as_any_language_has() -> None:
    """Regular expressions in Rust, which pydantic uses, and in Go have no look-around at all."""
    patterns = [shape["pattern"] for _, shape in shapes() if isinstance(shape.get("pattern"), str)]
    assert len(patterns) > 1
    assert [each for each in patterns if "(?" in each or "\\" in each] == []
    assert all(each.startswith("^") and each.endswith("$") for each in patterns)


def test_types_that_a_member_tells_apart_are_one_of_them() -> None:
    """From ``anyOf`` a generator makes a type with the members of all, which fits none of them."""
    told = [(place, shape) for place, shape in shapes() if "discriminator" in shape]
    assert told
    for place, shape in told:
        assert "anyOf" not in shape, place
        assert {each["$ref"] for each in shape["oneOf"]} == {
            *shape["discriminator"]["mapping"].values()
        }


def test_object_of_any_members_says_so() -> None:
    """An object described by nothing becomes one without members in TypeScript."""
    bare = [
        place
        for place, shape in shapes()
        if shape.get("type") == "object"
        if shape.keys().isdisjoint({"properties", "additionalProperties"})
    ]
    assert bare == []
    assert named("AuditEntryDetails", "detail") == {"type": "object", "additionalProperties": {}}


def test_choice_of_words_is_text() -> None:
    """To generators, an enumeration without a type is any value."""
    choices = [(place, shape) for place, shape in shapes() if isinstance(shape.get("enum"), list)]
    assert len(choices) > 10
    assert [place for place, shape in choices if shape.get("type") != "string"] == []


def test_descriptions_are_markdown() -> None:
    """A line indented by four spaces is code to whatever renders the document."""
    told = [
        (place, shape["description"])
        for place, shape in shapes()
        if isinstance(shape.get("description"), str)
    ]
    assert told
    assert [place for place, text in told if "\n    " in text or text != text.strip()] == []
