"""What every endpoint refuses alike: paths, methods, bodies, media types, and silent actors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import trio
from werkzeug import exceptions

from actors.authx.messages import Authorize, Register
from actors.database.errors import ConnectionLost, DatabaseUnavailable, StatementError
from actors.inventory.messages import GetInventory, PlaceOrder
from actors.ticker.messages import GetWorld
from app.http.asgi.quart_app import _own_error
from app.http.endpoints import ENDPOINTS
from app.http.errors import MalformedRequest
from bus import Overloaded
from tests.app.http.harness import (
    BEARER,
    DROPPED,
    ORDER_ID,
    SETTINGS,
    SILENT,
    FakeWorld,
    get,
    serving,
    settings_with,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = pytest.mark.usefixtures("lane")

JSON = {"Content-Type": "application/json"}
BODY = b'{"username":"ada","password":"correct horse"}'


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/v1",
        "/v2/world",
        "/v1/world/",
        "//v1/world",
        "/v1//world",
        "/V1/world",
        "/v1/world/%2e%2e/world",
        "/v1/inventory/orders/a/b",
        "/%ff%zz",
        "/v1/wörld",
        "/static/x",
        "/v1/world;x",
        "/v1/world%00",
        "/v1%2Fworld",
        "/v1%2fworld",
        "/%2Fv1/world",
        "/v1/admin%2Fstatus",
        "/v1%2Fadmin%2Fstatus",
        "/v1/%77orld%2F",
        "/problems%2Fqueue-full",
        "/problems/queue%2Dfull%2F",
        "/problems/x%2Fqueue-full",
    ],
)
async def test_unknown_path_is_404(path: str) -> None:
    """A path that is not in the table is a problem with an id, not a redirect."""
    async with serving() as server:
        response = await server.client.get(path)
        assert response.status_code == 404
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers["x-request-id"]
        assert response.json()["type"] == "/problems/not-found"


@pytest.mark.parametrize("path", ["/v1/%77orld", "/%761/world", "/v1/worl%64"])
async def test_path_is_found_however_it_is_spelled(path: str) -> None:
    """An encoded letter is that letter (RFC 3986, 6.2.2.2)."""
    async with serving() as server:
        assert (await server.client.get(path)).status_code == 200


async def test_encoded_slash_is_no_separator() -> None:
    """A path hidden from a proxy's rules is not served behind their back."""
    headers = {"Authorization": "Bearer v4.local.admin"}
    async with serving() as server:
        for path in ("/v1%2Fadmin%2Fstatus", "/v1/admin%2fstatus", "/v1/inventory%2Forders"):
            response = await server.client.get(path, headers=headers)
            assert response.json()["type"] == "/problems/not-found"
        for name in ("x%2F", f"%2F{ORDER_ID}", f"{ORDER_ID}%2f"):
            response = await server.client.get(f"/v1/inventory/orders/{name}", headers=headers)
            assert response.json()["type"] == "/problems/unknown-order"
        assert {type(message) for message in server.world.asked} == {Authorize}


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/healthz", "GET, HEAD"),
        ("PATCH", "/v1/accounts", "POST"),
        ("HEAD", "/v1/accounts", "POST"),
        ("OPTIONS", "/v1/accounts/me", "DELETE, GET, HEAD"),
        ("TRACE", "/v1/sessions", "DELETE, GET, HEAD, POST"),
        ("BREW", "/v1/inventory/orders", "GET, HEAD, POST"),
        ("PUT", "/v1/inventory/orders/x", "DELETE, GET, HEAD"),
    ],
)
async def test_wrong_method_is_405_with_allow(method: str, path: str, allow: str) -> None:
    """A method that the path does not have is refused; Allow lists those it has."""
    async with serving() as server:
        response = await server.client.request(method, path, headers=BEARER)
        assert response.status_code == 405
        assert response.headers["allow"] == allow
        assert server.world.asked == []


@pytest.mark.parametrize("path", ["/healthz", "/v1/world", "/openapi.json"])
async def test_head_answers_like_get_without_a_body(path: str) -> None:
    """HEAD gives the headers of GET, its length included, and no body."""
    async with serving() as server:
        expected = await server.client.get(path)
        response = await server.client.head(path)
        assert response.status_code == 200
        assert response.content == b""
        assert response.headers["content-length"] == expected.headers["content-length"]
        assert (await server.client.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    ("content", "status", "slug"),
    [
        (b"", 400, "malformed-json"),
        (b"username=ada", 400, "malformed-json"),
        (b'{"username":"ada","username":"bob","password":"x"}', 400, "malformed-json"),
        (b'{"username":"\\ud800","password":"x"}', 400, "malformed-json"),
        (b'{"username":"a\\u0000b","password":"x"}', 400, "malformed-json"),
        (b'{"username":"\xff","password":"x"}', 400, "malformed-json"),
        (b'{"username":NaN,"password":"x"}', 400, "malformed-json"),
        (b"[" * 2_000, 400, "malformed-json"),
        (b"[]", 422, "invalid-request"),
        (b"null", 422, "invalid-request"),
        (b"{}", 422, "invalid-request"),
        (b'{"username":"ada"}', 422, "invalid-request"),
        (b'{"username":1,"password":"x"}', 422, "invalid-request"),
        (b'{"username":null,"password":"x"}', 422, "invalid-request"),
        (b'{"username":"ada","password":"x","admin":true}', 422, "invalid-request"),
    ],
    ids=lambda value: repr(value)[:50],
)
async def test_body_that_does_not_fit_is_refused(content: bytes, status: int, slug: str) -> None:
    """A body is refused as invalid JSON (400) or as not what the endpoint takes (422)."""
    async with serving() as server:
        response = await server.client.post("/v1/accounts", content=content, headers=JSON)
        assert response.status_code == status
        assert response.json()["type"] == f"/problems/{slug}"
        assert ("errors" in response.json()) == (status == 422)
        assert server.world.asked == []


