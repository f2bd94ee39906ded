"""The successful calls of the contract: what is sent, asked and answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from actors.authx.messages import (
    ChangePassword,
    EndSession,
    EndSessions,
    EraseAccount,
    GetAccount,
    ListSessions,
    Login,
    Refresh,
    Register,
)
from actors.inventory.messages import (
    CancelOrder,
    Forget,
    GetInventory,
    GetLedger,
    GetOrder,
    ListOrders,
)
from actors.ticker.messages import GetWorld
from app.http.types.inventory import INTEGER_MAX
from tests.app.http.harness import ACCOUNT_ID, ORDER_ID, RULES, SESSION_ID

CLIENT = "127.0.0.1"
KEY = {"Idempotency-Key": "k-0123456789abcdef"}
CREDENTIALS = {"username": "ada", "password": "correct horse"}
WHEN_TEXT = "2026-03-01T12:00:00Z"
ORDER_JSON = {
    "id": ORDER_ID,
    "asset": "metal_mine",
    "kind": "building",
    "level": 2,
    "cost": {"metal": 90, "crystal": 22},
    "state": "running",
    "placed_at": WHEN_TEXT,
    "starts_at": WHEN_TEXT,
    "finishes_at": "2026-03-01T12:01:00.500000Z",
}
TOKENS_JSON = {
    "account_id": ACCOUNT_ID,
    "session_id": SESSION_ID,
    "access_token": "v4.local.access",
    "token_type": "Bearer",
    "expires_in": 900,
    "refresh_token": "refresh",
    "refresh_expires_in": 2_592_000,
}


@dataclass(frozen=True)
class Row:
    """One successful call."""

    method: str
    path: str
    asked: tuple[Any, ...]
    status: int = 200
    answer: Any = None
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    kept: bool = False


PUBLIC = [
    Row("GET", "/healthz", (), answer={"status": "ok"}),
    Row(
        "GET",
        "/readyz",
        (),
        answer={"status": "ready", "actors": {"storage": "ready", "ticker": "ready"}},
    ),
    Row(
        "GET",
        "/v1/world",
        (GetWorld(),),
        answer={
            "name": "testworld",
            "ruleset": {"name": "tutorial", "version": "c0ffee"},
            "tick": 1_234,
            "tick_ms": 1_000,
            "speed": 2,
            "now": WHEN_TEXT,
        },
    ),
    Row(
        "GET",
        "/v1/ruleset",
        (),
        answer=RULES,
        kept=True,
    ),
    Row(
        "POST",
        "/v1/accounts",
        (Register("ada", "correct horse", CLIENT),),
        201,
        {"account_id": ACCOUNT_ID, "username": "ada", "created_at": WHEN_TEXT},
        CREDENTIALS,
    ),
    Row(
        "POST",
        "/v1/sessions",
        (Login("ada", "correct horse", CLIENT, CLIENT),),
        201,
        TOKENS_JSON,
        CREDENTIALS,
    ),
    Row(
        "POST",
        "/v1/sessions/refresh",
        (Refresh("refresh"),),
        200,
        TOKENS_JSON,
        {"refresh_token": "refresh"},
    ),
    Row(
        "GET",
        "/problems/queue-full",
        (),
        answer={
            "type": "/problems/queue-full",
            "title": "The queue is full",
            "status": 409,
            "description": "Every place in the asset's `queue` is taken; wait for an order to"
            " complete or cancel one.",
        },
    ),
]

OWN = [
    Row(
        "GET",
        "/v1/sessions",
        (ListSessions(ACCOUNT_ID),),
        answer={
            "sessions": [
                {
                    "session_id": SESSION_ID,
                    "created_at": WHEN_TEXT,
                    "refreshed_at": WHEN_TEXT,
                    "expires_at": WHEN_TEXT,
                    "current": True,
                }
            ]
        },
    ),
    Row("DELETE", "/v1/sessions/current", (EndSessions(ACCOUNT_ID, SESSION_ID),), 204),
    *(
        Row("DELETE", f"/v1/sessions/{spelling}", (EndSession(ACCOUNT_ID, ORDER_ID),), 204)
        for spelling in (ORDER_ID, ORDER_ID.upper())
    ),
    Row("DELETE", "/v1/sessions", (EndSessions(ACCOUNT_ID),), 204),
    Row(
        "GET",
        "/v1/accounts/me",
        (GetAccount(ACCOUNT_ID),),
        answer={
            "account_id": ACCOUNT_ID,
            "username": "ada",
            "role": "player",
            "created_at": WHEN_TEXT,
            "must_change_password": False,
        },
    ),
    Row(
        "DELETE",
        "/v1/accounts/me",
        (EraseAccount(ACCOUNT_ID, "correct horse", CLIENT), Forget(ACCOUNT_ID)),
        204,
        body={"password": "correct horse"},
    ),
    Row(
        "PUT",
        "/v1/accounts/me/password",
        (ChangePassword(ACCOUNT_ID, SESSION_ID, "old one", "new one", CLIENT),),
        204,
        body={"current_password": "old one", "new_password": "new one"},
    ),
    Row(
        "GET",
        "/v1/inventory",
        (GetInventory(ACCOUNT_ID),),
        answer={
            "account_id": ACCOUNT_ID,
            "version": 7,
            "at": WHEN_TEXT,
            "tick": 1_234,
            "resources": {
                "metal": {
                    "amount": 482,
                    "per_hour": 63,
                    "capacity": 10_000,
                    "full_at": "2026-03-01T13:00:00Z",
                }
            },
            "balances": {"energy": {"produced": 22, "used": 11, "factor": 1.0}},
            "buildings": {"metal_mine": 1},
            "technologies": {},
            "units": {},
            "orders": [ORDER_JSON],
        },
    ),
    Row(
        "GET",
        "/v1/inventory/orders",
        (ListOrders(ACCOUNT_ID),),
        answer={"orders": [ORDER_JSON]},
    ),
    Row(
        "GET",
        f"/v1/inventory/orders/{ORDER_ID}",
        (GetOrder(ACCOUNT_ID, ORDER_ID),),
        answer=ORDER_JSON,
    ),
    Row(
        "GET",
        f"/v1/inventory/orders/{ORDER_ID.upper()}",
        (GetOrder(ACCOUNT_ID, ORDER_ID),),
        answer=ORDER_JSON,
    ),
    Row(
        "DELETE",
        f"/v1/inventory/orders/{ORDER_ID}",
        (CancelOrder(ACCOUNT_ID, ORDER_ID),),
        answer={
            "order": {**ORDER_JSON, "state": "cancelled"},
            "refund": {"metal": 90, "crystal": 22},
        },
    ),
    Row(
        "GET",
        "/v1/inventory/ledger",
        (GetLedger(ACCOUNT_ID, 0, 100),),
        answer={
            "entries": [
                {
                    "seq": 2,
                    "at": WHEN_TEXT,
                    "cause": "order-placed",
                    "order_id": ORDER_ID,
                    "changes": {"metal": {"delta": -90, "balance": 410}},
                }
            ],
            "next": 2,
        },
    ),
    Row(
        "GET",
        f"/v1/inventory/ledger?after={INTEGER_MAX}&limit=500",
        (GetLedger(ACCOUNT_ID, INTEGER_MAX, 500),),
        answer={"entries": [], "next": None},
    ),
]
