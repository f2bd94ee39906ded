"""Every row of the contract over a real socket: its answer, and its messages to the actors."""

from __future__ import annotations

from typing import Any

import pytest

from actors.authx import errors as authx
from actors.authx.messages import Authorize, Login
from actors.inventory.messages import GetInventory, GetLedger, PlaceOrder
from actors.inventory.views import LedgerPage, Placed, StockView
from app.http.types.inventory import INTEGER_MAX
from tests.app.http.harness import (
    ACCOUNT_ID,
    BEARER,
    CHALLENGE,
    INVENTORY,
    ORDER,
    ORDER_ID,
    REFUSED,
    FakeWorld,
    Serving,
    changed,
    serving,
)
from tests.app.http.rows import CREDENTIALS, KEY, ORDER_JSON, OWN, PUBLIC, Row

pytestmark = pytest.mark.usefixtures("lane")


@pytest.mark.parametrize("row", PUBLIC, ids=lambda row: f"{row.method} {row.path}")
async def test_public_call_answers_as_the_contract_says(row: Row) -> None:
    """A call that needs no account is answered for anybody, and asks its actor exactly once."""
    async with serving() as server:
        await check(server, row, {})
        assert server.world.asked == list(row.asked)


@pytest.mark.parametrize("row", OWN, ids=lambda row: f"{row.method} {row.path}")
async def test_own_call_answers_as_the_contract_says(row: Row) -> None:
    """A call about one's own account checks the token, then asks for that account and no other."""
    world = FakeWorld()
    if "after=" in row.path:
        world.answers[GetLedger] = LedgerPage((), None)
    async with serving(world) as server:
        await check(server, row, BEARER)
        assert world.asked[0] == Authorize("v4.local.good")
        assert world.asked[1:] == list(row.asked)


async def check(server: Serving, row: Row, headers: dict[str, str]) -> None:
    """Make a call and compare the answer."""
    response = await server.client.request(
        row.method, row.path, json=row.body, headers={**headers, **row.headers}
    )
    assert response.status_code == row.status
    assert response.headers["x-request-id"]
    assert response.headers["cache-control"] == ("no-cache" if row.kept else "no-store")
    assert ("etag" in response.headers) == row.kept
    if row.status == 204:
        assert response.content == b""
        assert "content-length" not in response.headers
        assert "content-type" not in response.headers
    else:
        assert response.headers["content-type"] == "application/json"
        assert response.json() == row.answer


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "")],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer v4.local.bad")],
        [("Authorization", "Bearer v4.local.good extra")],
        [("Authorization", "v4.local.good")],
        [("Authorization", "Basic dTpw")],
        [("Authorization", "Bearer v4.local.good"), ("Authorization", "Bearer v4.local.good")],
        [("Authorization", b"Bearer \xff\xfe")],
        [("Authorization", "Bearer " + "x" * 8_000)],
    ],
    ids=lambda headers: repr(headers)[:45],
)
async def test_own_call_without_a_good_token_is_one_and_the_same_401(
    headers: list[tuple[str, Any]],
) -> None:
    """Whatever is wrong with the token, the answer is the same, and nothing else is asked.

    Only the challenge says whether a token was sent and refused (RFC 6750, 3.1).
    """
    async with serving() as server:
        for row in OWN:
            response = await server.client.request(
                row.method, row.path, json=row.body, headers=headers
            )
            assert response.status_code == 401
            asked = server.world.asked_for(Authorize)
            assert response.headers["www-authenticate"] == (REFUSED if asked else CHALLENGE)
            assert response.headers["content-type"] == "application/problem+json"
            assert response.json() == {
                "type": "/problems/invalid-token",
                "title": "The token is not accepted",
                "status": 401,
                "detail": "log in or refresh to get a token",
            }
        assert all(isinstance(message, Authorize) for message in server.world.asked)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
async def test_token_scheme_is_read_in_any_case(scheme: str) -> None:
    """The scheme of the Authorization header is case-insensitive (RFC 9110, 11.1)."""
    async with serving() as server:
        headers = {"Authorization": f"{scheme} v4.local.good"}
        assert (await server.client.get("/v1/inventory", headers=headers)).status_code == 200


async def place(server: Serving, body: Any, **headers: str) -> Any:
    """Place an order."""
    return await server.client.post(
        "/v1/inventory/orders", json=body, headers={**BEARER, **KEY, **headers}
    )