@pytest.mark.parametrize(
    "count",
    [
        *("1.0", "1e3", "true", '"5"', "0", "-1", "9007199254740993", "9223372036854775808"),
        *("1" + "0" * 30, "9" * 1_500, "1e999", "[]", "{}"),
    ],
    ids=lambda value: value[:25],
)
async def test_count_that_is_no_integer_in_bounds_is_422(count: str) -> None:
    """No invalid number is accepted as an order's count, and none causes a server error."""
    async with serving() as server:
        response = await server.client.post(
            "/v1/inventory/orders",
            content=f'{{"asset":"fighter","count":{count}}}',
            headers={**BEARER, **JSON, "Idempotency-Key": "k"},
        )
        assert response.status_code == 422
        assert response.json()["errors"][0]["field"] == "count"
        assert not server.world.asked_for(PlaceOrder)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"Content-Type": "application/json"}, 201),
        ({"Content-Type": "Application/JSON; charset=UTF-8"}, 201),
        ({"Content-Type": 'application/json;charset="utf-8"'}, 201),
        ({"Content-Type": "application/json", "Content-Encoding": "identity"}, 201),
        ({"Content-Type": "application/json; charset=latin-1"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 201),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": ""}, 415),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
    ],
    ids=str,
)
async def test_body_must_be_declared_as_json_or_not_at_all(
    headers: dict[str, str], status: int
) -> None:
    """JSON is read, even if undeclared or declared as a form, as by curl; other types are 415."""
    async with serving() as server:
        response = await server.client.post("/v1/accounts", content=BODY, headers=headers)
        assert response.status_code == status
        assert bool(server.world.asked_for(Register)) == (status == 201)


@pytest.mark.parametrize("extra", [1, 200_000])
@pytest.mark.parametrize("chunked", [False, True])
async def test_body_beyond_the_limit_is_413(extra: int, chunked: bool) -> None:
    """A body over the limit is refused, announced or chunked, a byte over or far over."""
    size = SETTINGS.max_body_bytes + extra

    async def chunks() -> AsyncGenerator[bytes]:
        for start in range(0, size, 1_000):
            yield b" " * min(1_000, size - start)

    async with serving() as server:
        content = chunks() if chunked else b" " * size
        response = await server.client.post("/v1/accounts", content=content, headers=JSON)
        assert response.status_code == 413
        assert response.json()["type"] == "/problems/payload-too-large"
        assert (await server.client.get("/healthz")).status_code == 200


async def test_body_up_to_the_limit_is_read() -> None:
    """The limit itself is allowed."""
    async with serving() as server:
        content = BODY.ljust(SETTINGS.max_body_bytes)
        response = await server.client.post("/v1/accounts", content=content, headers=JSON)
        assert response.status_code == 201


async def test_body_where_none_is_wanted_is_read_past() -> None:
    """An unwanted body disturbs neither its request nor the request after it."""
    async with serving() as server:
        client = await server.connect()
        await client.send(get("/healthz", "Content-Length: 5") + b"ab\r\nc" + get("/v1/world"))
        assert (await client.read_response()).status == 200
        assert b"testworld" in (await client.read_response()).body
        await client.aclose()


class Trouble(NamedTuple):
    """What an actor in trouble does, and the resulting problem."""

    answer: Any
    status: int
    slug: str
    retry_after: str | None


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble(Overloaded("full"), 503, "overloaded", "1"),
        Trouble(DROPPED, 503, "actor-stopped", "1"),
        Trouble(SILENT, 504, "reply-timeout", None),
        Trouble(DatabaseUnavailable("secret"), 503, "unavailable", "1"),
        Trouble(ConnectionLost("secret"), 503, "unavailable", "1"),
    ],
    ids=lambda trouble: f"{trouble.slug} {type(trouble.answer).__name__}",
)
@pytest.mark.parametrize(
    ("asked", "path"),
    [
        (GetWorld, "/v1/world"),
        (GetInventory, "/v1/inventory"),
        (Authorize, "/v1/inventory"),
    ],
    ids=["ticker", "inventory", "authx"],
)
async def test_actor_in_trouble_is_a_503_or_504(asked: type, path: str, trouble: Trouble) -> None:
    """Overload, a stopped actor, a silent one and a lost database each have their own problem."""
    world = FakeWorld()
    world.answers[asked] = trouble.answer
    async with serving(world, settings_with(reply_timeout_ms=100)) as server:
        response = await server.client.get(path, headers=BEARER)
        assert response.status_code == trouble.status
        assert response.json()["type"] == f"/problems/{trouble.slug}"
        assert response.headers.get("retry-after") == trouble.retry_after
        assert b"secret" not in response.content
        assert not world.logged


