"""What only operators can do, against the whole program."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.e2e.players import (
    PASSWORD,
    Player,
    check_books,
    fresh_key,
    fresh_name,
    refused,
    until,
)
from tests.e2e.server import run_command
from tests.postgres import run_script

if TYPE_CHECKING:
    from actors.database.session import Session
    from bench.wire import Client, Response
    from tests.e2e.server import Server

NOBODY = "0197f0a0-0000-7000-8000-000000000003"


@pytest.fixture(scope="module")
def operator_name(server: Server) -> str:
    """Make an operator's account with its command, beside the running server."""
    name = fresh_name("operator")
    done = run_command(
        server.directory,
        *("accounts", "create", name, "--admin", "--password-stdin"),
        stdin=f"{PASSWORD}\n",
        **server.settings,
    )
    assert done.returncode == 0, done.stderr
    return name


@pytest.fixture
async def operator(http: Client, operator_name: str) -> Player:
    """Return the operator, logged in."""
    return await Player.login(http, operator_name)


def path(player: Player, what: str) -> str:
    """Return the path of an operator's action on a player's account."""
    return f"/v1/admin/accounts/{player.account_id}/{what}"


async def grant(
    operator: Player, player: Player, changes: object, key: dict[str, str] | None = None
) -> Response:
    """Change a player's assets."""
    body = {"changes": changes, "reason": "a quest"}
    return await operator.send("POST", path(player, "grants"), body, key or fresh_key())


@pytest.mark.parametrize(
    ("method", "what"),
    [("GET", "inventory"), ("POST", "grants"), ("POST", "suspend"), ("POST", "resume")],
)
async def test_admin_is_for_operators(player: Player, method: str, what: str) -> None:
    """A player gets 403, a stranger 401, and neither learns anything else."""
    refused(await player.send(method, path(player, what), {}, fresh_key()), 403, "forbidden")
    refused(await player.http.request(method, path(player, what)), 401, "invalid-token")
    refused(await player.send("GET", "/v1/admin/accounts"), 403, "forbidden")


async def test_admin_finds_accounts_by_their_beginning(operator: Player) -> None:
    """A search returns the accounts by name, page by page, with role and state."""
    prefix = fresh_name("find")[:12]
    names = [f"{prefix}-{number}" for number in range(5)]
    players = [await Player.join(operator.http, name) for name in names]
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = await operator.get(
            f"/v1/admin/accounts?query={prefix.upper()}&after={after}&limit=2"
        )
        found += page["accounts"]
        assert len(page["accounts"]) <= 2
        if page["next"] is None:
            break
        after = page["next"]
    assert [account["username"] for account in found] == names
    assert [account["account_id"] for account in found] == [p.account_id for p in players]
    assert {(a["role"], a["suspended"]) for a in found} == {("player", False)}


async def test_admin_sees_any_inventory(operator: Player, player: Player) -> None:
    """The operator sees what the player sees; a missing account is unknown."""
    assert await player.amount("gold") == 1000
    seen = await operator.get(path(player, "inventory"))
    assert (seen["account_id"], seen["resources"]["gold"]["amount"]) == (player.account_id, 1000)
    for missing in (NOBODY, "x"):
        answer = await operator.send("GET", f"/v1/admin/accounts/{missing}/inventory")
        refused(answer, 404, "unknown-account")


