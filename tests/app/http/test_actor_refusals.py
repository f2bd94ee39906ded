"""Refusals by actors over a real socket: each becomes its problem and reveals nothing else."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from actors.authx import errors as authx
from actors.authx.messages import (
    ChangePassword,
    EndSession,
    EraseAccount,
    GetAccount,
    Login,
    Refresh,
    Register,
)
from actors.inventory import errors as inventory
from actors.inventory.messages import CancelOrder, Forget, GetInventory, GetOrder, PlaceOrder
from tests.app.http.harness import BEARER, CHALLENGE, ORDER_ID, REFUSED, FakeWorld, serving
from tests.app.http.rows import CREDENTIALS, KEY

pytestmark = pytest.mark.usefixtures("lane")


class Call(NamedTuple):
    """One call, and the message that its actor is asked."""

    method: str
    path: str
    body: Any
    asked: type

    def __str__(self) -> str:
        """Return it as a test's id."""
        return f"{self.method} {self.path}"


REGISTER = Call("POST", "/v1/accounts", CREDENTIALS, Register)
LOGIN = Call("POST", "/v1/sessions", CREDENTIALS, Login)
REFRESH = Call("POST", "/v1/sessions/refresh", {"refresh_token": "x"}, Refresh)
GET_ACCOUNT = Call("GET", "/v1/accounts/me", None, GetAccount)
END_SESSION = Call("DELETE", f"/v1/sessions/{ORDER_ID}", None, EndSession)
ERASE_ACCOUNT = Call("DELETE", "/v1/accounts/me", {"password": "x"}, EraseAccount)
CHANGE_PASSWORD = Call(
    "PUT",
    "/v1/accounts/me/password",
    {"current_password": "x", "new_password": "y"},
    ChangePassword,
)
PLACE_ORDER = Call("POST", "/v1/inventory/orders", {"asset": "x"}, PlaceOrder)
PLACE_ORDER_UNITS = Call("POST", "/v1/inventory/orders", {"asset": "x", "count": 1}, PlaceOrder)
GET_ORDER = Call("GET", f"/v1/inventory/orders/{ORDER_ID}", None, GetOrder)
CANCEL_ORDER = Call("DELETE", f"/v1/inventory/orders/{ORDER_ID}", None, CancelOrder)
GET_INVENTORY = Call("GET", "/v1/inventory", None, GetInventory)


@pytest.mark.parametrize(
    ("call", "error", "status", "slug", "members"),
    [
        (REGISTER, authx.UsernameTaken(), 409, "username-taken", {}),
        (
            REGISTER,
            authx.InvalidUsername("too short"),
            422,
            "invalid-request",
            {"errors": [{"field": "username", "message": "too short"}]},
        ),
        (
            REGISTER,
            authx.InvalidPassword("too long"),
            422,
            "invalid-request",
            {"errors": [{"field": "password", "message": "too long"}]},
        ),
        (LOGIN, authx.InvalidCredentials(), 401, "invalid-credentials", {}),
        (LOGIN, authx.TooManyAttempts(30), 429, "too-many-attempts", {}),
        (REFRESH, authx.InvalidToken(), 401, "invalid-token", {}),
        (GET_ACCOUNT, authx.UnknownAccount(), 401, "invalid-token", {}),
        (END_SESSION, authx.UnknownSession(), 404, "unknown-session", {}),
        (ERASE_ACCOUNT, authx.InvalidCredentials(), 401, "invalid-credentials", {}),
        (CHANGE_PASSWORD, authx.InvalidCredentials(), 401, "invalid-credentials", {}),
        (
            CHANGE_PASSWORD,
            authx.InvalidPassword("too short"),
            422,
            "invalid-request",
            {"errors": [{"field": "new_password", "message": "too short"}]},
        ),
        (PLACE_ORDER, inventory.UnknownAsset("x"), 404, "unknown-asset", {}),
        (
            PLACE_ORDER,
            inventory.InsufficientResources({"metal": 7}),
            409,
            "insufficient-resources",
            {"missing": {"metal": 7}},
        ),
        (
            PLACE_ORDER,
            inventory.PrerequisitesMissing({"lab": 2}),
            409,
            "prerequisites-missing",
            {"missing": {"lab": 2}},
        ),
        (PLACE_ORDER, inventory.QueueFull("q"), 409, "queue-full", {"queue": "q"}),
        (PLACE_ORDER, inventory.MaxLevel("x", 3), 409, "max-level", {"asset": "x", "level": 3}),
        (
            PLACE_ORDER_UNITS,
            inventory.InvalidCount("a building has no count"),
            422,
            "invalid-request",
            {"errors": [{"field": "count", "message": "a building has no count"}]},
        ),
        (PLACE_ORDER, inventory.IdempotencyKeyReused(), 422, "idempotency-key-reused", {}),
        (GET_ORDER, inventory.UnknownOrder(ORDER_ID), 404, "unknown-order", {}),
        (CANCEL_ORDER, inventory.UnknownOrder(ORDER_ID), 404, "unknown-order", {}),
        (
            CANCEL_ORDER,
            inventory.OrderNotPending(ORDER_ID, "completed"),
            409,
            "order-not-pending",
            {"state": "completed"},
        ),
        (GET_INVENTORY, inventory.AccountGone(), 401, "invalid-token", {}),
    ],
    ids=lambda value: str(value) if isinstance(value, Call | str) else "",
)
async def test_refusal_is_the_problem_of_the_contract(
    call: Call, error: Exception, status: int, slug: str, members: dict[str, Any]
) -> None:
    """Each refusal of an actor reaches the client as its problem, with its members and headers."""
    world = FakeWorld()
    world.answers[call.asked] = error
    async with serving(world) as server:
        response = await server.client.request(
            call.method, call.path, json=call.body, headers={**BEARER, **KEY}
        )
        problem = response.json()
        assert response.status_code == problem["status"] == status
        assert response.headers["content-type"] == "application/problem+json"
        assert problem["type"] == f"/problems/{slug}"
        assert {name: problem[name] for name in members} == members
        if status == 401:
            challenge = REFUSED if slug == "invalid-token" else CHALLENGE
            assert response.headers["www-authenticate"] == challenge
        if status == 429:
            assert response.headers["retry-after"] == "30"
        told = ["password_refused"] if slug == "invalid-credentials" else []
        assert [event["event"] for event in world.logged] == told


@pytest.mark.parametrize("error", [inventory.AccountGone(), inventory.UnknownOrder("x")])
async def test_erasing_succeeds_though_the_inventory_is_gone(error: Exception) -> None:
    """Erasing an account succeeds, whatever its Inventory answers when told to forget it."""
    world = FakeWorld()
    world.answers[Forget] = error
    async with serving(world) as server:
        response = await server.client.request(
            "DELETE", "/v1/accounts/me", json={"password": "x"}, headers=BEARER
        )
        assert response.status_code == 204


async def test_wrong_password_and_unknown_user_get_the_same_answer() -> None:
    """The responses to two refused logins differ only in request id and date."""
    world = FakeWorld()

    def refuse(message: Login) -> Exception:
        return authx.InvalidCredentials(account_id=message.username)

    world.answers[Login] = refuse
    async with serving(world) as server:
        first = await server.client.post("/v1/sessions", json=CREDENTIALS)
        other = await server.client.post("/v1/sessions", json={**CREDENTIALS, "username": "bob"})
        assert first.content == other.content
        assert b"ada" not in first.content
