"""The client against ``/openapi.json``: it sends only what is accepted, reads what is promised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import httpx
import msgspec
import pytest

from holdfast_client import operations
from holdfast_client.events import End
from holdfast_client.operations import Nothing, Operation
from holdfast_client.retry import Repeat

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.e2e.server import Server

Json = dict[str, Any]

LEFT_OUT: Final = {
    "GET /healthz": "for what watches the process; a client asks whether the server is ready",
    "GET /problems/{slug}": "for people: a problem's type leads there",
    "GET /openapi.json": "for other clients",
    "GET /v1/events/ws": "for browsers; the same events",
    "GET /v1/admin/status": "for the console, which draws it; programs read /metrics",
    "GET /v1/admin/events": "for the console; programs read the log",
}
"""The calls that the client deliberately leaves out, and why."""

FOUND: Final = [
    cast("Operation[Any]", each)
    for each in vars(operations).values()
    if isinstance(each, Operation)
]
OPERATIONS: Final = {f"{each.method} {each.path}": each for each in FOUND}


@pytest.fixture(scope="module")
def document(server: Server) -> Json:
    """Read the server's description of its API."""
    response = httpx.get(f"{server.url}/openapi.json", trust_env=False)
    told: Json = response.json()
    return told


def calls(document: Json) -> dict[str, Json]:
    """Return every operation of the document by method and path."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_operations_cover_the_whole_api(document: Json) -> None:
    """The client has every call of the API, except those left out for a reason, and no others."""
    assert OPERATIONS.keys() | LEFT_OUT.keys() == calls(document).keys()
    assert not OPERATIONS.keys() & LEFT_OUT.keys()


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_is_as_the_server_describes_it(document: Json, name: str) -> None:
    """Status, body, query and answer match member by member; commands carry a key where allowed."""
    mine, theirs = OPERATIONS[name], calls(document)[name]
    statuses = {int(status) for status, each in theirs["responses"].items() if usual(each)}
    # A client that does not name the version it has never gets 304.
    statuses -= {304}
    assert {mine.status, *mine.also} == statuses
    headers = {each["name"] for each in theirs["parameters"] if each["in"] == "header"}
    assert (mine.repeat is Repeat.KEYED) == ("Idempotency-Key" in headers)
    assert (mine.repeat is Repeat.SAFE) == (mine.method == "GET")
    compare = Comparison(document)
    compare.body(mine, theirs)
    compare.query(mine, theirs)
    compare.answer(mine, theirs)
    assert compare.differences == []


def test_operations_know_every_end_of_a_stream(document: Json) -> None:
    """The client knows every reason that the server gives for ending a stream."""
    content = calls(document)["GET /v1/events"]["responses"]["200"]["content"]
    told = content["text/event-stream"]["x-event-data"]
    assert told.keys() == {end.value for end in End} | {"snapshot", "*"}


def usual(response: Json) -> bool:
    """Return whether a response is not a problem; those described elsewhere (``$ref``) are."""
    return "$ref" not in response and set(response.get("content", {})) != {
        "application/problem+json"
    }


class Comparison:
    """Compares the client's types with the server's schemas; collects the mismatches."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self.differences: list[str] = []

    def body(self, mine: Operation[Any], theirs: Json) -> None:
        """Check that every member sent is known, and every required one is sent."""
        content = theirs.get("requestBody", {}).get("content")
        assert (mine.body is None) == (content is None)
        if mine.body is not None and content is not None:
            self.sent(mine.body, content["application/json"]["schema"])

    def query(self, mine: Operation[Any], theirs: Json) -> None:
        """Check the same for the query string."""
        parameters = [each for each in theirs["parameters"] if each["in"] == "query"]
        schema = {
            "type": "object",
            "properties": {each["name"]: each["schema"] for each in parameters},
            "required": [each["name"] for each in parameters if each["required"]],
        }
        if mine.query is not None:
            self.sent(mine.query, schema)
        else:
            assert schema["required"] == []

    def answer(self, mine: Operation[Any], theirs: Json) -> None:
        """Check that every member read is promised."""
        content = theirs["responses"][str(mine.status)].get("content")
        assert (mine.answer is Nothing) == (content is None)
        if content is not None:
            (media,) = content.values()
            # A stream has a schema for each kind of event.
            told: Json = media.get("x-event-data", {"answer": media["schema"]})
            schema, components = schema_of(mine.answer)
            for name in told.keys() - {end.value for end in End}:
                self.reads(name, schema, components, told[name])

    def sent(self, type_: type, theirs: Json) -> None:
        """Compare a body or query string."""
        schema, components = schema_of(type_)
        schema = resolve(schema, components)
        theirs = resolve(theirs, self.document["components"]["schemas"])
        ours = schema["properties"]
        known = theirs["properties"]
        self.differences += [f"{name} is unknown" for name in ours.keys() - known.keys()]
        missing = set(theirs.get("required", [])) - set(schema.get("required", []))
        self.differences += [f"{name} is not always sent" for name in missing]
        for name in ours.keys() & known.keys():
            # A member left at its default is not sent.
            kinds = kinds_of(ours[name], components) - {"null"}
            if not kinds <= kinds_of(known[name], self.document["components"]["schemas"]):
                self.differences.append(f"{name} is sent as {sorted(kinds)}")

    def reads(self, place: str, mine: Json, components: Json, theirs: Json) -> None:
        """Compare the members read at one place and below it."""
        schemas: Json = self.document["components"]["schemas"]
        if not kinds_of(theirs, schemas) <= widened(kinds_of(mine, components)):
            told = f"{sorted(kinds_of(theirs, schemas))}, not {sorted(kinds_of(mine, components))}"
            self.differences.append(f"{place} is {told}")
            return
        for ours, others in zip(objects(mine, components), objects(theirs, schemas), strict=False):
            self._members(place, ours, components, others)

    def _members(self, place: str, ours: Json, components: Json, theirs: Json) -> None:
        promised: Json = theirs.get("properties", {})
        for name, schema in ours.get("properties", {}).items():
            if name not in promised:
                if "additionalProperties" not in theirs and name in ours.get("required", []):
                    self.differences.append(f"{place}.{name} is not promised")
                continue
            if name in ours.get("required", []) and name not in theirs.get("required", []):
                self.differences.append(f"{place}.{name} may be missing")
            self.reads(f"{place}.{name}", schema, components, promised[name])
        for part in ("additionalProperties", "items"):
            if isinstance(ours.get(part), dict) and theirs.get(part):
                self.reads(f"{place}[]", ours[part], components, theirs[part])


