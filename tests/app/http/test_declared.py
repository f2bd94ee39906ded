"""Every answer of the server is declared for its operation: status, type, headers and problem."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import jsonschema
import msgspec
import pytest
import trio

from actors.authx.errors import UnknownAccount
from actors.authx.messages import FindAccount
from actors.inventory import errors as inventory
from actors.inventory.messages import (
    CancelOrder,
    GetForecast,
    GetInventory,
    GetLedger,
    GetOrder,
    GetQuote,
    GetTransfer,
    Grant,
    ListOrders,
    ListTransfers,
    PlaceOrder,
    SendTransfer,
)
from app.http.endpoint import Auth, Endpoint
from app.http.endpoints import ENDPOINTS
from app.http.openapi import describe, with_openapi
from app.http.problems import problem_of
from app.http.slugs import OF_ANY_CALL, slugs
from tests.app.http.harness import (
    ACCOUNT,
    ACCOUNT_ID,
    BEARER,
    ORDER_ID,
    SESSION_ID,
    FakeWorld,
    RawResponse,
    Serving,
    get,
    serving,
    settings_with,
)
from tests.app.http.rows import KEY
from tests.app.http.test_problems import ROWS

DOCUMENT: dict[str, Any] = describe(with_openapi(ENDPOINTS))
PATHS: dict[str, dict[str, Any]] = DOCUMENT["paths"]
HEADERS = {name.lower() for name in DOCUMENT["components"]["headers"]}

PARAMETERS = {
    "order_id": ORDER_ID,
    "transfer_id": ORDER_ID,
    "account_id": ACCOUNT_ID,
    "session_id": SESSION_ID,
}
BODIES: dict[str, Any] = {
    "place_order": {"asset": "x"},
    "send_transfer": {"to": "bob", "resources": {"metal": 1}},
    "grant_assets": {"changes": {"metal": 1}, "reason": "x"},
}
QUERIES = {"get_forecast": "?seconds=1"}
ASKED_OF_INVENTORIES = (
    CancelOrder,
    GetForecast,
    GetInventory,
    GetLedger,
    GetOrder,
    GetQuote,
    GetTransfer,
    Grant,
    ListOrders,
    ListTransfers,
    PlaceOrder,
    SendTransfer,
)


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference within the document."""
    while "$ref" in part:
        kind, name = part["$ref"].removeprefix("#/components/").split("/")
        part = DOCUMENT["components"][kind][name]
    return part


def check(response: RawResponse, path: str, method: str = "get") -> str:
    """Check an answer against its operation; return its problem."""
    declared = resolved(PATHS[path][method]["responses"][str(response.status)])
    told = response.headers.keys() & HEADERS
    assert told <= {name.lower() for name in declared["headers"]}
    assert "x-request-id" in told
    media = declared["content"][response.headers["content-type"]]
    body = msgspec.json.decode(response.body)
    whole = {**media["schema"], "components": DOCUMENT["components"]}
    validator: Any = jsonschema.Draft202012Validator(whole)
    validator.validate(body)
    if "type" not in body:
        return ""
    slug: str = body["type"].removeprefix("/problems/")
    assert slug in media["examples"]
    return slug


async def answered(server: Serving, request: bytes) -> RawResponse:
    """Send a request on a connection of its own."""
    client = await server.connect()
    await client.send(request)
    with trio.fail_after(5):
        response = await client.read_response()
    await client.aclose()
    return response