async def test_order_is_placed_for_the_caller() -> None:
    """An order goes to the caller's own Inventory with its key and a fingerprint: 201."""
    async with serving() as server:
        response = await place(server, {"asset": "metal_mine"})
        assert response.status_code == 201
        assert response.json() == ORDER_JSON
        assert "idempotency-replayed" not in response.headers
        (message,) = server.world.asked_for(PlaceOrder)
        assert changed(message, fingerprint=b"") == PlaceOrder(
            ACCOUNT_ID, "metal_mine", None, KEY["Idempotency-Key"], b""
        )
        assert len(message.fingerprint) == 16


async def test_unit_order_has_a_count_and_no_level() -> None:
    """A unit order shows its count; an order not yet started or due shows null."""
    world = FakeWorld()
    unit = changed(
        ORDER,
        kind="unit",
        level=None,
        count=5,
        state="queued",
        starts_at_ms=None,
        finishes_at_ms=None,
    )
    world.answers[PlaceOrder] = Placed(unit, replayed=False)
    async with serving(world) as server:
        order = (await place(server, {"asset": "fighter", "count": 5})).json()
        assert order["count"] == 5
        assert "level" not in order
        assert (order["starts_at"], order["finishes_at"]) == (None, None)
        assert world.asked_for(PlaceOrder)[0].count == 5


async def test_replayed_order_is_200_with_the_same_body() -> None:
    """The same key again gets the first answer, with 200 and Idempotency-Replayed."""
    world = FakeWorld()
    world.answers[PlaceOrder] = Placed(ORDER, replayed=True)
    async with serving(world) as server:
        response = await place(server, {"asset": "metal_mine"})
        assert response.status_code == 200
        assert response.headers["idempotency-replayed"] == "true"
        assert response.json() == ORDER_JSON


async def test_fingerprint_is_of_the_request_and_not_of_its_spelling() -> None:
    """The same order spelled differently has the same fingerprint; another order has another."""
    same = [b'{"asset":"a","count":5}', b' { "count" : 5, "\\u0061sset" : "a" } ']
    other = [b'{"asset":"a","count":6}', b'{"asset":"b","count":5}', b'{"asset":"a"}']
    headers = {**BEARER, **KEY, "Content-Type": "application/json"}
    async with serving() as server:
        for content in [*same, *other]:
            response = await server.client.post(
                "/v1/inventory/orders", content=content, headers=headers
            )
            assert response.status_code == 201
        prints = [message.fingerprint for message in server.world.asked_for(PlaceOrder)]
        assert prints[0] == prints[1]
        assert len(set(prints)) == 4


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": ""}])
async def test_order_without_a_key_is_400(headers: dict[str, str]) -> None:
    """An order needs an Idempotency-Key; without one no actor hears of it."""
    async with serving() as server:
        response = await server.client.post(
            "/v1/inventory/orders", json={"asset": "a"}, headers={**BEARER, **headers}
        )
        assert response.status_code == 400
        assert response.json()["type"] == "/problems/idempotency-key-required"
        assert not server.world.asked_for(PlaceOrder)


@pytest.mark.parametrize(
    "values", [["a b"], ["x" * 256], [b"\xff"], ["a", "a"], ["a\tb"]], ids=repr
)
async def test_order_with_an_unfit_key_is_422(values: list[Any]) -> None:
    """A key that is not 1 to 255 visible ASCII characters, or is repeated, is refused by name."""
    async with serving() as server:
        headers = [*BEARER.items(), *(("Idempotency-Key", value) for value in values)]
        response = await server.client.post(
            "/v1/inventory/orders", json={"asset": "a"}, headers=headers
        )
        assert response.status_code == 422
        assert response.json()["errors"][0]["field"] == "Idempotency-Key"
        assert not server.world.asked_for(PlaceOrder)


@pytest.mark.parametrize("name", ["xyz", "0", ORDER_ID[:-1], f"{{{ORDER_ID}}}", "%00", "Current"])
async def test_session_id_that_is_no_uuid_is_an_unknown_session(name: str) -> None:
    """Text that cannot be a session id ends nothing, and is answered like an unknown id."""
    async with serving() as server:
        response = await server.client.delete(f"/v1/sessions/{name}", headers=BEARER)
        assert response.status_code == 404
        assert response.json()["type"] == "/problems/unknown-session"
        assert server.world.asked == [Authorize("v4.local.good")]


