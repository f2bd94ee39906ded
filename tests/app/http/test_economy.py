"""Quotes, forecasts and transfers over a real socket."""

from __future__ import annotations

from typing import Any

import pytest

from actors.authx import errors as authx
from actors.authx.messages import FindAccount
from actors.inventory import errors as inventory
from actors.inventory.engine import Quote
from actors.inventory.messages import (
    GetForecast,
    GetQuote,
    GetTransfer,
    ListTransfers,
    SendTransfer,
)
from actors.inventory.views import Sent, TransferPage, TransferRecord
from app.http.types.economy import FORECAST_SECONDS_MAX
from tests.app.http.harness import (
    ACCOUNT,
    ACCOUNT_ID,
    BEARER,
    INVENTORY,
    NOW_MS,
    FakeWorld,
    changed,
    serving,
)

pytestmark = pytest.mark.usefixtures("lane")

KEY = {"Idempotency-Key": "k-1"}
OTHER_ID = "0197f0a0-0000-7000-8000-00000000000b"
OTHER = changed(ACCOUNT, account_id=OTHER_ID, username="bob")
TRANSFER_ID = "0197f0a0-0000-7000-8000-00000000000c"
BUILDING = Quote(
    asset="metal_mine",
    kind="building",
    level=3,
    count=None,
    cost={"metal": 135},
    duration_ms=90_500,
    affordable=False,
    affordable_at_ms=NOW_MS + 60_000,
    missing={"lab": 2},
)
UNIT = Quote(
    asset="fighter",
    kind="unit",
    level=None,
    count=5,
    cost={"metal": 500},
    duration_ms=60_000,
    affordable=False,
    affordable_at_ms=None,
    missing={},
)
TRANSFER = TransferRecord(
    id=TRANSFER_ID,
    sender_id=ACCOUNT_ID,
    sender_name="ada",
    receiver_id=OTHER_ID,
    receiver_name="bob",
    resources={"metal": 5},
    note="hello",
    state="delivered",
    sent_at_ms=NOW_MS,
    settled_at_ms=NOW_MS + 1,
)
TRANSFER_JSON = {
    "id": TRANSFER_ID,
    "from": "ada",
    "to": "bob",
    "resources": {"metal": 5},
    "note": "hello",
    "state": "delivered",
    "sent_at": "2026-03-01T12:00:00Z",
    "settled_at": "2026-03-01T12:00:00.001000Z",
}
BODY = {"to": "Bob", "resources": {"metal": 5}, "note": "hello"}


def economy() -> FakeWorld:
    """Make a world with an economy."""
    world = FakeWorld()
    world.answers |= {
        GetForecast: INVENTORY,
        GetQuote: BUILDING,
        FindAccount: OTHER,
        SendTransfer: Sent(TRANSFER, replayed=False),
        GetTransfer: TRANSFER,
        ListTransfers: TransferPage(
            (TRANSFER, changed(TRANSFER, state="sent", settled_at_ms=None)), TRANSFER_ID
        ),
    }
    return world


async def send(world: FakeWorld, body: Any = BODY) -> Any:
    """Send a transfer."""
    async with serving(world) as server:
        return await server.client.post("/v1/transfers", json=body, headers={**BEARER, **KEY})


async def test_forecast_is_an_inventory_of_later() -> None:
    """A forecast asks for a number of seconds ahead, and has the form of an inventory."""
    world = economy()
    async with serving(world) as server:
        url = f"/v1/inventory/forecast?seconds={FORECAST_SECONDS_MAX}"
        forecast = await server.client.get(url, headers=BEARER)
        now = await server.client.get("/v1/inventory", headers=BEARER)
        assert forecast.status_code == 200
        assert forecast.json() == now.json()
        assert world.asked_for(GetForecast) == [GetForecast(ACCOUNT_ID, FORECAST_SECONDS_MAX)]


@pytest.mark.parametrize(
    "query", ["", "?seconds=", "?seconds=-1", "?seconds=1.5", f"?seconds={10**12}", "?second=1"]
)
async def test_forecast_without_a_sensible_time_is_422(query: str) -> None:
    """The time ahead is required, an integer, and within the bound."""
    world = economy()
    async with serving(world) as server:
        response = await server.client.get(f"/v1/inventory/forecast{query}", headers=BEARER)
        assert response.status_code == 422
        assert not world.asked_for(GetForecast)


async def test_forecast_too_far_names_the_seconds_that_can_be_foreseen() -> None:
    """If too much changes until then, the refusal says how far ahead one may ask."""
    world = economy()
    world.answers[GetForecast] = inventory.ForecastTooFar(93_500, 3_000)
    async with serving(world) as server:
        url = "/v1/inventory/forecast?seconds=900"
        response = await server.client.get(url, headers=BEARER)
        assert response.status_code == 422
        [error] = response.json()["errors"]
        assert error["field"] == "seconds"
        assert error["message"].endswith("at most 90 seconds now")