@pytest.mark.usefixtures("lane")
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/v1/world", "/v1/inventory"])
@pytest.mark.parametrize(
    ("change", "slug"),
    [
        ((b"Host: x", b"Host: x\r\nHost: y"), "malformed-request"),
        ((b"Host: x", b"Host: x\r\nContent-Length: 3000"), "payload-too-large"),
        ((b"Host: x", b"Host: x\r\nContent-Length: 3"), "request-timeout"),
        ((b" HTTP", b"?" + b"x" * 300 + b" HTTP"), "target-too-long"),
        ((b"Host: x", b"Host: x" + b"\r\nA: b" * 30), "headers-too-large"),
        ((b"Host: x", b"Host: x\r\nTransfer-Encoding: gzip"), "not-implemented"),
        ((b"HTTP/1.1", b"HTTP/3.0"), "http-version-not-supported"),
        ((b"GET", b"PATCH"), "method-not-allowed"),
        ((b" HTTP", b"?x=1 HTTP"), "invalid-request"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_refusal_of_any_call_is_declared(
    path: str, change: tuple[bytes, bytes], slug: str
) -> None:
    """However a request is wrong, whatever it asks for, the document declares the refusal."""
    assert slug in OF_ANY_CALL
    settings = settings_with(body_timeout_ms=50, max_target_bytes=200, headers_max=20)
    request = get(path, *(f"{name}: {value}" for name, value in BEARER.items()))
    async with serving(settings=settings) as server:
        response = await answered(server, request.replace(*change, 1))
        assert check(response, path) == slug


@pytest.mark.usefixtures("lane")
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_refusal_of_a_connection_is_declared_where_readiness_is_asked(path: str) -> None:
    """Too many connections are a problem even where 503 may be a report, and that is declared."""
    async with serving(settings=settings_with(connections_max=1)) as server:
        first = await server.connect()
        await first.send(get(path))
        check(await first.read_response(), path)
        assert check(await answered(server, get(path)), path) == "overloaded"
    world = FakeWorld()
    world.ready = False
    async with serving(world) as server:
        response = await answered(server, get("/readyz"))
        assert response.status == 503
        assert check(response, "/readyz") == ""


@pytest.mark.usefixtures("lane")
@pytest.mark.parametrize("path", ["/v1/inventory/quotes/a/b", "/v1/inventory/quotes/"])
async def test_name_that_makes_another_path_is_declared(path: str) -> None:
    """A slash in a name is part of the path: nothing is found there, and that is declared."""
    async with serving() as server:
        response = await answered(server, get(path))
        assert check(response, "/v1/inventory/quotes/{asset}") == "not-found"


def call_of(endpoint: Endpoint) -> str:
    """Return a target that an endpoint answers."""
    path = endpoint.template
    for name in endpoint.parameters():
        path = path.replace(f"{{{name}}}", PARAMETERS.get(name, "x"))
    return path + QUERIES.get(endpoint.name, "")


@pytest.mark.parametrize(
    "endpoint",
    [each for each in ENDPOINTS if each.auth is not Auth.NONE],
    ids=lambda endpoint: endpoint.name,
)
async def test_mismatch_with_the_rules_is_declared_by_who_loads_an_inventory(
    endpoint: Endpoint,
) -> None:
    """Every call that asks an account's Inventory may hear that the rules have no place for it."""
    world = FakeWorld()
    mismatch = inventory.RulesetMismatch(("mine",))
    told = {**world.answers, FindAccount: ACCOUNT, **dict.fromkeys(ASKED_OF_INVENTORIES, mismatch)}
    world.answers = defaultdict(UnknownAccount, told)
    body = BODIES.get(endpoint.name, {"reason": "x"} if endpoint.request is not None else None)
    async with serving(world) as server:
        response = await server.client.request(
            endpoint.method,
            call_of(endpoint),
            json=body,
            headers={**KEY, "Authorization": "Bearer v4.local.admin"},
        )
        asked = any(isinstance(message, ASKED_OF_INVENTORIES) for message in world.asked)
        assert asked == ("ruleset-mismatch" in slugs(endpoint))
        if asked:
            raw = RawResponse(response.status_code, response.headers, response.content)
            path, method = endpoint.template, endpoint.method.lower()
            assert check(raw, path, method) == "ruleset-mismatch"


@pytest.mark.parametrize(
    ("path", "method", "status", "name"),
    [
        ("/v1/ruleset", "get", "200", "ETag"),
        ("/v1/ruleset", "get", "304", "ETag"),
        ("/v1/inventory/orders", "post", "200", "Idempotency-Replayed"),
        ("/v1/inventory", "get", "401", "WWW-Authenticate"),
        ("/v1/inventory", "get", "405", "Allow"),
        ("/v1/inventory", "get", "429", "Retry-After"),
        ("/v1/inventory", "get", "503", "Retry-After"),
    ],
)
def test_header_that_a_client_goes_by_is_declared(
    path: str, method: str, status: str, name: str
) -> None:
    """Each is declared for the answers that carry it, and the request id for all."""
    declared = resolved(PATHS[path][method]["responses"][status])["headers"]
    assert set(declared) == {"X-Request-Id", name}
    assert all("description" in resolved(header) for header in declared.values())


@pytest.mark.parametrize("error", [row[0] for row in ROWS], ids=str)
def test_header_of_a_problem_is_declared_where_the_problem_is(error: Exception) -> None:
    """Wherever a problem is declared, so is each header that comes with it."""
    response = problem_of(error).response()
    slug = msgspec.json.decode(response.body)["type"].removeprefix("/problems/")
    told = {name.decode() for name, _ in response.headers}
    told -= {"content-type", "cache-control", "connection"}
    answers = [
        resolved(answer)
        for path in PATHS.values()
        for operation in path.values()
        for answer in operation["responses"].values()
    ]
    found = [
        {name.lower() for name in answer["headers"]}
        for answer in answers
        if slug in answer.get("content", {}).get("application/problem+json", {}).get("examples", {})
    ]
    assert found
    assert all(told <= names for names in found)
