"""What operators see and do, over a real socket."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from actors.authx.errors import UnknownAccount
from actors.authx.messages import Authorize, GetAccount, SearchAccounts, SetSuspended
from actors.inventory import errors as inventory
from actors.inventory.messages import GetInventory, Grant
from actors.inventory.views import ChangeView, Granted, GrantRecord
from app.http.endpoint import Auth
from app.http.endpoints import ENDPOINTS
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
ADMIN = {"Authorization": "Bearer v4.local.admin"}
TARGET = "0197f0a0-0000-7000-8000-00000000000b"
GRANT_ID = "0197f0a0-0000-7000-8000-00000000000d"
BASE = f"/v1/admin/accounts/{TARGET}"
GRANT = GrantRecord(GRANT_ID, TARGET, {"metal": ChangeView(5, 505)}, "a lost order", "ada", NOW_MS)
GRANT_BODY = {"changes": {"metal": 5}, "reason": "a lost order"}
RECORD = {
    "account_id": ACCOUNT_ID,
    "username": "ada",
    "role": "player",
    "suspended": False,
    "created_at": "2026-03-01T12:00:00Z",
}


def administered() -> FakeWorld:
    """Make a world with operators."""
    world = FakeWorld()
    world.answers |= {
        SearchAccounts: (
            ACCOUNT,
            changed(ACCOUNT, username="adam"),
            changed(ACCOUNT, username="x"),
        ),
        SetSuspended: changed(ACCOUNT, suspended=True),
        Grant: Granted(GRANT, replayed=False),
        GetInventory: INVENTORY,
    }
    return world


class Call(NamedTuple):
    """A call by an operator."""

    method: str
    path: str
    body: Any = None


CALLS = [
    Call("GET", "/v1/admin/accounts"),
    Call("GET", f"{BASE}/inventory"),
    Call("POST", f"{BASE}/grants", GRANT_BODY),
    Call("POST", f"{BASE}/suspend", {"reason": "cheating"}),
    Call("POST", f"{BASE}/resume", {"reason": "a mistake"}),
]


async def request(world: FakeWorld, call: Call, headers: dict[str, str]) -> Any:
    """Make a call."""
    async with serving(world) as server:
        return await server.client.request(
            call.method, call.path, json=call.body, headers={**KEY, **headers}
        )


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path[18:]}")
async def test_admin_call_is_for_admins_only(call: Call) -> None:
    """A player gets 403, an anonymous caller 401, and no actor is asked in either case."""
    world = administered()
    assert (await request(world, call, {})).status_code == 401
    refused = await request(world, call, BEARER)
    assert refused.status_code == 403
    assert refused.json()["type"] == "/problems/forbidden"
    assert all(isinstance(message, Authorize) for message in world.asked)
    assert (await request(world, call, ADMIN)).is_success


def test_admin_paths_are_all_behind_the_admins_door() -> None:
    """No row under /v1/admin admits anybody else, and no other row needs an admin."""
    for endpoint in ENDPOINTS:
        assert endpoint.path.startswith("/v1/admin/") == (endpoint.auth is Auth.ADMIN)


async def test_accounts_are_searched_page_by_page() -> None:
    """A page has the requested length; next leads to the rest, and is null at the end."""
    world = administered()
    page = await request(world, Call("GET", "/v1/admin/accounts?query=ad&after=ab&limit=2"), ADMIN)
    assert page.json() == {"accounts": [RECORD, {**RECORD, "username": "adam"}], "next": "adam"}
    assert world.asked_for(SearchAccounts) == [SearchAccounts("ad", "ab", 3)]
    for limit in ("", "?limit=3"):
        last = await request(world, Call("GET", f"/v1/admin/accounts{limit}"), ADMIN)
        assert (len(last.json()["accounts"]), last.json()["next"]) == (3, None)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "limit=x", "query=%00", "after=a%00", "query=a&query=b"]
)
async def test_search_that_cannot_be_made_is_422(query: str) -> None:
    """Bounds hold, and text that the database would refuse does not reach it."""
    world = administered()
    response = await request(world, Call("GET", f"/v1/admin/accounts?{query}"), ADMIN)
    assert response.status_code == 422
    assert not world.asked_for(SearchAccounts)


async def test_any_inventory_is_shown() -> None:
    """An operator sees what any account owns."""
    world = administered()
    response = await request(world, Call("GET", f"{BASE}/inventory"), ADMIN)
    assert response.json()["version"] == 7
    assert world.asked_for(GetInventory) == [GetInventory(TARGET)]


async def test_inventory_of_an_erased_account_is_not_shown() -> None:
    """Its Inventory does not know if the command line erased it, or if this took effect late."""
    world = administered()
    world.answers[GetAccount] = UnknownAccount()
    response = await request(world, Call("GET", f"{BASE}/inventory"), ADMIN)
    assert response.status_code == 404
    assert response.json()["type"] == "/problems/unknown-account"


async def test_grant_is_made_in_the_operators_name() -> None:
    """A grant carries who made it and why, and shows the balances after it."""
    world = administered()
    response = await request(world, Call("POST", f"{BASE}/grants", GRANT_BODY), ADMIN)
    assert response.status_code == 201
    assert response.json() == {
        "id": GRANT_ID,
        "account_id": TARGET,
        "changes": {"metal": {"delta": 5, "balance": 505}},
        "reason": "a lost order",
        "operator": "ada",
        "at": "2026-03-01T12:00:00Z",
    }
    (message,) = world.asked_for(Grant)
    assert changed(message, fingerprint=b"") == Grant(
        TARGET, {"metal": 5}, "a lost order", "ada", "operator k-1", b""
    )
    world.answers[Grant] = Granted(GRANT, replayed=True)
    again = await request(world, Call("POST", f"{BASE}/grants", GRANT_BODY), ADMIN)
    assert (again.status_code, again.json()) == (200, response.json())
    assert again.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize(
    "body",
    [
        {"changes": {}, "reason": "x"},
        {"changes": {"metal": 1}, "reason": ""},
        {"changes": {"metal": 1}},
        {"changes": {"metal": 1.5}, "reason": "x"},
        {"changes": {"metal": 2**53}, "reason": "x"},
        {"changes": {"": 1}, "reason": "x"},
    ],
    ids=str,
)
async def test_grant_that_is_not_whole_is_422(body: Any) -> None:
    """A grant needs a reason, and changes by whole amounts."""
    world = administered()
    response = await request(world, Call("POST", f"{BASE}/grants", body), ADMIN)
    assert response.status_code == 422
    assert not world.asked_for(Grant)


@pytest.mark.parametrize(("name", "field"), [("", "changes"), ("vat:1", "changes.vat:1")])
async def test_change_that_is_refused_is_told_by_its_name(name: str, field: str) -> None:
    """A refusal names the change at fault, or all of them if no single one is."""
    world = administered()
    world.answers[Grant] = inventory.InvalidAmount("no", name)
    response = await request(world, CALLS[2], ADMIN)
    assert response.json()["errors"] == [{"field": field, "message": "no"}]


@pytest.mark.parametrize(("verb", "suspended"), [("suspend", True), ("resume", False)])
async def test_suspension_is_set_with_a_reason(verb: str, suspended: bool) -> None:
    """Suspending and resuming carry who did it and why."""
    world = administered()
    call = Call("POST", f"{BASE}/{verb}", {"reason": "cheating"})
    assert (await request(world, call, ADMIN)).json() == {**RECORD, "suspended": True}
    assert world.asked_for(SetSuspended) == [SetSuspended(TARGET, suspended, "ada", "cheating")]


@pytest.mark.parametrize(
    ("call", "asked", "error", "status", "slug"),
    [
        (CALLS[1], GetInventory, inventory.AccountGone(), 404, "unknown-account"),
        (CALLS[2], Grant, inventory.AccountGone(), 404, "unknown-account"),
        (CALLS[2], Grant, inventory.InvalidAmount("no"), 422, "invalid-request"),
        (CALLS[2], Grant, inventory.UnknownAsset("x"), 404, "unknown-asset"),
        (CALLS[3], SetSuspended, UnknownAccount(), 404, "unknown-account"),
        (Call("GET", "/v1/admin/accounts/x/inventory"), Grant, None, 404, "unknown-account"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_admin_call_that_is_refused_is_its_problem(
    call: Call, asked: type, error: Exception | None, status: int, slug: str
) -> None:
    """An unknown account is 404 for an operator; a grant that cannot be made is refused."""
    world = administered()
    world.answers[asked] = error
    response = await request(world, call, ADMIN)
    assert response.status_code == status
    assert response.json()["type"] == f"/problems/{slug}"
