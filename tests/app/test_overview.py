"""What operators see of a running program: true, complete, and without waiting."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from actors.authx import operator
from actors.authx.passwords import Passwords
from actors.authx.settings import AuthxSettings
from actors.database.driver import open_database
from app.histogram import Histogram
from app.http.types.operations import Status
from app.overview import distribution
from tests.app.metrics.support import PASSWORD, Player, running
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import httpx

    from tests.app.metrics.support import Server

ONE_TIME = "first and last"
CHEAP = AuthxSettings(argon2_memory_kib=8, argon2_time_cost=1)


async def make_admin(dsn: str, username: str) -> None:
    """Make an operator's account as the command line does."""
    async with open_database(dsn, log=quiet_log()) as database:
        connection = await database.connect(name="test")
        await operator.create_account(
            connection,
            Passwords(CHEAP),
            username,
            ONE_TIME,
            role="admin",
            one_time=True,
            now=datetime.now(UTC),
        )
        await connection.aclose()


class Operator(Player):
    """A logged-in operator."""

    async def send(self, method: str, path: str, body: Any, **headers: str) -> httpx.Response:
        """Make a call with a body."""
        bearer = {"Authorization": f"Bearer {self.token}"}
        return await self.client.request(method, path, json=body, headers=bearer | headers)

    async def status(self) -> Status:
        """Read the state of the program."""
        answer = await self.get("/v1/admin/status")
        assert answer.status_code == 200, answer.text
        return msgspec.json.decode(answer.content, type=Status)


async def log_in(server: Server, username: str, password: str) -> Operator:
    """Log an operator in."""
    credentials = {"username": username, "password": password}
    opened = (await server.client.post("/v1/sessions", json=credentials)).json()
    return Operator(server.client, opened["account_id"], opened["access_token"])


@asynccontextmanager
async def operated(
    dsn: str, username: str, **settings: str
) -> AsyncGenerator[tuple[Server, Operator]]:
    """Run a server, and log in an operator who has changed the one-time password."""
    await make_admin(dsn, username)
    async with running(dsn, **settings) as server:
        chief = await log_in(server, username, ONE_TIME)
        path, body = "/v1/accounts/me/password", {"current_password": ONE_TIME}
        changed = await chief.send("PUT", path, body | {"new_password": PASSWORD})
        assert changed.status_code == 204, changed.text
        yield server, chief


async def test_one_time_password_end_to_end(database_dsn: str) -> None:
    """It allows only its own change, says so, and afterwards the same session continues."""
    await make_admin(database_dsn, "fresh-admin")
    async with running(database_dsn) as server:
        chief = await log_in(server, "fresh-admin", ONE_TIME)
        assert (await chief.get("/v1/accounts/me")).json()["must_change_password"] is True
        refused = await chief.get("/v1/admin/status")
        assert (refused.status_code, refused.json()["type"]) == (
            403,
            "/problems/password-change-required",
        )
        assert (await chief.get("/v1/events")).status_code == 403
        body = {"current_password": ONE_TIME, "new_password": ONE_TIME}
        same = await chief.send("PUT", "/v1/accounts/me/password", body)
        assert (same.status_code, same.json()["errors"][0]["field"]) == (422, "new_password")
        body["new_password"] = PASSWORD
        changed = await chief.send("PUT", "/v1/accounts/me/password", body)
        assert changed.status_code == 204
        assert (await chief.get("/v1/accounts/me")).json()["must_change_password"] is False
        assert (await chief.status()).logins.accepted == 1


async def test_status_tells_of_every_part(database_dsn: str) -> None:
    """Each actor is in the tree with its mailbox; each event is counted once."""
    async with operated(database_dsn, "status-admin") as (server, chief):
        before = await chief.status()
        player = await server.sign_up("overseen")
        assert (await player.order("k-1")).status_code == 201
        after = await chief.status()

        root = after.actors
        assert (root.name, root.kind, root.state) == ("holdfast", "program", "ready")
        names = [child.name for child in root.children]
        assert names == ["storage", "authx", "ticker", "inventories", "transfers", "http"]
        for child in root.children[:-1]:
            assert (child.kind, child.policy, child.state) == ("actor", "permanent", "ready")
            assert child.mailbox is not None
            assert 0 <= child.mailbox.waiting <= child.mailbox.capacity
            assert timedelta(0) <= after.now - child.since < timedelta(minutes=1)
        (group,) = root.children[3].children
        assert group.group is not None
        assert (group.group.live, group.group.activating, group.group.live_max) == (1, 0, 10_000)

        assert after.storage.units_committed > before.storage.units_committed
        assert after.storage.batch_units.count == after.storage.commits
        assert after.http.methods["POST"] - before.http.methods["POST"] == 3
        assert after.http.statuses["2xx"] - before.http.statuses["2xx"] == 4
        assert after.http.duration.count == sum(after.http.statuses.values())
        assert after.replies["inventory"].count > before.replies["inventory"].count
        assert after.bus.topics["task"].delivered > before.bus.topics["task"].delivered
        assert after.http.in_flight == 0 <= after.bus.asks.in_flight
        assert after.world.name == "Holdfast"
        assert after.world.ruleset.name == "tutorial"
        assert before.started_at == after.started_at <= after.now


