"""What ``holdfast reset`` promises to the operator."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from actors.authx import new_world
from actors.authx.operator import end_world as end_world_for_good
from actors.database.driver import open_database
from actors.database.errors import TransientError
from tests.app.cli.support import run, run_at_terminal, running_server
from tests.postgres import frozen, quiet_log, run_script

if TYPE_CHECKING:
    from pathlib import Path

    from actors.authx.new_world import EndedWorld
    from actors.database.session import Session
    from tests.postgres import PostgresServer

PASSWORD = "correct horse"
KEPT = {"accounts", "audit", "last_commit", "schema_migrations"}
TABLES = "select tablename from pg_tables where schemaname = 'public'"
CUT_OFF = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
"""


async def counted(session: Session) -> dict[str, int]:
    """Count the rows of each table."""
    tables = [row["tablename"] for row in await session.fetch(TABLES)]
    return {
        table: await session.fetchval(f"select count(*) from {table}")  # noqa: S608
        for table in tables
    }


async def filled(session: Session) -> set[str]:
    """Return the tables that have rows."""
    return {table for table, rows in (await counted(session)).items() if rows}


async def cut_off(session: Session) -> None:
    """End all connections but this one."""
    await session.execute(CUT_OFF)


async def fill(session: Session) -> None:
    """Begin a world for one account."""
    await session.execute(
        "insert into accounts (account_id, username, username_key, password_hash, created_at)"
        " values (gen_random_uuid(), 'ann', 'ann', 'none', now())"
    )
    await session.execute(
        "insert into world (name, world_id, tick, now_ms, ruleset, version)"
        " values ('old', gen_random_uuid(), 7, 1, 'r', 1)"
    )


class Player:
    """Somebody with an account, who logs in anew for each server."""

    def __init__(self, url: str, name: str) -> None:
        self.url = url
        self.tokens = {"access_token": "none"}
        self.tokens = self.post("/v1/sessions", {"username": name, "password": PASSWORD}).json()

    @classmethod
    def join(cls, url: str, name: str) -> Player:
        """Create the account first."""
        body = {"username": name, "password": PASSWORD}
        made = httpx.post(f"{url}/v1/accounts", json=body, trust_env=False)
        assert made.is_success, made.text
        return cls(url, name)

    def post(self, path: str, body: object) -> httpx.Response:
        """Send a command, always with the same key."""
        return httpx.post(self.url + path, json=body, headers=self.headers(), trust_env=False)

    def get(self, path: str) -> Any:
        """Read something."""
        answer = httpx.get(self.url + path, headers=self.headers(), trust_env=False)
        assert answer.is_success, answer.text
        return answer.json()

    def headers(self) -> dict[str, str]:
        """Return the headers of a command."""
        token = self.tokens["access_token"]
        return {"Authorization": f"Bearer {token}", "Idempotency-Key": "key-of-all-the-tests"}


