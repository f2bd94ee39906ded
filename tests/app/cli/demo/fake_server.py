"""An in-memory server that keeps the published API, or breaks it in one chosen way."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import trio

from holdfast_client import Client, RetryPolicy

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
START_GOLD = 100

RULES: dict[str, Any] = {
    "name": "fake",
    "version": "1",
    "buildings": {
        "mine": {"levels": [{"cost": {"gold": 60}, "duration_seconds": 5}], "refund": 0.5},
        "tower": {"levels": [{"cost": {"gold": 80}, "duration_seconds": 30}], "refund": 0.5},
    },
}

WORLD: dict[str, Any] = {
    "name": "fake",
    "ruleset": {"name": "fake", "version": "1"},
    "tick": 1,
    "tick_ms": 250,
    "speed": 1,
    "now": EPOCH.isoformat(),
}


@dataclass
class FakeAccount:
    """One account."""

    password: str
    gold: int = 0
    levels: dict[str, int] = field(default_factory=dict[str, int])
    orders: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    keys: dict[str, tuple[bytes, bytes]] = field(default_factory=dict[str, tuple[bytes, bytes]])
    entries: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def change(self, cause: str, **deltas: int) -> None:
        """Write an entry and apply it."""
        changes: dict[str, Any] = {}
        for asset, delta in deltas.items():
            if asset == "gold":
                self.gold += delta
                balance = self.gold
            else:
                self.levels[asset] = balance = self.levels.get(asset, 0) + delta
            changes[asset] = {"delta": delta, "balance": balance}
        seq = len(self.entries) + 1
        self.entries.append({"seq": seq, "at": at(0), "cause": cause, "changes": changes})


def at(seconds: float) -> str:
    """Return a time of the world, some seconds from now."""
    return (EPOCH + timedelta(seconds=trio.current_time() + seconds)).isoformat()


def refuse(status: int, slug: str, **members: object) -> httpx.Response:
    """Make a refusal."""
    return httpx.Response(status, json={"type": f"/problems/{slug}", **members})


class FakeServer:
    """Answers as the API documents, except for its one ``lie``; ``rules`` are the game's."""

    def __init__(self, lie: str = "", rules: dict[str, Any] = RULES) -> None:
        self.lie = lie
        self.rules = rules
        self.accounts: dict[str, FakeAccount] = {}
        self.tokens: dict[str, FakeAccount] = {}

    def client(self) -> Client:
        """Make a client of this server that tries everything once."""
        transport = httpx.MockTransport(self.answer)
        return Client("http://fake", transport=transport, retries=RetryPolicy(attempts_max=1))

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        call = f"{request.method} {request.url.path}"
        body: dict[str, Any] = json.loads(request.content or b"{}")
        match call:
            case "GET /v1/world":
                return httpx.Response(200, json=WORLD)
            case "GET /v1/ruleset":
                return httpx.Response(200, json=self.rules)
            case "POST /v1/accounts":
                return self.register(body)
            case "POST /v1/sessions":
                return self.log_in(body)
            case _:
                token = request.headers.get("Authorization", "").removeprefix("Bearer ")
                account = self.tokens.get(token)
                if account is None:
                    return refuse(401, "invalid-token")
                return self.answer_to(account, call, request, body)

    def register(self, body: dict[str, Any]) -> httpx.Response:
        """Make an account."""
        if body["username"].lower() in self.accounts:
            return refuse(409, "username-taken")
        account = self.accounts[body["username"].lower()] = FakeAccount(body["password"])
        account.change("start", gold=START_GOLD)
        made = {"account_id": body["username"], "username": body["username"], "created_at": at(0)}
        return httpx.Response(201, json=made)

    def log_in(self, body: dict[str, Any]) -> httpx.Response:
        """Open a session."""
        account = self.accounts[body["username"]]
        if account.password != body["password"] and self.lie != "lets everybody in":
            return refuse(401, "invalid-credentials")
        token = f"token-{len(self.tokens)}"
        self.tokens[token] = account
        opened = {
            "account_id": body["username"],
            "session_id": token,
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": 900,
            "refresh_token": "",
            "refresh_expires_in": 900,
        }
        return httpx.Response(201, json=opened)

    def answer_to(
        self, account: FakeAccount, call: str, request: httpx.Request, body: dict[str, Any]
    ) -> httpx.Response:
        """Answer a request from a logged-in account."""
        self.complete(account)
        order = account.orders.get(call.rpartition("/")[2])
        match call.split("/"):
            case ["GET ", "v1", "inventory"] if self.lie == "breaks down":
                return httpx.Response(500, text="oops")
            case ["GET ", "v1", "inventory"]:
                return httpx.Response(200, json=self.inventory(account))
            case ["GET ", "v1", "inventory", "ledger"]:
                return self.ledger(account, int(request.url.params["after"]))
            case ["POST ", "v1", "inventory", "orders"]:
                return self.order(account, request, body)
            case [_, "v1", "inventory", "orders", _] if order is None:
                return refuse(404, "unknown-order")
            case ["GET ", "v1", "inventory", "orders", _]:
                return httpx.Response(200, json=order)
            case ["DELETE ", "v1", "inventory", "orders", _]:
                return self.cancel(account, order or {})
            case _:
                if self.lie != "forgets to log out":
                    self.tokens = {k: v for k, v in self.tokens.items() if v is not account}
                return httpx.Response(204)

    def complete(self, account: FakeAccount) -> None:
        """Complete what is due."""
        for order in account.orders.values():
            if order["state"] == "running" and order["finishes_at"] <= at(0):
                match self.lie:
                    case "never completes":
                        continue
                    case "cancels by itself":
                        order["state"] = "cancelled"
                    case "completes nothing":
                        order["state"] = "completed"
                    case _:
                        order["state"] = "completed"
                        account.change("order-completed", **{order["asset"]: 1})

    def inventory(self, account: FakeAccount) -> dict[str, Any]:
        """Show what an account owns."""
        extra = 1 if self.lie == "shows another stock" else 0
        amount = account.gold + extra
        stock = {"amount": amount, "per_hour": 0, "capacity": None, "full_at": None}
        pending = [each for each in account.orders.values() if each["state"] == "running"]
        return {
            "account_id": "account",
            "version": 1,
            "tick": 1,
            "at": at(0),
            "resources": {"gold": stock},
            "balances": {},
            "buildings": account.levels,
            "technologies": {},
            "units": {},
            "orders": pending * 2 if self.lie == "orders twice" else pending,
        }

    def ledger(self, account: FakeAccount, after: int) -> httpx.Response:
        """Show a page of the ledger, two entries long."""
        if self.lie == "never rests" and after:
            account.change("restless", gold=0)
        entries = [] if self.lie == "hides the ledger" else account.entries
        page, rest = entries[after : after + 2], entries[after + 2 :]
        return httpx.Response(
            200, json={"entries": page, "next": page[-1]["seq"] if rest else None}
        )

    def order(
        self, account: FakeAccount, request: httpx.Request, body: dict[str, Any]
    ) -> httpx.Response:
        """Place an order."""
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return refuse(400, "idempotency-key-required")
        if key in account.keys:
            first, answer = account.keys[key]
            if first != request.content:
                return refuse(422, "idempotency-key-reused")
            told = answer
            if self.lie == "answers otherwise":
                told = answer.replace(b"running", b"queued")
            return httpx.Response(200, content=told, headers={"Idempotency-Replayed": "true"})
        asset = self.rules["buildings"].get(body["asset"])
        if asset is None and self.lie == "refuses otherwise":
            return refuse(403, "forbidden")
        if asset is None:
            return refuse(404, "unknown-asset")
        (row,) = asset["levels"]
        if row["cost"]["gold"] > account.gold:
            missing = {"gold": row["cost"]["gold"] - account.gold}
            return refuse(409, "insufficient-resources", missing=missing)
        account.change("order-placed", gold=-row["cost"]["gold"])
        order = {
            "id": f"order-{len(account.keys)}",
            "asset": body["asset"],
            "kind": "building",
            "level": 1,
            "cost": row["cost"],
            "state": "running",
            "placed_at": at(0),
            "starts_at": at(0),
            "finishes_at": at(row["duration_seconds"]),
        }
        if account is self.accounts[min(self.accounts)]:
            order["id"] = "order-first"
        account.orders[str(order["id"])] = order
        response = httpx.Response(201, json=order)
        account.keys[key] = (request.content, response.content)
        return response

    def cancel(self, account: FakeAccount, order: dict[str, Any]) -> httpx.Response:
        """Cancel an order."""
        if order["state"] != "running":
            return refuse(409, "order-not-pending")
        order["state"] = "cancelled"
        back = order["cost"]["gold"] // 2 - (1 if self.lie == "keeps the change" else 0)
        account.change("order-cancelled", gold=back)
        return httpx.Response(200, json={"order": order, "refund": {"gold": back}})
