"""Inventory, orders, ledger, quotes and forecasts against the whole program."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from tests.e2e.players import (
    Json,
    Player,
    check_books,
    fresh_key,
    owned,
    refused,
    until,
)

if TYPE_CHECKING:
    from bench.wire import Client
    from tests.e2e.server import Server

ORDERS = "/v1/inventory/orders"
NO_ORDER = "0197f0a0-0000-7000-8000-000000000003"


def when(text: str) -> datetime:
    """Parse a time in the API's format."""
    moment = datetime.fromisoformat(text)
    assert moment.utcoffset() is not None
    return moment


async def completed(player: Player, order: Json) -> Json:
    """Wait until an order is completed; return it."""

    async def done() -> Json | None:
        now: Json = await player.get(f"{ORDERS}/{order['id']}")
        return now if now["state"] == "completed" else None

    found: Json = await until(done)
    return found


async def test_world_and_rules_are_told(http: Client, server: Server) -> None:
    """World, rules, health and readiness need no token, and show the configured values."""
    assert (await http.get("/healthz")).json() == {"status": "ok"}
    ready = (await http.get("/readyz")).json()
    assert ready["status"] == "ready"
    assert {"storage", "authx", "ticker", "inventories", "transfers"} <= ready["actors"].keys()
    world = (await http.get("/v1/world")).json()
    assert world["ruleset"]["name"] == "world"
    assert world["tick_ms"] == 20
    later = (await http.get("/v1/world")).json()
    assert later["tick"] >= world["tick"]
    rules = (await http.get("/v1/ruleset")).json()
    assert rules["version"] == world["ruleset"]["version"]
    assert {"hut", "mill", "keep"} <= rules["buildings"].keys()
    assert "scout" in rules["units"]


async def test_inventory_has_what_the_contract_says(player: Player) -> None:
    """A new account has the start amounts, and every member of the contract is there."""
    inventory = await player.inventory()
    assert inventory.keys() == {
        "account_id",
        "version",
        "at",
        "tick",
        "resources",
        "balances",
        "buildings",
        "technologies",
        "units",
        "orders",
    }
    gold = inventory["resources"]["gold"]
    assert gold == {"amount": 1000, "per_hour": 0, "capacity": None, "full_at": None}
    wood = inventory["resources"]["wood"]
    assert (wood["per_hour"], wood["capacity"]) == (720_000, 100_000)
    assert when(wood["full_at"]) > when(inventory["at"])
    assert inventory["balances"]["energy"] == {"produced": 0, "used": 0, "factor": 1.0}
    assert inventory["buildings"] == {}


async def test_order_runs_and_completes(player: Player) -> None:
    """An order is placed with its price and times, runs, completes, and then takes effect."""
    order = await player.ordered("hut")
    assert order.keys() == {
        "id",
        "asset",
        "kind",
        "level",
        "cost",
        "state",
        "placed_at",
        "starts_at",
        "finishes_at",
    }
    assert (order["asset"], order["kind"], order["level"]) == ("hut", "building", 1)
    assert (order["cost"], order["state"]) == ({"wood": 10}, "running")
    lasted = when(order["finishes_at"]) - when(order["starts_at"])
    assert lasted.total_seconds() == pytest.approx(0.15)
    ended = await completed(player, order)
    assert ended["finishes_at"] == order["finishes_at"]
    inventory = await player.inventory()
    assert inventory["buildings"] == {"hut": 1}
    assert inventory["balances"]["energy"]["produced"] == 5
    entries = await check_books(player)
    [done] = [entry for entry in entries if entry["cause"] == "order-completed"]
    assert done["order_id"] == order["id"]
    assert when(done["at"]) == when(order["finishes_at"])
    assert done["changes"] == {"hut": {"delta": 1, "balance": 1}}


async def test_order_of_units_is_delivered_one_by_one(player: Player) -> None:
    """A batch has a count instead of a level, and every unit arrives."""
    order = await player.ordered("scout", 7)
    assert order["count"] == 7
    assert "level" not in order
    assert order["cost"] == {"wood": 7}
    await completed(player, order)
    assert (await player.inventory())["units"] == {"scout": 7}
    await check_books(player)