def schema_of(type_: type) -> tuple[Json, Json]:
    """Return the JSON schema of a type and the definitions that it refers to."""
    (schema,), components = msgspec.json.schema_components([type_])
    return schema, components


def resolve(schema: Json, components: Mapping[str, Json]) -> Json:
    """Follow a reference."""
    while "$ref" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]]
    return schema


def alternatives(schema: Json, components: Mapping[str, Json]) -> Iterator[Json]:
    """Yield each form that a value may have."""
    schema = resolve(schema, components)
    for each in schema.get("anyOf", [schema]):
        yield resolve(each, components)


def objects(schema: Json, components: Mapping[str, Json]) -> list[Json]:
    """Return the object forms."""
    forms = alternatives(schema, components)
    return [each for each in forms if each.get("type") in {"object", "array"}]


def kinds_of(schema: Json, components: Mapping[str, Json]) -> set[str]:
    """Return the JSON types that a value may have; empty if the schema leaves them open."""
    kinds: set[str] = set()
    for each in alternatives(schema, components):
        if "enum" in each or "const" in each:
            values = each.get("enum", [each.get("const")])
            kinds |= {"null" if value is None else "string" for value in values}
        elif "type" in each:
            kinds.add(each["type"])
    return kinds


def widened(kinds: set[str]) -> set[str]:
    """Return the types that can be read as these: an integer where any number can."""
    return kinds | {"integer"} if "number" in kinds else kinds


@pytest.mark.parametrize(
    ("mine", "theirs", "difference"),
    [
        ({"a": int}, {"a": int}, []),
        ({"a": float}, {"a": int}, []),
        ({"a": int}, {"a": float}, ["answer.a is ['number'], not ['integer']"]),
        ({"a": int}, {"a": int | None}, ["answer.a is ['integer', 'null'], not ['integer']"]),
        ({"a": int}, {"b": int}, ["answer.a is not promised"]),
        (
            {"a": dict[str, int]},
            {"a": dict[str, str]},
            ["answer.a[] is ['string'], not ['integer']"],
        ),
        (
            {"a": list[int]},
            {"a": list[int] | None},
            ["answer.a is ['array', 'null'], not ['array']"],
        ),
    ],
)
def test_comparison_sees_what_does_not_fit(mine: Json, theirs: Json, difference: list[str]) -> None:
    """The comparison above reports a member that is missing or of another type, and no others."""
    ours, others = (msgspec.defstruct("Answer", list(each.items())) for each in (mine, theirs))
    schema, components = schema_of(others)
    compare = Comparison({"components": {"schemas": components}})
    compare.reads("answer", *schema_of(ours), schema)
    assert compare.differences == difference
