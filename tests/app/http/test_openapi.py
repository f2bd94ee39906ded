"""``/openapi.json``: valid, complete, and true of the server's answers."""

from __future__ import annotations

import inspect
import json
import typing
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import jsonschema
import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.http import types
from app.http.catalogue import PROBLEM_KINDS
from app.http.endpoint import Answer, Auth, Call, Endpoint, Key
from app.http.endpoints import ENDPOINTS
from app.http.openapi import describe, with_openapi
from app.http.slugs import slugs
from tests.app.http.harness import BEARER, ORDER_ID, FakeWorld, serving
from tests.app.http.rows import KEY, OWN, PUBLIC, Row

DOCUMENT = describe(with_openapi(ENDPOINTS))


def operation(endpoint: Endpoint) -> dict[str, Any]:
    """Find an endpoint's operation in the document."""
    path: dict[str, Any] = DOCUMENT["paths"][endpoint.template]
    found: dict[str, Any] = path[endpoint.method.lower()]
    return found


def check(instance: Any, schema: dict[str, Any]) -> None:
    """Validate an answer against a schema of the document."""
    whole = {**schema, "components": DOCUMENT["components"]}
    checker: Any = jsonschema.Draft202012Validator(
        whole, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    checker.validate(instance)


def test_document_is_valid_openapi_3_1() -> None:
    """The document is valid OpenAPI 3.1."""
    validator_class: Any = OpenAPIV31SpecValidator
    validator_class(DOCUMENT).validate()
    assert DOCUMENT["openapi"].startswith("3.1.")


def test_patterns_of_requests_let_no_line_feed_pass() -> None:
    """In Python the dollar alone also matches before a line feed at the end."""
    found: list[str] = []

    def look(members: dict[str, Any]) -> None:
        if isinstance(members.get("pattern"), str):
            found.append(members["pattern"])

    taken = {type_ for each in ENDPOINTS for type_ in (each.request, each.query) if type_}
    _, schemas = msgspec.json.schema_components(taken)
    json.loads(msgspec.json.encode(schemas), object_hook=look)
    assert found
    ends = [each.removesuffix(r"(?!\n)$") for each in found]
    assert not [each for each in ends if each.endswith(("$", r"\Z"))]


async def test_document_is_served_as_it_is_described() -> None:
    """``/openapi.json`` serves this document."""
    async with serving() as server:
        response = await server.client.get("/openapi.json")
        assert response.headers["content-type"] == "application/json"
        assert response.json() == msgspec.json.decode(msgspec.json.encode(DOCUMENT))


@pytest.mark.parametrize("endpoint", with_openapi(ENDPOINTS), ids=lambda endpoint: endpoint.name)
def test_document_describes_every_column_of_the_table(endpoint: Endpoint) -> None:
    """Each endpoint is there with its body, parameters, answers, problems and access rule."""
    described = operation(endpoint)
    assert described["operationId"] == endpoint.name
    assert described["summary"]
    assert described["security"] == ([] if endpoint.auth is Auth.NONE else [{"token": []}])
    assert ("requestBody" in described) == (endpoint.request is not None)
    statuses = {str(endpoint.status), *(str(status) for status, _ in endpoint.also)}
    if endpoint.etag is not None:
        statuses.add("304")
    problems = {str(PROBLEM_KINDS[slug].status.value) for slug in slugs(endpoint)}
    assert set(described["responses"]) == statuses | problems
    names = {parameter["name"] for parameter in described["parameters"]}
    assert names >= set(endpoint.parameters())
    required = {each["name"]: each["required"] for each in described["parameters"]}
    assert ("Idempotency-Key" in names) == (endpoint.key is not Key.NONE)
    assert required.get("Idempotency-Key", False) == (endpoint.key is Key.REQUIRED)
    assert ("If-None-Match" in names) == (endpoint.etag is not None)
    has_content = "content" in described["responses"][str(endpoint.status)]
    assert has_content == (endpoint.response is not None)


def test_operation_names_are_unique() -> None:
    """A generated client has one function per endpoint."""
    names = [endpoint.name for endpoint in with_openapi(ENDPOINTS)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_handler_takes_and_gives_what_its_row_says(endpoint: Endpoint) -> None:
    """The types in the table are those of the handler's own signature."""
    names = {"Call": Call, "Answer": Answer, "msgspec": msgspec}
    hints = typing.get_type_hints(
        endpoint.handler, localns={**names, **vars(typing), **_module_types(endpoint)}
    )
    body, query = typing.get_args(hints["call"])
    assert (body, query) == (endpoint.request or type(None), endpoint.query or type(None))
    answer = hints["return"]
    if typing.get_origin(answer) is Answer:
        (answer,) = typing.get_args(answer)
    if answer is not msgspec.Raw:
        assert answer == (endpoint.response or type(None))


def _module_types(endpoint: Endpoint) -> dict[str, Any]:
    handler: Any = endpoint.handler
    return dict(handler.__globals__)


def row_of(row: Row) -> Endpoint:
    """Find the endpoint of a call in the contract."""
    path = row.path.partition("?")[0]
    for endpoint in ENDPOINTS:
        template = endpoint.template
        concrete = template.replace("{slug}", "queue-full")
        for name in ("{order_id}", "{session_id}"):
            concrete = concrete.replace(name, ORDER_ID)
        if endpoint.method == row.method and concrete.lower() == path.lower():
            return endpoint
    raise AssertionError(row)


async def test_answers_are_what_the_document_says() -> None:
    """Every usual answer of the contract validates against its schema."""
    world = FakeWorld()
    async with serving(world) as server:
        for row in [*PUBLIC, *OWN]:
            endpoint = row_of(row)
            response = await server.client.request(
                row.method, row.path, json=row.body, headers=BEARER
            )
            described = operation(endpoint)["responses"][str(response.status_code)]
            if endpoint.response is None:
                assert "content" not in described
            else:
                check(response.json(), described["content"]["application/json"]["schema"])
        response = await server.client.post(
            "/v1/inventory/orders", json={"asset": "x"}, headers={**BEARER, **KEY}
        )
        schema = DOCUMENT["paths"]["/v1/inventory/orders"]["post"]["responses"]["201"]
        check(response.json(), schema["content"]["application/json"]["schema"])


async def test_problems_are_what_the_document_says() -> None:
    """A problem validates against its schema, and so does each of the document's examples."""
    problem = DOCUMENT["components"]["schemas"]["ProblemDetails"]
    async with serving() as server:
        check((await server.client.get("/nope")).json(), problem)
        check((await server.client.post("/v1/accounts", json={})).json(), problem)
    for example in DOCUMENT["components"]["examples"].values():
        check(example["value"], problem)


def test_document_tells_each_problem_once_and_none_in_vain() -> None:
    """Every problem kind belongs to an operation, and every component is referenced."""
    text = msgspec.json.encode(DOCUMENT).decode()
    assert DOCUMENT["components"]["examples"].keys() == PROBLEM_KINDS.keys()
    for part in ("examples", "headers", "responses", "schemas"):
        for name in DOCUMENT["components"][part]:
            assert f'"#/components/{part}/{name}"' in text
    for kind in PROBLEM_KINDS.values():
        description = msgspec.json.encode(kind.description).decode()
        # Once as the summary of its example, once as the example's detail.
        described = text.count(description) - (kind.slug == "idempotency-key-required") * 3
        assert described == 2, kind.slug


@pytest.mark.parametrize(
    ("path", "method", "body", "fits"),
    [
        ("/v1/accounts", "post", {"username": "ada", "password": "12345678"}, True),
        ("/v1/accounts", "post", {"username": "\ufb03", "password": "12345678"}, True),
        ("/v1/accounts", "post", {"username": "", "password": "12345678"}, False),
        ("/v1/accounts", "post", {"username": "a" * 257, "password": "12345678"}, False),
        ("/v1/accounts", "post", {"username": "ada", "password": "1234567"}, False),
        ("/v1/accounts", "post", {"username": "ada", "password": "x" * 1025}, False),
        (
            "/v1/accounts",
            "post",
            {"username": "ada", "password": "12345678", "admin": True},
            False,
        ),
        ("/v1/accounts", "post", {"username": "ada"}, False),
        (
            "/v1/accounts/me/password",
            "put",
            {"current_password": "x", "new_password": "1234567"},
            False,
        ),
        ("/v1/inventory/orders", "post", {"asset": "x", "count": 5}, True),
        ("/v1/inventory/orders", "post", {"asset": "x"}, True),
        ("/v1/inventory/orders", "post", {"asset": "x", "count": None}, True),
        ("/v1/inventory/orders", "post", {"asset": "x", "count": 0}, False),
        ("/v1/inventory/orders", "post", {"asset": "x", "count": "5"}, False),
        ("/v1/inventory/orders", "post", {"asset": ""}, False),
    ],
)
def test_document_is_as_strict_as_the_server(path: str, method: str, body: Any, fits: bool) -> None:
    """A body that the server refuses is refused by the schema too."""
    described = DOCUMENT["paths"][path][method]["requestBody"]["content"]["application/json"]
    if fits:
        check(body, described["schema"])
    else:
        with pytest.raises(jsonschema.ValidationError):
            check(body, described["schema"])


def answer_types() -> list[type[msgspec.Struct]]:
    """Return every type of the API that is not a request: only requests refuse unknown members."""
    names = [f"{types.__name__}.{each.name}" for each in iter_modules(types.__path__)]
    found = {
        type_
        for name in names
        for _, type_ in inspect.getmembers(import_module(name), inspect.isclass)
        if issubclass(type_, msgspec.Struct)
        if not type_.__struct_config__.forbid_unknown_fields
    }
    return sorted(found, key=lambda type_: type_.__name__)


def properties() -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Return every member of every type: its name, its schema, and the schema of the whole."""
    return [
        (f"{whole['title']}.{name}", shape, whole)
        for whole in DOCUMENT["components"]["schemas"].values()
        for name, shape in whole.get("properties", {}).items()
    ]


def test_no_member_that_may_be_absent_has_a_default() -> None:
    """Generators treat a member with a default as always present, and demand it."""
    assert [name for name, shape, _ in properties() if "default" in shape] == []


def test_member_that_is_left_out_of_an_answer_is_never_null() -> None:
    """A member that an answer leaves out is absent, never null."""
    null = {"type": "null"}
    told = [
        name.rpartition(".")[2] in whole.get("required", [])
        for name, shape, whole in properties()
        if null in shape.get("anyOf", []) and "additionalProperties" not in whole
    ]
    assert told
    assert all(told)
    schemas = DOCUMENT["components"]["schemas"]
    assert "errors" not in schemas["ProblemDetails"]["required"]
    assert schemas["ProblemDetails"]["properties"]["level"]["type"] == "integer"
    flag = {"type": "boolean", "description": "`false` if absent"}
    assert schemas["SessionTokens"]["properties"]["must_change_password"] == flag


@pytest.mark.parametrize("type_", answer_types(), ids=lambda type_: type_.__name__)
def test_answer_leaves_out_what_it_has_a_default_for(type_: type[msgspec.Struct]) -> None:
    """A member with a default, documented as possibly absent, is left out."""
    defaults = [
        field.name
        for field in msgspec.structs.fields(type_)
        if field.default_factory is not msgspec.NODEFAULT
        or field.default not in {msgspec.NODEFAULT, msgspec.UNSET}
    ]
    assert not defaults or type_.__struct_config__.omit_defaults, defaults


def test_every_time_is_told_as_one() -> None:
    """A generated client parses each time as a time, and a validator checks it."""
    moment = {"type": "string", "format": "date-time"}
    times = [
        shape
        for name, shape, _ in properties()
        if name.endswith(("_at", ".at", ".now", ".since")) and shape.get("type") != "integer"
    ]
    assert len(times) > 20
    assert all(shape == moment or moment in shape.get("anyOf", []) for shape in times), times
    check({"at": "2026-03-01T12:00:00Z"}, {"properties": {"at": moment}})
    with pytest.raises(jsonschema.ValidationError):
        check({"at": "yesterday"}, {"properties": {"at": moment}})


def test_query_string_carries_no_null() -> None:
    """An optional parameter is left out: there is no way to write null."""
    told = [
        parameter
        for path in DOCUMENT["paths"].values()
        for operation_ in path.values()
        for parameter in operation_["parameters"]
    ]
    assert told
    for parameter in told:
        assert "anyOf" not in parameter["schema"], parameter
        assert parameter["schema"].get("default", 0) not in {None, ""}, parameter


def test_a_status_that_is_an_answer_and_a_problem_is_told_as_both() -> None:
    """Not being ready is not a problem, too many connections are one: both are 503."""
    content = DOCUMENT["paths"]["/readyz"]["get"]["responses"]["503"]["content"]
    assert content["application/json"] == {"schema": {"$ref": "#/components/schemas/Readiness"}}
    assert set(content["application/problem+json"]["examples"]) == {"overloaded"}

    async def answer(call: Call[None, None]) -> None:
        """Do nothing."""

    endpoint = Endpoint(
        method="GET",
        path="/x/{name:text}",
        handler=answer,
        summary="A test",
        tag="test",
        auth=Auth.NONE,
        also=((404, "Not there, which is fine"),),
    )
    described = describe([endpoint])["paths"]["/x/{name}"]["get"]["responses"]["404"]
    assert described["description"] == "Not there, which is fine; `not-found`: Not found"
    assert set(described["content"]) == {"application/problem+json"}
