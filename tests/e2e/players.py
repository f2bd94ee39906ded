"""Clients of a server, which check every answer for what holds for all answers."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

from bench.wire import Client, Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

PASSWORD = "correct horse battery"
TIMEOUT_S = 20.0
POLL_S = 0.02

Json = dict[str, Any]


def check_any(response: Response) -> None:
    """Check what holds for every answer: a request id, never a 500, problems in their form.

    The 503 of ``/readyz`` is not a problem but the same report as its 200: it names the actors.
    """
    assert response.headers["x-request-id"]
    assert response.status_code not in {500, 501, 502}, response.text
    if response.status_code >= 400 and response.content:
        problem = response.json()
        if "actors" in problem:
            assert response.status_code == 503
            assert problem["status"] != "ready"
            return
        assert response.headers["content-type"] == "application/problem+json"
        assert {"type", "title", "status", "detail"} <= problem.keys()
        assert problem["status"] == response.status_code
        assert "Traceback" not in response.text


def client(url: str) -> Client:
    """Make a client for the server at ``url``."""
    return Client(url, timeout_s=TIMEOUT_S, check=check_any)


def fresh_name(prefix: str = "player") -> str:
    """Return an unused username."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def fresh_key() -> dict[str, str]:
    """Return the header with an unused idempotency key."""
    return {"Idempotency-Key": uuid.uuid4().hex}


@dataclass
class Player:
    """One account, logged in; ``http`` is the client that it uses now."""

    http: Client
    name: str
    account_id: str
    tokens: Json = field(repr=False)

    @classmethod
    async def join(cls, http: Client, name: str | None = None) -> Player:
        """Register and log in."""
        credentials = {"username": name or fresh_name(), "password": PASSWORD}
        registered = await http.post("/v1/accounts", json=credentials)
        assert registered.status_code == 201, registered.text
        return await cls.login(http, credentials["username"])

    @classmethod
    async def login(cls, http: Client, name: str, password: str = PASSWORD) -> Player:
        """Log in to an existing account."""
        session = await http.post("/v1/sessions", json={"username": name, "password": password})
        assert session.status_code == 201, session.text
        tokens = session.json()
        return cls(http, name, tokens["account_id"], tokens)

    @property
    def bearer(self) -> dict[str, str]:
        """The header that authenticates the player."""
        return {"Authorization": f"Bearer {self.tokens['access_token']}"}

    async def send(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a request as this player."""
        sent = {**self.bearer, **(headers or {})}
        return await self.http.request(method, path, json=body, headers=sent)

    async def get(self, path: str) -> Any:
        """Read something that exists."""
        response = await self.send("GET", path)
        assert response.status_code == 200, response.text
        return response.json()

    async def order(
        self, asset: str, count: int | None = None, key: Mapping[str, str] | None = None
    ) -> Response:
        """Order something."""
        body = {"asset": asset} if count is None else {"asset": asset, "count": count}
        return await self.send("POST", "/v1/inventory/orders", body, key or fresh_key())

    async def ordered(self, asset: str, count: int | None = None) -> Json:
        """Place an order that must succeed; return it."""
        response = await self.order(asset, count)
        assert response.status_code == 201, response.text
        order: Json = response.json()
        return order

    async def cancel(self, order: Json) -> Response:
        """Cancel an order."""
        return await self.send("DELETE", f"/v1/inventory/orders/{order['id']}")

    async def transfer(
        self, to: str, resources: Mapping[str, int], key: Mapping[str, str] | None = None
    ) -> Response:
        """Send resources to another player."""
        body = {"to": to, "resources": resources}
        return await self.send("POST", "/v1/transfers", body, key or fresh_key())

    async def inventory(self) -> Json:
        """Read the inventory."""
        inventory: Json = await self.get("/v1/inventory")
        return inventory

    async def amount(self, resource: str) -> int:
        """Read the amount of a resource."""
        amount: int = (await self.inventory())["resources"][resource]["amount"]
        return amount

    async def ledger(self, page: int = 500) -> list[Json]:
        """Read the whole ledger, page by page."""
        entries: list[Json] = []
        after: int | None = 0
        while after is not None:
            got = await self.get(f"/v1/inventory/ledger?after={after}&limit={page}")
            entries += got["entries"]
            after = got["next"]
        return entries

    async def built(self, building: str, level: int = 1) -> Json:
        """Order a level of a building and wait until it is built; return the inventory."""
        await self.ordered(building)

        async def stands() -> Json | None:
            inventory = await self.inventory()
            return inventory if inventory["buildings"].get(building) == level else None

        inventory: Json = await until(stands)
        return inventory


def refused(response: Response, status: int, kind: str) -> Json:
    """Check that an answer is this refusal; return its members."""
    assert (response.status_code, response.slug) == (status, kind), response.text
    problem: Json = response.json()
    return problem


def replay(entries: list[Json]) -> dict[str, int]:
    """Add up a ledger: gap-free, every balance the sum so far; return the totals."""
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
    balances: dict[str, int] = {}
    for entry in entries:
        for asset, change in entry["changes"].items():
            balances[asset] = balances.get(asset, 0) + change["delta"]
            assert balances[asset] == change["balance"], entry
    return {asset: balance for asset, balance in balances.items() if balance}


def owned(inventory: Json, *, but: str = "wood") -> dict[str, int]:
    """Return everything in an inventory except the resource that grows by itself."""
    stocks = {name: stock["amount"] for name, stock in inventory["resources"].items()}
    kinds = ("buildings", "technologies", "units")
    everything = {**stocks, **{k: v for kind in kinds for k, v in inventory[kind].items()}}
    return {asset: amount for asset, amount in everything.items() if amount and asset != but}


async def check_books(player: Player) -> list[Json]:
    """Check that the ledger replays to the inventory; return the entries."""
    entries = await player.ledger()
    told = replay(entries)
    inventory = await player.inventory()
    wood = told.pop("wood", 0)
    assert told == owned(inventory)
    assert wood <= inventory["resources"]["wood"]["amount"]
    return entries


async def until(condition: Callable[[], Awaitable[Any]], timeout_s: float = TIMEOUT_S) -> Any:
    """Poll until the answer is truthy; return it."""
    with trio.fail_after(timeout_s):
        while True:
            answer = await condition()
            if answer:
                return answer
            await trio.sleep(POLL_S)


async def at_once(calls: Iterator[Callable[[], Awaitable[Any]]]) -> list[Any]:
    """Make calls in parallel; return their answers in order."""
    answers: dict[int, Any] = {}

    async def make(number: int, call: Callable[[], Awaitable[Any]]) -> None:
        answers[number] = await call()

    async with trio.open_nursery() as nursery:
        for number, call in zip(itertools.count(), calls, strict=False):
            nursery.start_soon(make, number, call)
    return [answers[number] for number in sorted(answers)]