def test_reset_begins_a_new_world_for_the_same_accounts(place: Path) -> None:
    """Names, passwords, roles and suspensions stay; all that was played does not, but in FILE."""
    with running_server(place) as server:
        ann, _ = (Player.join(server.url, name) for name in ("ann", "bob"))
        assert ann.post("/v1/inventory/orders", {"asset": "cottage"}).status_code == 201
        ledger = ann.get("/v1/inventory/ledger")["entries"]
        assert run("accounts", "promote", "ann", cwd=place).status == 0
        assert run("accounts", "suspend", "bob", cwd=place).status == 0
        refused = run("reset", "--no-backup", "--yes", cwd=place)
        assert (refused.status, "is in use by another" in refused.complaint) == (1, True)

    done = run("reset", "--backup", "old.dump", "--yes", cwd=place)
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.startswith("the world 'Holdfast' has ended, and it is in old.dump (")
    assert done.stdout.endswith("; the next start begins a new one\n")

    with running_server(place, HOLDFAST_WORLD__RULESET="ogame") as server:
        ann.url = server.url
        stale = httpx.get(f"{server.url}/v1/inventory", headers=ann.headers(), trust_env=False)
        spent = {"refresh_token": ann.tokens["refresh_token"]}
        assert stale.status_code == ann.post("/v1/sessions/refresh", spent).status_code == 401
        ann = Player(server.url, "ann")
        assert "metal" in ann.get("/v1/inventory")["resources"]
        assert [entry["seq"] for entry in ann.get("/v1/inventory/ledger")["entries"]] == [1]
        assert ann.get("/v1/inventory/orders") == {"orders": []}
        # The key was used in the old world.
        assert ann.post("/v1/inventory/orders", {"asset": "metal_mine"}).status_code == 201
        body = {"username": "bob", "password": PASSWORD}
        suspended = httpx.post(f"{server.url}/v1/sessions", json=body, trust_env=False)
        assert suspended.status_code == 401
        [entry] = [
            each
            for each in ann.get("/v1/admin/audit")["entries"]
            if each["action"] == "world-reset"
        ]
        assert (entry["actor"], entry["username"]) == ("command line", None)
        assert entry["detail"].keys() == {"world", "tick", "accounts"}
        assert (entry["detail"]["world"], entry["detail"]["accounts"]) == ("Holdfast", 2)
    assert run("ledger", "verify", cwd=place).status == 0

    assert run("restore", "--force", "old.dump", cwd=place).status == 0
    with running_server(place) as server:
        entries = Player(server.url, "ann").get("/v1/inventory/ledger")["entries"]
        assert entries[: len(ledger)] == ledger


def test_reset_asks_before_it_ends_a_world(place: Path, postgres: PostgresServer) -> None:
    """The question says which world it is, and a no, or no answer, changes nothing."""
    settings = {"HOLDFAST_DATABASE__DSN": postgres.create_database()}
    with running_server(place, **settings) as server:
        order = Player.join(server.url, "ann").post("/v1/inventory/orders", {"asset": "cottage"})
    refused = run("reset", "--no-backup", cwd=place, stdin="n\n", **settings)
    assert refused.status == 1
    assert "End the world 'Holdfast' at tick " in refused.stderr
    assert "remove all that 1 account owns, for good? [y/N]" in refused.stderr
    assert run("reset", "--no-backup", cwd=place, **settings).status == 1
    with running_server(place, **settings) as server:
        placed = order.json()["id"]
        assert Player(server.url, "ann").get(f"/v1/inventory/orders/{placed}")["id"] == placed
        refused = run("reset", "--no-backup", cwd=place, stdin="y\n", **settings)
        assert "another Holdfast server is running" in refused.complaint
    done = run("reset", "--no-backup", cwd=place, stdin="y\n", **settings)
    assert done.stdout == (
        "the world 'Holdfast' has ended, and nothing is kept of it; the next start begins a new"
        " one\n"
    )
    again = run("reset", "--no-backup", "--yes", cwd=place, **settings)
    assert again.complaint.startswith("holdfast: no world has begun in the database ")


def test_reset_that_cannot_back_up_ends_nothing(place: Path, postgres: PostgresServer) -> None:
    """The backup comes first."""
    settings = {"HOLDFAST_DATABASE__DSN": postgres.create_database()}
    with running_server(place, **settings) as server:
        Player.join(server.url, "ann")
    (place / "old.dump").write_text("precious")
    refused = run("reset", "--backup", "old.dump", "--yes", cwd=place, **settings)
    assert refused.complaint == "holdfast: old.dump exists already: choose another name"
    assert (place / "old.dump").read_text() == "precious"
    refused = run("reset", "--backup", "away/old.dump", "--yes", cwd=place, **settings)
    assert refused.complaint == "holdfast: away is not a folder: create it first"
    assert run("reset", "--no-backup", "--yes", cwd=place, **settings).status == 0