async def test_status_measures_the_clock(database_dsn: str) -> None:
    """Each tick is recorded with its lateness."""
    settings = {"world__tick_ms": "10"}
    async with operated(database_dsn, "clock-admin", **settings) as (_, chief):
        first = told = await chief.status()
        while told.world.tick <= first.world.tick:
            told = await chief.status()
        assert told.tick_lag.count >= 1
        assert sum(told.tick_lag.counts) == told.tick_lag.count
        up = told.now - told.started_at
        assert 0 <= told.tick_lag.sum <= told.tick_lag.count * up.total_seconds()


async def test_operators_act_on_accounts_and_read_of_it(database_dsn: str) -> None:
    """Grant, ended sessions and suspension are in one log, newest first; the account shows them."""
    async with operated(database_dsn, "acting-admin") as (server, chief):
        player = await server.sign_up("acted-upon")
        base = f"/v1/admin/accounts/{player.account_id}"
        grant = {"changes": {"gold": 5}, "reason": "a prize"}
        key = {"Idempotency-Key": "k-1"}
        assert (await chief.send("POST", f"{base}/grants", grant, **key)).status_code == 201
        shown = (await chief.get(base)).json()
        assert (shown["username"], shown["sessions"]) == ("acted-upon", 1)
        (session,) = (await chief.get(f"{base}/sessions")).json()["sessions"]
        ended = await chief.send(
            "DELETE", f"{base}/sessions/{session['session_id']}", {"reason": "stolen"}
        )
        assert ended.json() == {"ended": 1}
        assert (await player.get("/v1/inventory")).status_code == 401
        assert (await chief.send("POST", f"{base}/suspend", {"reason": "x"})).status_code == 200

        ledger = (await chief.get(f"{base}/ledger")).json()["entries"]
        assert [entry["cause"] for entry in ledger] == ["start", "grant"]
        assert (await chief.get(base)).json()["suspended"] is True
        entries = (await chief.get("/v1/admin/audit?limit=3")).json()["entries"]
        assert [entry["action"] for entry in entries] == [
            "account-suspended",
            "sessions-ended",
            "assets-granted",
        ]
        assert {(entry["actor"], entry["username"]) for entry in entries} == {
            ("acting-admin", "acted-upon")
        }
        assert entries[2]["detail"]["gold"]["delta"] == 5
        unknown = await chief.get("/v1/admin/accounts/0197f0a0-0000-7000-8000-000000000001/ledger")
        assert (unknown.status_code, unknown.json()["type"]) == (404, "/problems/unknown-account")


async def test_events_are_followed_without_a_gap(database_dsn: str) -> None:
    """The program's log events can be read, and reading resumes where it stopped."""
    async with operated(database_dsn, "reading-admin") as (server, chief):
        page = (await chief.get("/v1/admin/events")).json()
        assert page["entries"][0]["seq"] == 1
        assert "server_ready" in {entry["event"] for entry in page["entries"]}
        await server.sign_up("logged")
        rest = (await chief.get(f"/v1/admin/events?after={page['next']}")).json()
        assert [entry["event"] for entry in rest["entries"]] == ["account_created"]
        assert rest["entries"][0]["fields"].keys() == {"account_id", "request_id"} or (
            rest["entries"][0]["fields"].keys() == {"account_id"}
        )
        assert PASSWORD not in str(page)
        assert rest["dropped"] == 0


def test_distribution_has_each_value_in_one_place() -> None:
    """Counts are per bucket, not cumulative; the last is beyond every bound."""
    filled = Histogram([1, 2])
    for value in (0.5, 1, 1.5, 7):
        filled.observe(value)
    told = distribution(filled)
    assert (told.bounds, told.counts, told.sum, told.count) == ([1, 2], [2, 1, 1], 10, 4)
