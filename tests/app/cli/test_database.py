"""What commands do to a database before they use it: nothing, unless that is their purpose."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import trio
from click.testing import CliRunner

from actors.database import embedded
from actors.database.driver import open_database
from actors.database.embedded import embedded_postgres, running_dsn
from actors.database.locks import RESTORE_LOCK
from actors.database.migrate import migrate, seen_versions, shipped_migrations
from actors.database.objects import objects
from app.cli import main
from tests.app.cli.support import CHEAP, later_program, run, running_server
from tests.postgres import TEST_SETTINGS, quiet_log, reachable_directory, run_script

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres import PostgresServer

CREATE = ("accounts", "create", "ann", "--one-time")
LOOKING = (
    ("ledger", "verify"),
    ("export", "--account", "ann"),
    ("accounts", "list"),
    ("accounts", "promote", "ann"),
    ("accounts", "suspend", "ann"),
    ("prune", "--keys", "30"),
)
"""Commands for an existing world."""
NEWEST = shipped_migrations()[-1].version


def invoke(*arguments: str, dsn: str = "") -> tuple[int, str]:
    """Run a command here; return its status and its complaint."""
    result = CliRunner(env={**CHEAP, "HOLDFAST_DATABASE__DSN": dsn}).invoke(main, [*arguments])
    return result.exit_code, result.stderr


def versions(dsn: str) -> tuple[int, ...]:
    """Return the versions of the migrations applied to a database."""
    return trio.run(run_script, dsn, seen_versions)


@pytest.mark.parametrize("arguments", LOOKING)
def test_commands_make_no_world_to_look_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """In the wrong folder a command says so in one line, and leaves the folder empty."""
    monkeypatch.chdir(tmp_path)
    status, complaint = invoke(*arguments)
    assert status == 1
    assert complaint.startswith("holdfast: there is no world in the data directory var: ")
    assert complaint.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", LOOKING)
def test_commands_make_no_schema_to_look_at(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    postgres: PostgresServer,
    arguments: tuple[str, ...],
) -> None:
    """In an empty external database likewise: it is named, and nothing is created in it."""
    monkeypatch.chdir(tmp_path)
    dsn = postgres.create_database(migrated=False)
    status, complaint = invoke(*arguments, dsn=dsn)
    assert status == 1
    assert complaint.startswith("holdfast: there is no world in the database test_")
    assert complaint.count("\n") == 1
    assert trio.run(run_script, dsn, objects) == ()


@pytest.mark.parametrize(
    "dsn",
    ["host=127.0.0.1 port=1 password=s3cret dbname=x", "holdfast:s3cret@127.0.0.1:1/db"],
)
@pytest.mark.parametrize(
    "arguments", [("serve", "--port", "0"), ("init",), ("backup", "file"), ("accounts", "list")]
)
def test_commands_quote_nothing_of_a_malformed_dsn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], dsn: str
) -> None:
    """One line names the key and does not reveal the password that the DSN may contain."""
    monkeypatch.chdir(tmp_path)
    status, complaint = invoke(*arguments, dsn=dsn)
    assert status == 1
    assert "holdfast: database.dsn is malformed: " in complaint
    assert "s3cret" not in complaint


def test_accounts_create_makes_a_world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: PostgresServer
) -> None:
    """The first account may be created before the first start."""
    monkeypatch.chdir(tmp_path)
    dsn = postgres.create_database(migrated=False)
    assert invoke(*CREATE, dsn=dsn) == (0, "")
    assert versions(dsn) == tuple(each.version for each in shipped_migrations())


@pytest.mark.parametrize("arguments", [CREATE, *LOOKING])
def test_commands_do_not_migrate(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    postgres: PostgresServer,
    arguments: tuple[str, ...],
) -> None:
    """An earlier program's database is refused with both versions, and left unchanged."""
    monkeypatch.chdir(tmp_path)
    dsn = postgres.create_database(migrated=False)
    earlier, newest = shipped_migrations()[:-1], shipped_migrations()[-1].version

    async def make() -> None:
        async with open_database(dsn, log=quiet_log()) as database:
            connection = await database.connect(name="earlier")
            await migrate(connection, migrations=earlier)
            await connection.aclose()

    trio.run(make)
    status, complaint = invoke(*arguments, dsn=dsn)
    assert status == 1
    assert complaint == (
        f"holdfast: the database has schema version {newest - 1}, but this program needs {newest}:"
        " holdfast init or a start of holdfast serve upgrades it\n"
    )
    assert versions(dsn) == tuple(each.version for each in earlier)