@pytest.mark.parametrize("options", [(), ("--no-backup", "--backup", "old.dump")])
def test_reset_has_to_be_told_what_to_keep(place: Path, options: tuple[str, ...]) -> None:
    """Nobody loses a world because an option was forgotten."""
    refused = run("reset", *options, "--yes", cwd=place)
    assert refused.status == 2
    assert "say what to keep of the old world" in refused.stderr
    assert list(place.iterdir()) == []


def test_reset_of_nothing_is_refused(place: Path) -> None:
    """Without a database, or before the first start, there is no world to end."""
    refused = run("reset", "--no-backup", "--yes", cwd=place)
    assert refused.complaint.startswith("holdfast: there is no world in the data directory var: ")
    assert list(place.iterdir()) == []
    assert run("init", cwd=place).status == 0
    refused = run("reset", "--no-backup", "--yes", cwd=place)
    assert refused.complaint == (
        "holdfast: no world has begun in the data directory var: there is nothing to end"
    )


def test_reset_shows_itself_at_a_terminal(place: Path, postgres: PostgresServer) -> None:
    """Only the outcome is left on the screen."""
    settings = {"HOLDFAST_DATABASE__DSN": postgres.create_database()}
    with running_server(place, **settings) as server:
        Player.join(server.url, "ann")
    status, lines = run_at_terminal("reset", "--no-backup", "--yes", cwd=place, **settings)
    assert status == 0
    assert next(filter(None, lines)).startswith("the world 'Holdfast' has ended")


def test_server_that_comes_back_to_an_ended_world_gives_up(
    place: Path, postgres: PostgresServer
) -> None:
    """What it has in memory is not carried into the new world; its next start begins that."""
    dsn = postgres.create_database()
    settings = {"HOLDFAST_DATABASE__DSN": dsn}
    with running_server(place, **settings) as server:
        Player.join(server.url, "ann").post("/v1/inventory/orders", {"asset": "cottage"})
        with frozen(server.process.pid):
            trio.run(run_script, dsn, cut_off)
            assert run("reset", "--no-backup", "--yes", cwd=place, **settings).status == 0
        assert server.process.wait(30) == 1
        log = (place / "server.log").read_text()
    assert "the world was ended while this server had lost the database" in log
    assert trio.run(run_script, dsn, filled) == KEPT
    with running_server(place, **settings) as server:
        entries = Player(server.url, "ann").get("/v1/inventory/ledger")["entries"]
        assert [entry["seq"] for entry in entries] == [1]


async def test_world_whose_tables_are_being_read_does_not_end(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever runs the command learns why, and that nothing was done."""
    monkeypatch.setattr(new_world, "_LOCK_WAIT", "50ms")
    dsn = await postgres.create_database_async()
    await run_script(dsn, fill)
    async with open_database(dsn, log=quiet_log()) as database:
        backup, connection = [await database.connect(name=name) for name in ("backup", "test")]
        await backup.run(lambda session: session.execute("begin; lock ledger in access share mode"))
        with pytest.raises(TransientError, match="lock timeout"):
            await end_world_for_good(connection, now=datetime.now(UTC))
        await backup.run(lambda session: session.execute("rollback"))
        assert "world" in await backup.run(filled)
        await backup.aclose()


async def test_ended_world_leaves_accounts_and_the_audit_log_alone(
    postgres: PostgresServer,
) -> None:
    """Every other table is emptied: a table made later must be put on one side or the other."""
    dsn = await postgres.create_database_async()
    await run_script(dsn, fill)
    async with open_database(dsn, log=quiet_log()) as database:
        connection = await database.connect(name="test")
        ended = await end_world_for_good(connection, now=datetime.now(UTC))
        assert ended is not None
        assert (ended.name, ended.tick, ended.accounts) == ("old", 7, 1)
        counts = await connection.run(counted)
        assert await connection.run(filled) == KEPT
        assert counts["audit"] == 1
        truncated: EndedWorld | None = await end_world_for_good(connection, now=datetime.now(UTC))
        assert truncated is None
        assert await connection.run(counted) == counts
        await connection.aclose()
