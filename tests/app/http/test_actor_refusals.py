"""What actors refuse over a real socket: each refusal is its problem, and tells nothing else."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from actors.authx import errors as authx
from actors.authx.messages import ChangePassword, EraseAccount, GetAccount, Login, Refresh, Register
from actors.inventory import errors as inventory
from actors.inventory.messages import CancelOrder, Forget, GetInventory, GetOrder, PlaceOrder
from tests.app.http.harness import BEARER, CHALLENGE, ORDER_ID, REFUSED, FakeWorld, serving
from tests.app.http.rows import CREDENTIALS, KEY

pytestmark = pytest.mark.usefixtures("lane")


class Refusal(NamedTuple):
    """One call that an actor refuses."""

    method: str
    path: str
    body: Any
    asked: type
    error: Exception
    status: int
    slug: str
    members: dict[str, Any]


@pytest.mark.parametrize(
    "case",
    [
        Refusal(
            "POST",
            "/v1/accounts",
            CREDENTIALS,
            Register,
            authx.UsernameTaken(),
            409,
            "username-taken",
            {},
        ),
        Refusal(
            "POST",
            "/v1/accounts",
            CREDENTIALS,
            Register,
            authx.InvalidUsername("too short"),
            422,
            "invalid-request",
            {"errors": [{"field": "username", "message": "too short"}]},
        ),
        Refusal(
            "POST",
            "/v1/accounts",
            CREDENTIALS,
            Register,
            authx.InvalidPassword("too long"),
            422,
            "invalid-request",
            {"errors": [{"field": "password", "message": "too long"}]},
        ),
        Refusal(
            "POST",
            "/v1/sessions",
            CREDENTIALS,
            Login,
            authx.InvalidCredentials(),
            401,
            "invalid-credentials",
            {},
        ),
        Refusal(
            "POST",
            "/v1/sessions",
            CREDENTIALS,
            Login,
            authx.TooManyAttempts(30),
            429,
            "too-many-attempts",
            {},
        ),
        Refusal(
            "POST",
            "/v1/sessions/refresh",
            {"refresh_token": "x"},
            Refresh,
            authx.InvalidToken(),
            401,
            "invalid-token",
            {},
        ),
        Refusal(
            "GET",
            "/v1/accounts/me",
            None,
            GetAccount,
            authx.UnknownAccount(),
            401,
            "invalid-token",
            {},
        ),
        Refusal(
            "DELETE",
            "/v1/accounts/me",
            {"password": "x"},
            EraseAccount,
            authx.InvalidCredentials(),
            401,
            "invalid-credentials",
            {},
        ),
        Refusal(
            "PUT",
            "/v1/accounts/me/password",
            {"current_password": "x", "new_password": "y"},
            ChangePassword,
            authx.InvalidCredentials(),
            401,
            "invalid-credentials",
            {},
        ),
        Refusal(
            "PUT",
            "/v1/accounts/me/password",
            {"current_password": "x", "new_password": "y"},
            ChangePassword,
            authx.InvalidPassword("too short"),
            422,
            "invalid-request",
            {"errors": [{"field": "new_password", "message": "too short"}]},
        ),
        Refusal(
            "POST",
            "/v1/inventory/orders",
            {"asset": "x"},
            PlaceOrder,
            inventory.UnknownAsset("x"),
            404,
            "unknown-asset",
            {},
        ),
        Refusal(
            "POST",
            "/v1/inventory/orders",
            {"asset": "x"},
            PlaceOrder,
            inventory.InsufficientResources({"metal": 7}),
            409,
            "insufficient-resources",
            {"missing": {"metal": 7}},
        ),
        Refusal(
            "POST",
            "/v1/inventory/orders",
            {"asset": "x"},
            PlaceOrder,
            inventory.PrerequisitesMissing({"lab": 2}),
            409,
            "prerequisites-missing",
            {"missing": {"lab": 2}},
        ),
        Refusal(
            "POST",
            "/v1/inventory/orders",
            {"asset": "x"},
            PlaceOrder,
            inventory.QueueFull("q"),
            409,
            "queue-full",
            {"queue": "q"},
        ),
        Refusal(
            "POST",
            "/v1/inventory/orders",
            {"asset": "x"},
            PlaceOrder,
            inventory.MaxLevel("x", 3),
            409,
            "max-level",
            {"asset": "x", "level": 3},
        ),
        Refusal(
            "POST",
            "/v1/inventory/orders",
            {"asset": "x", "count": 1},
            PlaceOrder,
            inventory.InvalidCount("a building has no count"),
            422,
            "invalid-request",
            {"errors": [{"field": "count", "message": "a building has no count"}]},
        ),
        Refusal(
            "POST",
            "/v1/inventory/orders",
            {"asset": "x"},
            PlaceOrder,
            inventory.IdempotencyKeyReused(),
            422,
            "idempotency-key-reused",
            {},
        ),
        Refusal(
            "GET",
            f"/v1/inventory/orders/{ORDER_ID}",
            None,
            GetOrder,
            inventory.UnknownOrder(ORDER_ID),
            404,
            "unknown-order",
            {},
        ),
        Refusal(
            "DELETE",
            f"/v1/inventory/orders/{ORDER_ID}",
            None,
            CancelOrder,
            inventory.UnknownOrder(ORDER_ID),
            404,
            "unknown-order",
            {},
        ),
        Refusal(
            "DELETE",
            f"/v1/inventory/orders/{ORDER_ID}",
            None,
            CancelOrder,
            inventory.OrderNotPending(ORDER_ID, "completed"),
            409,
            "order-not-pending",
            {"state": "completed"},
        ),
        Refusal(
            "GET",
            "/v1/inventory",
            None,
            GetInventory,
            inventory.AccountGone(),
            401,
            "invalid-token",
            {},
        ),
    ],
    ids=lambda case: f"{case.method} {case.path} {case.slug}",
)
async def test_refusal_is_the_problem_of_the_contract(case: Refusal) -> None:
    """Each refusal of an actor reaches the client as its problem, with its members and headers."""
    world = FakeWorld()
    world.answers[case.asked] = case.error
    async with serving(world) as server:
        response = await server.client.request(
            case.method, case.path, json=case.body, headers={**BEARER, **KEY}
        )
        problem = response.json()
        assert response.status_code == problem["status"] == case.status
        assert response.headers["content-type"] == "application/problem+json"
        assert problem["type"] == f"/problems/{case.slug}"
        assert {name: problem[name] for name in case.members} == case.members
        if case.status == 401:
            challenge = REFUSED if case.slug == "invalid-token" else CHALLENGE
            assert response.headers["www-authenticate"] == challenge
        if case.status == 429:
            assert response.headers["retry-after"] == "30"
        assert not world.logged


@pytest.mark.parametrize("error", [inventory.AccountGone(), inventory.UnknownOrder("x")])
async def test_erasing_succeeds_though_the_inventory_is_gone(error: Exception) -> None:
    """An account that is erased is erased, whatever its Inventory says to being forgotten."""
    world = FakeWorld()
    world.answers[Forget] = error
    async with serving(world) as server:
        response = await server.client.request(
            "DELETE", "/v1/accounts/me", json={"password": "x"}, headers=BEARER
        )
        assert response.status_code == 204


async def test_wrong_password_and_unknown_user_get_the_same_answer() -> None:
    """Two refused logins differ in nothing but request id and date."""
    world = FakeWorld()

    def refuse(message: Login) -> Exception:
        return authx.InvalidCredentials(message.username)

    world.answers[Login] = refuse
    async with serving(world) as server:
        first = await server.client.post("/v1/sessions", json=CREDENTIALS)
        other = await server.client.post("/v1/sessions", json={**CREDENTIALS, "username": "bob"})
        assert first.content == other.content
        assert b"ada" not in first.content