@pytest.mark.parametrize("arguments", [CREATE, ("init",), ("backup", "x.dump"), *LOOKING])
def test_commands_tell_of_a_restore_that_has_not_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_dsn: str, arguments: tuple[str, ...]
) -> None:
    """The restore locks every table: waiting in vain for one would not explain why."""
    monkeypatch.chdir(tmp_path)

    async def restore_meanwhile() -> tuple[int, str]:
        async with open_database(database_dsn, log=quiet_log()) as database:
            connection = await database.connect(name="backup")
            await connection.run(lambda s: s.execute("select pg_advisory_lock($1)", RESTORE_LOCK))
            return await trio.to_thread.run_sync(lambda: invoke(*arguments, dsn=database_dsn))

    status, complaint = trio.run(restore_meanwhile)
    assert status == 1
    assert re.search(
        "^holdfast: a restore is running on .*backup, backend", complaint, re.MULTILINE
    )


@pytest.mark.parametrize("ready", ["at once", "only after a while"])
def test_init_leaves_a_served_data_directory_alone_whoever_holds_the_lock(
    place: Path, monkeypatch: pytest.MonkeyPatch, ready: str
) -> None:
    """A server that lost its connection holds no database lock until it reconnects.

    Nor does one whose PostgreSQL is only just restarting.
    """
    monkeypatch.chdir(place)
    looks = iter([None] * 3 if ready != "at once" else [])

    def look(data_dir: Path) -> str | None:
        return next(looks, running_dsn(data_dir))

    monkeypatch.setattr(embedded, "running_dsn", look)
    earlier = shipped_migrations()[:-1]

    async def serve_without_a_lock() -> tuple[int, str]:
        async with (
            embedded_postgres(place / "var", log=quiet_log(), settings=TEST_SETTINGS) as dsn,
            open_database(dsn, log=quiet_log()) as database,
        ):
            connection = await database.connect(name="earlier")
            await migrate(connection, migrations=earlier)
            answer = await trio.to_thread.run_sync(invoke, "init")
            assert len(await connection.run(seen_versions)) == len(earlier)
            return answer

    status, complaint = trio.run(serve_without_a_lock)
    assert (status, "server is running on the data directory var" in complaint) == (1, True)


def test_commands_of_a_later_program_leave_a_running_server_its_database(place: Path) -> None:
    """Between installing a later program and starting it, the earlier one can start again.

    Not even `init` migrates beneath a running server; without one it does.
    """
    with reachable_directory() as elsewhere:
        later = later_program(elsewhere)
        with running_server(place):
            for arguments in (("accounts", "list"), CREATE):
                refused = run(*arguments, cwd=place, **later)
                assert (refused.status, "needs 9999" in refused.complaint) == (1, True)
            refused = run("init", cwd=place, **later)
            assert (refused.status, "server is running" in refused.complaint) == (1, True)
        assert not (place / "var" / "backups").exists()
        with running_server(place):
            assert run(*CREATE, cwd=place).status == 0
        done = run("init", cwd=place, **later)
        assert done.status == 0
        (kept,) = (place / "var" / "backups").iterdir()
        assert (
            "upgraded database       in var"
            f" (schema {NEWEST} to 9999; the backup is {kept.relative_to(place)})\n"
        ) in done.stdout
        assert run("accounts", "list", cwd=place, **later).status == 0