async def test_order_completes_while_nobody_is_there(http: Client) -> None:
    """An order is recorded at its due time even if its owner has logged out."""
    player = await Player.join(http)
    order = await player.ordered("hut")
    assert (await player.send("DELETE", "/v1/sessions")).status_code == 204
    back = await Player.login(http, player.name)
    await completed(back, order)
    entries = await check_books(back)
    [done] = [entry for entry in entries if entry["cause"] == "order-completed"]
    assert when(done["at"]) == when(order["finishes_at"])


async def test_order_sent_again_is_answered_again(player: Player) -> None:
    """The same key and body get the first answer, marked as a replay, and have one effect."""
    key = fresh_key()
    first = await player.order("keep", key=key)
    again = await player.order("keep", key=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()
    assert await player.amount("gold") == 999

    refused(await player.order("hut", key=key), 422, "idempotency-key-reused")
    elsewhere = await player.transfer("somebody", {"gold": 1}, key)
    assert elsewhere.status_code in {404, 422}
    assert await player.amount("gold") == 999


async def test_order_key_of_long_ago_is_still_known(player: Player) -> None:
    """A key that the Inventory has dropped from memory is looked up, and still has one effect."""
    key = fresh_key()
    first = await player.order("guard", 1, key)
    for _ in range(40):
        await player.ordered("guard", 1)
    again = await player.order("guard", 1, key)
    assert again.status_code == 200
    assert again.json() == first.json()
    assert await player.amount("gold") == 1000 - 41


@pytest.mark.parametrize("key", [None, "", "ä", "x" * 256, "two words"])
async def test_order_needs_a_key(player: Player, key: str | None) -> None:
    """Without a usable Idempotency-Key nothing is ordered."""
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = await player.http.post(
        ORDERS, json={"asset": "keep"}, headers={**player.bearer, **headers}
    )
    if key:
        refused(answer, 422, "invalid-request")
    else:
        refused(answer, 400, "idempotency-key-required")
    assert (await player.get(ORDERS))["orders"] == []


async def test_order_refusals_name_what_is_missing(player: Player) -> None:
    """Each conflict has its own slug, and the members that help the client."""
    assert refused(await player.order("wonder"), 409, "insufficient-resources")["missing"] == {
        "gold": 899_000
    }
    assert refused(await player.order("mill"), 409, "prerequisites-missing")["missing"] == {
        "hut": 1
    }
    refused(await player.order("castle"), 404, "unknown-asset")
    refused(await player.order("gold"), 404, "unknown-asset")
    refused(await player.order("scout"), 422, "invalid-request")
    refused(await player.order("hut", 2), 422, "invalid-request")
    for _ in range(4):
        await player.ordered("keep")
    assert refused(await player.order("keep"), 409, "queue-full")["queue"] == "construction"
    assert await player.amount("gold") == 1000 - 4


async def test_order_stops_at_the_highest_level(player: Player) -> None:
    """Levels in progress count as reached."""
    for _ in range(3):
        await player.ordered("hut")
    problem = refused(await player.order("hut"), 409, "max-level")
    assert (problem["asset"], problem["level"]) == ("hut", 3)


async def test_order_is_cancelled_once(player: Player) -> None:
    """A cancel refunds the ruleset's share of the price; a second one reports the state."""
    running = await player.ordered("palace")
    queued = await player.ordered("keep")
    assert (running["state"], queued["state"]) == ("running", "queued")
    cancelled = await player.cancel(running)
    assert cancelled.status_code == 200
    assert cancelled.json()["refund"] == {"gold": 900}
    assert cancelled.json()["order"]["state"] == "cancelled"
    pending = (await player.get(ORDERS))["orders"]
    assert [(order["id"], order["state"]) for order in pending] == [(queued["id"], "running")]
    assert await player.amount("gold") == 999

    again = refused(await player.cancel(running), 409, "order-not-pending")
    assert again["state"] == "cancelled"
    done = await completed(player, await player.ordered("scout", 1))
    assert refused(await player.cancel(done), 409, "order-not-pending")["state"] == "completed"
    await check_books(player)


async def test_order_of_somebody_else_is_not_there(player: Player) -> None:
    """Another account's order can be neither seen nor cancelled."""
    other = await Player.join(player.http)
    order = await other.ordered("keep")
    refused(await player.send("GET", f"{ORDERS}/{order['id']}"), 404, "unknown-order")
    refused(await player.cancel(order), 404, "unknown-order")
    refused(await player.send("GET", f"{ORDERS}/{NO_ORDER}"), 404, "unknown-order")
    refused(await player.send("DELETE", f"{ORDERS}/not-an-id"), 404, "unknown-order")
    assert (await other.get(f"{ORDERS}/{order['id']}"))["state"] == "running"


async def test_ledger_pages_and_replays(player: Player) -> None:
    """Any page size yields the same entries, without a gap, and they add up to the inventory."""
    await player.built("hut")
    await player.ordered("keep")
    await completed(player, await player.ordered("scout", 3))
    whole = await check_books(player)
    assert (await player.ledger(page=2))[: len(whole)] == whole
    assert whole[0]["cause"] == "start"
    assert owned(await player.inventory()) == {"gold": 999, "stone": 100, "hut": 1, "scout": 3}
    tail = await player.get(f"/v1/inventory/ledger?after={len(whole) + 1000}")
    assert tail == {"entries": [], "next": None}
    for query in ("after=-1", "limit=0", "limit=501", "after=x", "after=1&after=2", "before=1"):
        answer = await player.send("GET", f"/v1/inventory/ledger?{query}")
        refused(answer, 422, "invalid-request")


async def test_quote_is_what_the_order_then_is(player: Player) -> None:
    """The quoted price and duration apply; missing assets are named; null means never."""
    quote = await player.get("/v1/inventory/quotes/keep")
    assert quote["affordable"]
    assert (quote["level"], quote["cost"], quote["duration_seconds"]) == (1, {"gold": 1}, 3600)
    assert quote["missing"] == []
    assert (await player.ordered("keep"))["cost"] == quote["cost"]

    mill = await player.get("/v1/inventory/quotes/mill")
    assert mill["missing"] == [{"asset": "hut", "level": 1}]
    wonder = await player.get("/v1/inventory/quotes/wonder")
    assert (wonder["affordable"], wonder["affordable_at"]) == (False, None)

    much = await player.get("/v1/inventory/quotes/scout?count=5000")
    assert (much["count"], much["cost"], much["duration_seconds"]) == (5000, {"wood": 5000}, 250)
    assert not much["affordable"]
    assert when(much["affordable_at"]) > when((await player.inventory())["at"])
    refused(await player.send("GET", "/v1/inventory/quotes/castle"), 404, "unknown-asset")
    few = await player.send("GET", "/v1/inventory/quotes/scout?count=0")
    refused(few, 422, "invalid-request")


async def test_forecast_is_what_then_comes(player: Player) -> None:
    """A forecast shows orders completed and capacity reached, and changes nothing."""
    await player.ordered("hut")
    soon = await player.get("/v1/inventory/forecast?seconds=3600")
    assert soon["buildings"] == {"hut": 1}
    assert soon["orders"] == []
    assert soon["resources"]["wood"]["amount"] == 100_000
    now = await player.get("/v1/inventory/forecast?seconds=0")
    assert abs((when(now["at"]) - when((await player.inventory())["at"])).total_seconds()) < 10
    for seconds in ("-1", "", "1.0", "x", "9" * 30):
        answer = await player.send("GET", f"/v1/inventory/forecast?seconds={seconds}")
        refused(answer, 422, "invalid-request")
    refused(await player.send("GET", "/v1/inventory/forecast"), 422, "invalid-request")