async def test_quote_of_a_building_has_a_level() -> None:
    """A quote shows the next level, its price, its time to the millisecond, and what is missing."""
    world = economy()
    async with serving(world) as server:
        response = await server.client.get("/v1/inventory/quotes/metal_mine", headers=BEARER)
        assert response.json() == {
            "asset": "metal_mine",
            "kind": "building",
            "level": 3,
            "cost": {"metal": 135},
            "duration_seconds": 90.5,
            "affordable": False,
            "affordable_at": "2026-03-01T12:01:00Z",
            "missing": [{"asset": "lab", "level": 2}],
        }
        assert world.asked_for(GetQuote) == [GetQuote(ACCOUNT_ID, "metal_mine", None)]


async def test_quote_of_units_has_a_count() -> None:
    """A quote of units shows their count, whole seconds as an integer, and null for never."""
    world = economy()
    world.answers[GetQuote] = UNIT
    async with serving(world) as server:
        response = await server.client.get("/v1/inventory/quotes/fighter?count=5", headers=BEARER)
        quote = response.json()
        assert quote["count"] == 5
        assert "level" not in quote
        assert (quote["duration_seconds"], quote["affordable_at"]) == (60, None)
        assert world.asked_for(GetQuote) == [GetQuote(ACCOUNT_ID, "fighter", 5)]


async def test_quote_of_an_address_is_asked_as_it_is() -> None:
    """One of several instances of a building is named by its address."""
    world = economy()
    async with serving(world) as server:
        await server.client.get("/v1/inventory/quotes/woodcutter:3", headers=BEARER)
        assert world.asked_for(GetQuote)[0].asset == "woodcutter:3"


@pytest.mark.parametrize(
    ("path", "error", "status", "slug"),
    [
        ("nope", inventory.UnknownAsset("nope"), 404, "unknown-asset"),
        ("metal_mine?count=1", inventory.InvalidCount("no"), 422, "invalid-request"),
        ("metal_mine", inventory.MaxLevel("metal_mine", 9), 409, "max-level"),
        ("%00", None, 404, "unknown-asset"),
        ("fighter?count=0", None, 422, "invalid-request"),
        ("fighter?count=1&count=2", None, 422, "invalid-request"),
    ],
)
async def test_quote_that_cannot_be_made_is_refused(
    path: str, error: Exception | None, status: int, slug: str
) -> None:
    """What cannot be ordered cannot be quoted."""
    world = economy()
    world.answers[GetQuote] = error
    async with serving(world) as server:
        response = await server.client.get(f"/v1/inventory/quotes/{path}", headers=BEARER)
        assert response.status_code == status
        assert response.json()["type"] == f"/problems/{slug}"
        assert bool(world.asked_for(GetQuote)) == (error is not None)


async def test_transfer_goes_from_the_caller_to_the_named_account() -> None:
    """A transfer is sent by the caller under both names, and answered when it has arrived."""
    world = economy()
    response = await send(world)
    assert response.status_code == 201
    assert response.json() == TRANSFER_JSON
    assert world.asked_for(FindAccount) == [FindAccount("Bob")]
    (message,) = world.asked_for(SendTransfer)
    assert changed(message, fingerprint=b"") == SendTransfer(
        account_id=ACCOUNT_ID,
        sender_name="ada",
        receiver_id=OTHER_ID,
        receiver_name="bob",
        resources={"metal": 5},
        note="hello",
        idempotency_key="k-1",
        fingerprint=b"",
    )


