"""What the clients of load.py do, and which answers the contract allows for each action."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Mapping

    from bench.wire import Client, Response

PASSWORD = "correct horse battery"  # noqa: S105 - nobody's

_ORDER_REFUSALS = {
    (409, "insufficient-resources"),
    (409, "prerequisites-missing"),
    (409, "queue-full"),
    (409, "max-level"),
}


class Unexpected(Exception):
    """An answer that the contract does not declare for the call."""

    def __init__(self, answer: Response) -> None:
        super().__init__(f"{answer.status_code} {answer.text[:300]}")
        self.status = answer.status_code


@dataclass(frozen=True, slots=True)
class Answered:
    """How a call was answered; ``order_id`` if an order was placed."""

    outcome: str
    order_id: str | None = None


def declared(answer: Response, *outcomes: tuple[int, str]) -> Answered:
    """Check that an answer is one of the declared ones.

    Raises:
        Unexpected: it is not.
    """
    if (answer.status_code, answer.slug) not in outcomes or "x-request-id" not in answer.headers:
        raise Unexpected(answer)
    return Answered(f"{answer.status_code} {answer.slug}".strip())


@dataclass
class Player:
    """One account; ``assets`` are all names that can be ordered, and whether by count."""

    name: str
    assets: list[tuple[str, bool]]
    rng: random.Random
    bearer: Mapping[str, str] = field(default_factory=dict[str, str])
    others: list[str] = field(default_factory=list[str])
    resources: list[str] = field(default_factory=list[str])
    pending: list[str] = field(default_factory=list[str])

    async def join(self, client: Client) -> None:
        """Register and log in.

        Raises:
            Unexpected: the server refuses.
        """
        credentials = {"username": self.name, "password": PASSWORD}
        declared(await client.post("/v1/accounts", json=credentials), (201, ""))
        session = await client.post("/v1/sessions", json=credentials)
        declared(session, (201, ""))
        self.bearer = {"Authorization": f"Bearer {session.json()['access_token']}"}
        inventory = await client.get("/v1/inventory", self.bearer)
        self.resources = [*inventory.json()["resources"]]

    def order_body(self) -> dict[str, Any]:
        """Make up an order."""
        asset, by_count = self.rng.choice(self.assets)
        return {"asset": asset, "count": self.rng.randint(1, 3)} if by_count else {"asset": asset}

    def command(self) -> dict[str, str]:
        """Return a command's headers: the token, and an unused key."""
        return {**self.bearer, "Idempotency-Key": uuid.uuid4().hex}


async def read(player: Player, client: Client) -> Answered:
    """Read the inventory."""
    return declared(await client.get("/v1/inventory", player.bearer), (200, ""))


async def read_orders(player: Player, client: Client) -> Answered:
    """Read the pending orders."""
    answer = await client.get("/v1/inventory/orders", player.bearer)
    outcome = declared(answer, (200, ""))
    player.pending = [order["id"] for order in answer.json()["orders"]]
    return outcome


async def order(player: Player, client: Client) -> Answered:
    """Order something, whether it is possible or not."""
    body, headers = player.order_body(), player.command()
    answer = await client.post("/v1/inventory/orders", json=body, headers=headers)
    outcome = declared(answer, (201, ""), *_ORDER_REFUSALS)
    if answer.status_code != 201:
        return outcome
    order_id: str = answer.json()["id"]
    player.pending.append(order_id)
    if player.rng.random() < 0.1:
        again = await client.post("/v1/inventory/orders", json=body, headers=headers)
        declared(again, (200, ""))
        if again.content != answer.content:
            raise Unexpected(again)
    return Answered(outcome.outcome, order_id)


async def cancel(player: Player, client: Client) -> Answered:
    """Cancel an order that was pending recently."""
    if not player.pending:
        return await read_orders(player, client)
    order_id = player.pending.pop(player.rng.randrange(len(player.pending)))
    path = f"/v1/inventory/orders/{order_id}"
    answer = await client.request("DELETE", path, headers=player.bearer)
    return declared(answer, (200, ""), (409, "order-not-pending"))


async def transfer(player: Player, client: Client) -> Answered:
    """Send another account a little of something."""
    body = {
        "to": player.rng.choice(player.others),
        "resources": {player.rng.choice(player.resources): player.rng.randint(1, 9)},
    }
    answer = await client.post("/v1/transfers", json=body, headers=player.command())
    refusals = [(422, "invalid-request")] if body["to"] == player.name else []
    return declared(
        answer,
        (201, ""),
        (409, "insufficient-resources"),
        (409, "transfer-limit"),
        (409, "transfer-returned"),
        (409, "transfers-disabled"),
        *refusals,
    )


async def read_ledger(player: Player, client: Client) -> Answered:
    """Read a page of the ledger."""
    path = f"/v1/inventory/ledger?after={player.rng.choice((0, 0, 10, 100))}&limit=20"
    return declared(await client.get(path, player.bearer), (200, ""))


async def quote(player: Player, client: Client) -> Answered:
    """Ask what something costs."""
    asset, by_count = player.rng.choice(player.assets)
    path = f"/v1/inventory/quotes/{asset}" + ("?count=2" if by_count else "")
    return declared(await client.get(path, player.bearer), (200, ""), (409, "max-level"))


async def forecast(player: Player, client: Client) -> Answered:
    """Ask for a forecast."""
    path = f"/v1/inventory/forecast?seconds={player.rng.choice((1, 60, 3600))}"
    return declared(await client.get(path, player.bearer), (200, ""))


async def nonsense(player: Player, client: Client) -> Answered:
    """Send something that must be refused."""
    path = "/v1/inventory/orders"
    match player.rng.randrange(7):
        case 0:
            return declared(await client.get("/v1/inventory"), (401, "invalid-token"))
        case 1:
            body: object = {"asset": "no-such-thing"}
            answer = await client.post(path, json=body, headers=player.command())
            return declared(answer, (404, "unknown-asset"))
        case 2:
            body = {"asset": player.assets[0][0], "count": "5"}
            answer = await client.post(path, json=body, headers=player.command())
            return declared(answer, (422, "invalid-request"))
        case 3:
            answer = await client.post(path, content=b"{", headers=player.command())
            return declared(answer, (400, "malformed-json"))
        case 4:
            answer = await client.post(path, json=player.order_body(), headers=player.bearer)
            return declared(answer, (400, "idempotency-key-required"))
        case 5:
            return declared(await client.get("/v1/nothing"), (404, "not-found"))
        case _:
            answer = await client.request("PUT", path, headers=player.bearer)
            return declared(answer, (405, "method-not-allowed"))


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a client does, and its weight among the others."""

    name: str
    weight: int
    act: Callable[[Player, Client], Awaitable[Answered]]


ACTIONS = (
    Action("inventory", 35, read),
    Action("order", 22, order),
    Action("orders", 6, read_orders),
    Action("cancel", 6, cancel),
    Action("transfer", 9, transfer),
    Action("ledger", 8, read_ledger),
    Action("quote", 5, quote),
    Action("forecast", 3, forecast),
    Action("nonsense", 6, nonsense),
)
"""What the clients do."""