async def test_grant_moves_assets_once_and_is_on_record(
    operator: Player, player: Player, server: Server
) -> None:
    """A grant changes resources, levels and units as one entry, and is audited with its reason."""
    key = fresh_key()
    changes = {"gold": 50, "hut": 2, "scout": 5, "stone": -100}
    made = await grant(operator, player, changes, key)
    assert made.status_code == 201, made.text
    again = await grant(operator, player, changes, key)
    assert (again.status_code, again.json()) == (200, made.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert made.json()["changes"]["gold"] == {"delta": 50, "balance": 1050}
    refused(await grant(operator, player, {"gold": 1}, key), 422, "idempotency-key-reused")

    inventory = await player.inventory()
    assert inventory["resources"]["gold"]["amount"] == 1050
    assert (inventory["buildings"], inventory["units"]) == ({"hut": 2}, {"scout": 5})
    await check_books(player)

    async def audit(session: Session) -> list[tuple[object, ...]]:
        rows = await session.fetch(
            "select actor, action, reason from audit where subject = $1", player.account_id
        )
        return [tuple(row.values()) for row in rows]

    rows = await run_script(server.settings["HOLDFAST_DATABASE__DSN"], audit)
    assert rows == [(operator.name, "assets-granted", "a quest")]


async def test_grant_and_player_have_keys_of_their_own(operator: Player, player: Player) -> None:
    """Neither can use up the other's idempotency keys, by chance or on purpose."""
    first, second = fresh_key(), fresh_key()
    assert (await player.order("scout", 1, key=first)).status_code == 201
    assert (await grant(operator, player, {"gold": 1}, first)).status_code == 201
    assert (await grant(operator, player, {"gold": 1}, second)).status_code == 201
    assert (await player.order("scout", 1, key=second)).status_code == 201


async def test_grant_is_whole_or_not_at_all(operator: Player, player: Player) -> None:
    """One impossible change refuses the whole grant."""
    below = await grant(operator, player, {"gold": 5, "stone": -101})
    refused(below, 409, "insufficient-resources")
    refused(await grant(operator, player, {"gold": 5, "castle": 1}), 404, "unknown-asset")
    for changes in ({"gold": 0}, {"gold": 5, "hut": 4}, {}, {"gold": 10**15 + 1}):
        assert (await grant(operator, player, changes)).status_code in {409, 422}
    no_reason = {"changes": {"gold": 1}}
    answer = await operator.send("POST", path(player, "grants"), no_reason, fresh_key())
    refused(answer, 422, "invalid-request")
    without_key = {"changes": {"gold": 1}, "reason": "x"}
    answer = await operator.send("POST", path(player, "grants"), without_key)
    refused(answer, 400, "idempotency-key-required")
    nobody = await operator.send(
        "POST", f"/v1/admin/accounts/{NOBODY}/grants", without_key, fresh_key()
    )
    refused(nobody, 404, "unknown-account")
    assert await player.amount("gold") == 1000


async def test_suspended_account_is_out_and_stands_still(operator: Player, player: Player) -> None:
    """Its tokens end at once and its world stands still; once resumed, it goes on from there."""
    order = await player.ordered("palace")
    suspended = await operator.send("POST", path(player, "suspend"), {"reason": "a claim"})
    assert suspended.status_code == 200
    assert suspended.json()["suspended"]
    refused(await player.send("GET", "/v1/inventory"), 401, "invalid-token")
    credentials = {"username": player.name, "password": PASSWORD}
    refused(await player.http.post("/v1/sessions", json=credentials), 401, "invalid-credentials")
    spent = await player.http.post(
        "/v1/sessions/refresh", json={"refresh_token": player.tokens["refresh_token"]}
    )
    refused(spent, 401, "invalid-token")

    async def still() -> dict[str, Any] | None:
        before = await operator.get(path(player, "inventory"))
        await trio.sleep(0.1)
        after = await operator.get(path(player, "inventory"))
        return after if before["at"] == after["at"] else None

    frozen = await until(still)
    resumed = await operator.send("POST", path(player, "resume"), {"reason": "settled"})
    assert not resumed.json()["suspended"]
    back = await Player.login(player.http, player.name)

    async def moving() -> dict[str, Any] | None:
        inventory = await back.inventory()
        return inventory if inventory["at"] > frozen["at"] else None

    inventory = await until(moving)
    [later] = inventory["orders"]
    assert later["id"] == order["id"]
    stood = datetime.fromisoformat(later["finishes_at"]) - datetime.fromisoformat(
        order["finishes_at"]
    )
    assert stood.total_seconds() > 0.05
    await check_books(back)