async def test_replayed_transfer_is_200() -> None:
    """The same key again gets the first answer, with 200 and Idempotency-Replayed."""
    world = economy()
    world.answers[SendTransfer] = Sent(TRANSFER, replayed=True)
    response = await send(world)
    assert (response.status_code, response.json()) == (200, TRANSFER_JSON)
    assert response.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize(
    "error", [authx.UnknownAccount(), authx.InvalidUsername("no")], ids=["nobody", "no name"]
)
async def test_transfer_to_nobody_is_for_its_key_to_answer(error: Exception) -> None:
    """A receiver that is gone now may have existed when the same key was first sent."""
    world = economy()
    world.answers[FindAccount] = error
    world.answers[SendTransfer] = Sent(TRANSFER, replayed=True)
    assert (await send(world)).status_code == 200
    (message,) = world.asked_for(SendTransfer)
    assert (message.receiver_id, message.receiver_name) == (None, "")


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (inventory.UnknownReceiver(), 404, "unknown-account"),
        (
            inventory.InsufficientResources({"metal": 1}),
            409,
            "insufficient-resources",
        ),
        (inventory.UnknownAsset("gold"), 404, "unknown-asset"),
        (inventory.InvalidAmount("no"), 422, "invalid-request"),
        (inventory.TransferToSelf(), 422, "invalid-request"),
        (inventory.TransfersDisabled(), 409, "transfers-disabled"),
        (inventory.TransferLimit({"metal": 1}), 409, "transfer-limit"),
        (inventory.TransferReturned("t"), 409, "transfer-returned"),
        (inventory.IdempotencyKeyReused(), 422, "idempotency-key-reused"),
        (inventory.AccountGone(), 401, "invalid-token"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_transfer_that_is_refused_is_its_problem(
    error: Exception, status: int, slug: str
) -> None:
    """Each refusal has its own problem; a missing receiver is not a missing sender."""
    world = economy()
    world.answers[SendTransfer] = error
    response = await send(world)
    assert response.status_code == status
    assert response.json()["type"] == f"/problems/{slug}"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"to": "bob"},
        {"to": "", "resources": {"metal": 1}},
        {"to": "bob", "resources": {}},
        {"to": "bob", "resources": {"metal": 0}},
        {"to": "bob", "resources": {"metal": -1}},
        {"to": "bob", "resources": {"metal": 1.0}},
        {"to": "bob", "resources": {"metal": True}},
        {"to": "bob", "resources": {"metal": "1"}},
        {"to": "bob", "resources": {"metal": 10**30}},
        {"to": "bob", "resources": [["metal", 1]]},
        {"to": "bob", "resources": {"metal": 1}, "note": "x" * 501},
        {"to": "bob", "resources": {"metal": 1}, "note": None},
        {"to": "bob", "resources": {"metal": 1}, "from": "eve"},
    ],
    ids=str,
)
async def test_transfer_of_anything_but_positive_integers_is_422(body: Any) -> None:
    """The resources to send are strictly typed and bounded before any actor is asked."""
    world = economy()
    response = await send(world, body)
    assert response.status_code == 422
    assert response.json()["type"] == "/problems/invalid-request"
    assert not world.asked_for(SendTransfer)


async def test_transfers_are_listed() -> None:
    """Sent and received transfers are shown; one in transit has not settled."""
    world = economy()
    async with serving(world) as server:
        response = await server.client.get("/v1/transfers?limit=2", headers=BEARER)
        on_its_way = {**TRANSFER_JSON, "state": "sent", "settled_at": None}
        assert response.json() == {"transfers": [TRANSFER_JSON, on_its_way], "next": TRANSFER_ID}
        assert world.asked_for(ListTransfers) == [ListTransfers(ACCOUNT_ID, 2)]


async def test_transfers_are_read_page_by_page() -> None:
    """A page begins after the named transfer; ``next`` is null at the end."""
    world = economy()
    world.answers[ListTransfers] = TransferPage((TRANSFER,), None)
    async with serving(world) as server:
        url = f"/v1/transfers?before={OTHER_ID}&limit=500"
        response = await server.client.get(url, headers=BEARER)
        assert response.json() == {"transfers": [TRANSFER_JSON], "next": None}
        assert world.asked_for(ListTransfers) == [ListTransfers(ACCOUNT_ID, 500, OTHER_ID)]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "before=x",
        f"before={TRANSFER_ID}x",
        f"before={TRANSFER_ID}%0A",
        "before=%0A",
        "before=1&before=2",
        "after=1",
    ],
)
async def test_transfers_that_cannot_be_listed_are_422(query: str) -> None:
    """Only a transfer's id can continue a list."""
    world = economy()
    async with serving(world) as server:
        response = await server.client.get(f"/v1/transfers?{query}", headers=BEARER)
        assert response.status_code == 422
        assert not world.asked_for(ListTransfers)


@pytest.mark.parametrize("shown", [TRANSFER_ID, TRANSFER_ID.upper()])
async def test_transfer_is_found_by_its_id(shown: str) -> None:
    """A transfer is looked up in the caller's name, however its id is written."""
    world = economy()
    async with serving(world) as server:
        response = await server.client.get(f"/v1/transfers/{shown}", headers=BEARER)
        assert (response.status_code, response.json()) == (200, TRANSFER_JSON)
        assert world.asked_for(GetTransfer) == [GetTransfer(ACCOUNT_ID, TRANSFER_ID)]


@pytest.mark.parametrize("shown", [TRANSFER_ID, "x", f"{TRANSFER_ID}x", "%00"])
async def test_transfer_that_is_not_the_callers_is_not_there(shown: str) -> None:
    """Another account's transfer, a missing one and an invalid id get one and the same refusal."""
    world = economy()
    world.answers[GetTransfer] = inventory.UnknownTransfer(TRANSFER_ID)
    async with serving(world) as server:
        response = await server.client.get(f"/v1/transfers/{shown}", headers=BEARER)
        assert response.status_code == 404
        assert response.json()["type"] == "/problems/unknown-transfer"
        assert bool(world.asked_for(GetTransfer)) == (shown == TRANSFER_ID)