@pytest.mark.parametrize("name", ["xyz", "0", ORDER_ID[:-1], f"{{{ORDER_ID}}}", "%00", "%2e%2e"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_order_id_that_is_no_uuid_is_an_unknown_order(method: str, name: str) -> None:
    """Text that cannot be an order id is answered like an unknown order, without asking."""
    async with serving() as server:
        response = await server.client.request(
            method, f"/v1/inventory/orders/{name}", headers=BEARER
        )
        assert response.status_code == 404
        assert response.json()["type"] == "/problems/unknown-order"
        assert server.world.asked == [Authorize("v4.local.good")]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("after=-1", "after"),
        ("after=x", "after"),
        ("after=1.0", "after"),
        (f"after={INTEGER_MAX + 1}", "after"),
        ("after=1&after=2", "after"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=" + "9" * 400, "limit"),
        ("page=1", "page"),
    ],
)
async def test_ledger_query_out_of_bounds_is_422(query: str, name: str) -> None:
    """Every unknown, repeated, non-integer or out-of-bounds parameter is named."""
    async with serving() as server:
        response = await server.client.get(f"/v1/inventory/ledger?{query}", headers=BEARER)
        assert response.status_code == 422
        assert response.json()["errors"][0]["field"] == name
        assert not server.world.asked_for(GetLedger)


@pytest.mark.parametrize("path", ["/healthz?x=1", "/v1/world?x", "/openapi.json?y=%00"])
async def test_unknown_query_parameter_is_422(path: str) -> None:
    """An endpoint without query parameters refuses any."""
    async with serving() as server:
        assert (await server.client.get(path)).status_code == 422
        for empty in ("/healthz?", "/healthz?&", "/healthz?&&"):
            assert (await server.client.get(empty)).status_code == 200


async def test_readyz_is_503_while_an_actor_is_not_ready() -> None:
    """Readiness follows the actors, and names the state of each."""
    world = FakeWorld(ready=False)
    async with serving(world) as server:
        response = await server.client.get("/readyz")
        assert response.status_code == 503
        assert response.json() == {
            "status": "not-ready",
            "actors": {"storage": "ready", "ticker": "failed"},
        }
        world.ready = True
        assert (await server.client.get("/readyz")).status_code == 200


async def test_unknown_problem_is_404() -> None:
    """A problem type that does not exist has no description."""
    async with serving() as server:
        for name in ("nope", "%0a", "queue-full%00"):
            response = await server.client.get(f"/problems/{name}")
            assert response.status_code == 404
            assert response.json()["type"] == "/problems/not-found"


async def test_every_problem_is_described_under_its_type() -> None:
    """The type of a problem is the address of its description."""
    world = FakeWorld()
    world.answers[Login] = authx.TooManyAttempts(1)
    async with serving(world) as server:
        problem = (await server.client.post("/v1/sessions", json=CREDENTIALS)).json()
        described = (await server.client.get(problem["type"])).json()
        assert described["type"] == problem["type"]
        assert described["title"] == problem["title"]


async def test_time_beyond_the_year_9999_is_shown_as_its_end() -> None:
    """A stock that takes ten thousand years to fill is not an error."""
    world = FakeWorld()
    far = StockView(0, 1, 10**12, 10**18)
    world.answers[GetInventory] = changed(INVENTORY, resources={"metal": far})
    async with serving(world) as server:
        response = await server.client.get("/v1/inventory", headers=BEARER)
        assert response.json()["resources"]["metal"]["full_at"] == "9999-12-31T23:59:59.999000Z"


async def test_what_is_held_is_told_with_its_stock() -> None:
    """What waits for room is shown beside the amount; if nothing waits, the member is left out."""
    world = FakeWorld()
    stocks = {"metal": StockView(250, -75, 250, None, 110), "crystal": StockView(7, 0, None, None)}
    world.answers[GetInventory] = changed(INVENTORY, resources=stocks)
    async with serving(world) as server:
        response = await server.client.get("/v1/inventory", headers=BEARER)
        assert response.json()["resources"] == {
            "metal": {
                "amount": 250,
                "per_hour": -75,
                "capacity": 250,
                "full_at": None,
                "held": 110,
            },
            "crystal": {"amount": 7, "per_hour": 0, "capacity": None, "full_at": None},
        }