async def test_actors_that_have_left_are_stopped() -> None:
    """If no actor is listening any more the client gets an answer at once, without waiting."""
    async with serving() as server:
        server.world.stop_listening()
        response = await server.client.get("/v1/world")
        assert response.status_code == 503
        assert response.json()["type"] == "/problems/actor-stopped"


async def test_full_buffer_is_overloaded_at_once() -> None:
    """An actor that does not keep up costs the next client an immediate 503, not a wait."""
    world = FakeWorld(buffer=1)
    async with serving(world, settings_with(reply_timeout_ms=300)) as server:
        world.pause()
        async with trio.open_nursery() as nursery:
            # The actor is working on one, one fills its buffer.
            nursery.start_soon(server.client.get, "/v1/world")
            await world.wait_asked()
            nursery.start_soon(server.client.get, "/v1/world")
            await world.wait_buffer_full()
            response = await server.client.get("/v1/world")
            assert response.status_code == 503
            assert response.json()["type"] == "/problems/overloaded"
            assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ZeroDivisionError("secret"), 500),
        (ExceptionGroup("secret", [ValueError("secret")]), 500),
        (StatementError("secret", sqlstate="42601"), 503),
    ],
    ids=lambda value: str(type(value).__name__),
)
async def test_unforeseen_error_is_logged_and_says_nothing(error: Exception, status: int) -> None:
    """An unforeseen error is logged under the request's id; the client sees none of it."""
    world = FakeWorld()
    world.answers[GetWorld] = error
    async with serving(world) as server:
        response = await server.client.get("/v1/world", headers={"X-Request-Id": "find-me"})
        assert response.status_code == status
        assert response.headers["x-request-id"] == "find-me"
        assert b"secret" not in response.content
        assert b"Traceback" not in response.content
        (event,) = world.events("request_failed")
        assert event["request_id"] == "find-me"
        assert event["exc_info"] is error


async def test_request_id_is_the_clients_or_a_new_one() -> None:
    """Every answer carries X-Request-Id: the client's if it is usable, else a new one."""
    async with serving() as server:
        for path in ("/healthz", "/nope", "/v1/inventory"):
            response = await server.client.get(path, headers={"X-Request-Id": "a.B-1_2"})
            assert response.headers["x-request-id"] == "a.B-1_2"
            response = await server.client.get(path, headers={"X-Request-Id": "no good"})
            assert response.headers["x-request-id"] != "no good"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (exceptions.BadRequest("odd"), MalformedRequest),
        (exceptions.Gone(), MalformedRequest),
        (exceptions.InternalServerError(), exceptions.InternalServerError),
        (ValueError(), ValueError),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_error_of_the_framework_is_the_clients_or_the_servers(
    error: Exception, expected: type[Exception]
) -> None:
    """What Werkzeug blames on the client is a 400; anything else stays the server's own error."""
    assert type(_own_error(error, SETTINGS)) is expected


async def test_table_has_every_endpoint_of_the_contract() -> None:
    """The table offers what the contract lists for this version, each with its access rule."""
    offered = {(row.method, row.path.replace(":uuid", ""), row.auth.value) for row in ENDPOINTS}
    assert offered >= {
        ("GET", "/healthz", "none"),
        ("GET", "/readyz", "none"),
        ("GET", "/v1/world", "none"),
        ("GET", "/v1/ruleset", "none"),
        ("POST", "/v1/accounts", "none"),
        ("POST", "/v1/sessions", "none"),
        ("POST", "/v1/sessions/refresh", "none"),
        ("GET", "/v1/sessions", "player"),
        ("DELETE", "/v1/sessions/current", "player"),
        ("DELETE", "/v1/sessions", "player"),
        ("GET", "/v1/accounts/me", "player"),
        ("DELETE", "/v1/accounts/me", "player"),
        ("PUT", "/v1/accounts/me/password", "player"),
        ("GET", "/v1/inventory", "player"),
        ("POST", "/v1/inventory/orders", "player"),
        ("GET", "/v1/inventory/orders", "player"),
        ("GET", "/v1/inventory/orders/{order_id}", "player"),
        ("DELETE", "/v1/inventory/orders/{order_id}", "player"),
        ("GET", "/v1/inventory/ledger", "player"),
    }
