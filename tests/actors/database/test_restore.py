"""What a restore promises: all of a backup or nothing, and nobody's world by accident."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from structlog.testing import LogCapture

from actors.database import restore as module
from actors.database.backup import back_up
from actors.database.driver import open_database
from actors.database.errors import AlreadyServed, BackupError, DatabaseInUse
from actors.database.locks import acquire_server_lock
from actors.database.migrate import Migration, migrate, shipped_migrations
from actors.database.objects import objects
from actors.database.restore import restore
from actors.database.seal import seal
from tests.broken_line import broken_line
from tests.postgres import quiet_log, run_script

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from actors.database.session import Session
    from actors.database.tools import Outcome
    from tests.postgres import PostgresServer

STILL = r"^a restore is at work on .* \(holdfast backup, backend \d+, .*, waiting for a standby\)$"
TRICKY = "tab\t, line\n, back\\slash, \\. end, quote' and \u00fcmlaut \U0001f3f0"

FILL = """
insert into accounts
select gen_random_uuid(), 'name ' || i, 'key ' || i, 'hash', 'player', null, now()
from generate_series(1, $1) as i
"""
WORLD = "insert into world values ('w', gen_random_uuid(), 7, 8, 'rules', 9)"
AUDIT = "insert into audit values (gen_random_uuid(), now(), 'me', 'did', 'it', $1, '{\"a\": [1]}')"


@pytest.fixture
async def empty_dsn(postgres: PostgresServer) -> str:
    """Make a database without any schema."""
    return await postgres.create_database_async(migrated=False)


@pytest.fixture
async def world_dsn(postgres: PostgresServer) -> str:
    """Make a database with a world in it."""
    dsn = await postgres.create_database_async()
    await fill(dsn)
    return dsn


@pytest.fixture
async def file(world_dsn: str, tmp_path: Path) -> Path:
    """Make a backup of that world."""
    await back_up(world_dsn, tmp_path / "world.dump")
    return tmp_path / "world.dump"


async def fill(dsn: str, accounts: int = 500) -> None:
    """Write something of every awkward kind."""

    async def script(session: Session) -> None:
        await session.execute(FILL, accounts)
        await session.execute(WORLD)
        await session.execute(AUDIT, TRICKY)

    await run_script(dsn, script)


async def contents(dsn: str) -> dict[str, list[str]]:
    """Give every row of every table, and what the schema is made of."""

    async def script(session: Session) -> dict[str, list[str]]:
        tables = await session.fetch(
            "select tablename as name from pg_tables where schemaname = 'public' order by 1"
        )
        told: dict[str, list[str]] = {}
        for table in tables:
            rows = await session.fetch(
                f"select to_jsonb(t)::text as row from {table['name']} as t order by 1"  # noqa: S608
            )
            told[table["name"]] = [row["row"] for row in rows]
        schema = await session.fetch(
            """
            select indexdef as text from pg_indexes where schemaname = 'public'
            union all select conname || pg_get_constraintdef(oid) from pg_constraint
            union all select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
            order by 1
            """
        )
        told["schema"] = [row["text"] for row in schema]
        return told

    return await run_script(dsn, script)


async def bring(
    dsn: str,
    file: Path,
    *,
    replace: bool = False,
    on_progress: Callable[[str, int], None] | None = None,
    stall_s: float = 20,
    log: LogCapture | None = None,
) -> None:
    """Restore a backup into a database."""
    async with open_database(dsn, log=quiet_log()) as database:
        connection = await database.connect(name="restore")
        try:
            await restore(
                connection,
                dsn,
                file,
                replace=replace,
                on_progress=on_progress,
                stall_s=stall_s,
                log=quiet_log(log),
            )
        finally:
            await connection.aclose()


async def test_restore_gives_back_everything(world_dsn: str, empty_dsn: str, file: Path) -> None:
    """Every row, index, constraint and trigger is there again, in another database."""
    tables: list[str] = []
    await bring(empty_dsn, file, on_progress=lambda table, _: tables.append(table))
    restored = await contents(empty_dsn)
    assert restored == await contents(world_dsn)
    assert len(restored["accounts"]) == 500
    assert any(trigger for trigger in restored["schema"] if "accounts_erase" in trigger)
    assert {"accounts", "ledger", "world"} <= set(tables)


@asynccontextmanager
async def locked(dsn: str) -> AsyncGenerator[None]:
    """Have somebody keep the table of accounts as it is."""
    async with open_database(dsn, log=quiet_log()) as database:
        other = await database.connect(name="other")
        await other.run(lambda session: session.execute("begin; lock table accounts in share mode"))
        yield
        other.terminate()


async def test_restore_does_not_wait_for_ever_for_a_lock(
    world_dsn: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever works on the tables beside it is waited for, within bounds."""
    monkeypatch.setattr(module, "_LOCK_WAIT", "100ms")
    async with locked(world_dsn):
        with pytest.raises(BackupError, match="lock timeout"):
            await bring(world_dsn, file, replace=True)
    assert len((await contents(world_dsn))["accounts"]) == 500


async def have_set(dsn: str, setting: str) -> None:
    """Have all sessions of a database begin with a setting, as the server of somebody else's."""

    async def script(session: Session) -> None:
        name = await session.fetchval("select current_database()")
        await session.execute(f"alter database {name} set {setting}")

    await run_script(dsn, script)


async def waiting(dsn: str, *, whether: bool = True) -> None:
    """Wait until somebody waits for a lock, or nobody any more."""
    waits = "select count(*) > 0 from pg_stat_activity where wait_event_type = 'Lock'"
    with trio.fail_after(20):
        while await run_script(dsn, lambda session: session.fetchval(waits)) is not whether:
            await trio.lowlevel.checkpoint()


async def test_restore_into_a_server_that_freezes_is_given_up(
    postgres: PostgresServer, world_dsn: str, file: Path
) -> None:
    """A database that answers no more is not waited for, and has its world when it is back."""
    over = trio.Event()

    async def bring_in_vain() -> None:
        with pytest.raises(BackupError, match=r"no answer on connection 'restore' within 0\.5 s"):
            await bring(world_dsn, file, replace=True, stall_s=0.5)
        over.set()

    async with locked(world_dsn), trio.open_nursery() as nursery:
        nursery.start_soon(bring_in_vain)
        await waiting(world_dsn)
        with postgres.frozen(), trio.fail_after(20):
            await over.wait()
    assert len((await contents(world_dsn))["accounts"]) == 500


async def test_restore_cancelled_while_a_server_is_frozen_ends_at_once(
    postgres: PostgresServer, world_dsn: str, file: Path
) -> None:
    """Ctrl-C waits for no answer."""
    over, scope = trio.Event(), trio.CancelScope()

    async def bring_for_a_while() -> None:
        with scope:
            await bring(world_dsn, file, replace=True)
        over.set()

    async with locked(world_dsn), trio.open_nursery() as nursery:
        nursery.start_soon(bring_for_a_while)
        await waiting(world_dsn)
        with postgres.frozen():
            # A probe is under way.
            await trio.sleep(2 * module._PROBE_S)
            scope.cancel()
            with trio.fail_after(5):
                await over.wait()


async def test_restore_cancelled_while_it_waits_leaves_no_session(
    world_dsn: str, file: Path
) -> None:
    """What waits for a lock ends with the command, not when it has got that: others wait behind."""
    await have_set(world_dsn, "client_connection_check_interval = 0")
    scope = trio.CancelScope()

    async def bring_for_a_while() -> None:
        with scope:
            await bring(world_dsn, file, replace=True)

    async with locked(world_dsn):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bring_for_a_while)
            await waiting(world_dsn)
            scope.cancel()
        await waiting(world_dsn, whether=False)


async def test_restore_waits_for_the_disk(world_dsn: str, file: Path) -> None:
    """A role or database that is told not to is overruled, as everywhere."""

    async def settle(session: Session) -> None:
        await session.execute(
            """
            create schema guard;
            create function guard.look() returns event_trigger language plpgsql as $$ begin
                if current_setting('synchronous_commit') = 'off' then
                    raise exception 'it waits for no disk';
                end if;
            end $$;
            create event trigger looking on ddl_command_start execute function guard.look();
            """
        )

    await have_set(world_dsn, "synchronous_commit = off")
    await run_script(world_dsn, settle)
    await bring(world_dsn, file, replace=True)


async def test_restore_of_a_restored_world_is_the_same(
    world_dsn: str, empty_dsn: str, file: Path, tmp_path: Path
) -> None:
    """A world can go on from database to database."""
    await bring(empty_dsn, file)
    await back_up(empty_dsn, tmp_path / "again.dump")
    await run_script(world_dsn, lambda session: session.execute("delete from audit"))
    await bring(world_dsn, tmp_path / "again.dump", replace=True)
    assert await contents(world_dsn) == await contents(empty_dsn)


async def test_restore_takes_a_database_that_is_merely_set_up(
    postgres: PostgresServer, world_dsn: str, file: Path
) -> None:
    """Where `holdfast init` has been, but nobody else, there is nothing to lose."""
    dsn = await postgres.create_database_async()
    await bring(dsn, file)
    assert await contents(dsn) == await contents(world_dsn)


async def test_restore_does_not_replace_a_world_by_accident(world_dsn: str, file: Path) -> None:
    """A world that is there stays as it is, unless it is to be replaced."""
    await run_script(world_dsn, lambda session: session.execute("delete from accounts"))
    before = await contents(world_dsn)
    with pytest.raises(DatabaseInUse, match="--force replaces it"):
        await bring(world_dsn, file)
    assert await contents(world_dsn) == before
    await bring(world_dsn, file, replace=True)
    assert len((await contents(world_dsn))["accounts"]) == 500


async def test_restore_replaces_what_a_later_program_left(world_dsn: str, file: Path) -> None:
    """Tables that the backup does not know go with the world that they belong to."""
    before = await contents(world_dsn)
    later = Migration(
        9999,
        "later",
        "create table later (id bigserial references world_state); "
        "create view seen as select * from later; "
        "create type colour as enum ('red')",
    )
    first = Migration(9998, "state", "create table world_state (id bigint primary key)")
    async with open_database(world_dsn, log=quiet_log()) as database:
        connection = await database.connect(name="later")
        await migrate(connection, migrations=[*shipped_migrations(), first, later])
        await connection.aclose()
    await bring(world_dsn, file, replace=True)
    assert await contents(world_dsn) == before


async def test_restore_leaves_tables_of_others_alone(empty_dsn: str, file: Path) -> None:
    """A database with something else in it is refused, also when told to replace."""
    await run_script(empty_dsn, lambda session: session.execute("create table cats (name text)"))
    for replace in (False, True):
        with pytest.raises(DatabaseInUse, match="not Holdfast's"):
            await bring(empty_dsn, file, replace=replace)
    assert (await contents(empty_dsn)).keys() == {"cats", "schema"}


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("create table foo (a integer)", "table public.foo"),
        ("create view seen as select username from accounts", "view public.seen"),
        ("create sequence numbers", "sequence public.numbers"),
        (
            "create function f(integer) returns integer language sql as 'select 1'",
            "function public.f(integer)",
        ),
        ("create type colour as enum ('red')", "type public.colour"),
    ],
)
@pytest.mark.parametrize("lived_in", [False, True])
async def test_restore_refuses_what_is_beside_a_world(
    postgres: PostgresServer, file: Path, sql: str, named: str, lived_in: bool
) -> None:
    """What somebody made among Holdfast's tables is named, and stays, also when told to replace."""
    dsn = await postgres.create_database_async()
    if lived_in:
        await fill(dsn, 3)
    await run_script(dsn, lambda session: session.execute(sql))
    before = await contents(dsn)
    for replace in (False, True):
        with pytest.raises(DatabaseInUse, match=re.escape(f"not Holdfast's ({named})")):
            await bring(dsn, file, replace=replace)
    assert await contents(dsn) == before
    assert named in await run_script(dsn, objects)


async def test_restore_refuses_another_program_of_like_names(empty_dsn: str, file: Path) -> None:
    """Tables that are merely called like some of Holdfast's are not Holdfast's."""
    sql = "create table accounts (name text); create table sessions (name text)"
    await run_script(empty_dsn, lambda session: session.execute(sql))
    with pytest.raises(DatabaseInUse, match="not Holdfast's"):
        await bring(empty_dsn, file, replace=True)
    assert (await contents(empty_dsn)).keys() == {"accounts", "sessions", "schema"}


async def test_restore_takes_nothing_of_another_schema_along(world_dsn: str, file: Path) -> None:
    """What depends on Holdfast's tables from elsewhere does not go with them unasked."""

    async def settle(session: Session) -> None:
        await session.execute(
            "create schema reports; create view reports.names as select username from accounts"
        )

    await run_script(world_dsn, settle)
    with pytest.raises(BackupError, match="depend on"):
        await bring(world_dsn, file, replace=True)
    names = "select count(*) from reports.names"
    assert await run_script(world_dsn, lambda session: session.fetchval(names)) == 500


async def test_restore_does_not_mind_other_schemas(
    world_dsn: str, empty_dsn: str, file: Path
) -> None:
    """What is beside Holdfast's schema is neither asked about nor touched."""

    async def settle(session: Session) -> None:
        await session.execute("create schema cats; create table cats.names (name text)")

    await run_script(empty_dsn, settle)
    await bring(empty_dsn, file)
    assert await contents(empty_dsn) == await contents(world_dsn)
    assert await run_script(empty_dsn, lambda s: s.fetchval("select count(*) from cats.names")) == 0


async def test_restore_waits_for_no_server(world_dsn: str, file: Path) -> None:
    """Where a server is at work it is refused."""
    async with open_database(world_dsn, log=quiet_log()) as database:
        server = await database.connect(name="server")
        await server.run(acquire_server_lock)
        with pytest.raises(AlreadyServed):
            await bring(world_dsn, file, replace=True)
        await server.aclose()


async def test_restore_keeps_servers_away(
    empty_dsn: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it lasts no server can begin."""
    refused: list[bool] = []
    load = module._load

    async def look_and_load(*arguments: object) -> list[Outcome]:
        async with open_database(empty_dsn, log=quiet_log()) as database:
            server = await database.connect(name="server")
            with pytest.raises(AlreadyServed):
                await server.run(lambda session: acquire_server_lock(session, patience_ms=10))
            refused.append(True)
            await server.aclose()
        return await load(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_load", look_and_load)
    await bring(empty_dsn, file)
    assert refused == [True]


def damage(file: Path) -> None:
    """Spoil the rows of a backup, and seal it as if nothing were."""
    raw = bytearray(file.read_bytes())
    # Past the table of contents, in the middle of the compressed rows.
    for place in range(len(raw) // 2, len(raw) // 2 + 64):
        raw[place] ^= 0xFF
    with file.open("wb+") as opened:
        opened.write(raw)
        opened.flush()
        seal(opened.fileno())


async def test_restore_that_fails_changes_nothing(postgres: PostgresServer, tmp_path: Path) -> None:
    """When a backup turns out to be spoilt in the middle, the world before is still the world."""
    dsn = await postgres.create_database_async()
    await fill(dsn, 20_000)
    file = tmp_path / "file"
    await back_up(dsn, file)
    damage(file)
    await run_script(dsn, lambda session: session.execute("delete from audit"))
    before = await contents(dsn)
    # The second where the length of a piece was hit.
    with pytest.raises(BackupError, match=r"cannot restore .*(uncompress|end of file)"):
        await bring(dsn, file, replace=True)
    assert await contents(dsn) == before


async def test_restore_whose_line_breaks_changes_nothing(world_dsn: str, file: Path) -> None:
    """Whatever was brought in by then was not committed, however little is left to come."""
    await run_script(world_dsn, lambda session: session.execute("delete from audit"))
    before = await contents(world_dsn)
    failed = pytest.raises(BackupError, match=r"cannot restore .* lost")
    with broken_line(world_dsn, b"COPY public.accounts") as dsn, failed:
        await bring(dsn, file, replace=True)
    assert await contents(world_dsn) == before


async def test_restore_whose_commit_is_not_answered_says_that_nobody_knows(
    world_dsn: str, empty_dsn: str, file: Path
) -> None:
    """The database may have taken it all the same, as it has here."""
    failed = pytest.raises(BackupError, match=r"not known whether .* took effect .* lost")
    with broken_line(empty_dsn, b"commit;") as dsn, failed:
        await bring(dsn, file)
    assert await contents(empty_dsn) == await contents(world_dsn)


@pytest.mark.parametrize(("ending_s", "told"), [(0.1, "unknown"), (60, "yes")])
async def test_restore_cancelled_while_it_commits_says_what_became_of_it(
    postgres: PostgresServer,
    world_dsn: str,
    empty_dsn: str,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    ending_s: float,
    told: str,
) -> None:
    """A commit that comes to its end in a moment is waited for; else nobody knows."""
    monkeypatch.setattr(module, "_ENDING_S", ending_s)
    log, scope, over = LogCapture(), trio.CancelScope(), trio.Event()
    commits = """
    select count(*) from pg_stat_activity
    where wait_event = 'SyncRep' and datname = current_database()
    """

    async def bring_for_a_while() -> None:
        with scope:
            await bring(empty_dsn, file, log=log)
        over.set()

    async def bring_and_cancel() -> None:
        async with postgres.without_standby():
            nursery.start_soon(bring_for_a_while)
            with trio.fail_after(20):
                while not await run_script(empty_dsn, lambda session: session.fetchval(commits)):
                    await trio.lowlevel.checkpoint()
            scope.cancel()
            if told == "unknown":
                await over.wait()
                with pytest.raises(AlreadyServed, match=STILL):
                    await run_script(empty_dsn, acquire_server_lock)
                with pytest.raises(AlreadyServed, match=STILL):
                    await bring(empty_dsn, file)

    async with trio.open_nursery() as nursery:
        await bring_and_cancel()
    assert scope.cancelled_caught
    assert [(each["event"], each["took_effect"]) for each in log.entries] == [
        ("restore_interrupted", told)
    ]
    assert await contents(empty_dsn) == await contents(world_dsn)


@pytest.mark.parametrize("watched", [True, False])
async def test_restore_cancelled_when_it_is_done_is_done(
    world_dsn: str,
    empty_dsn: str,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    watched: bool,
) -> None:
    """What is committed is told as that, or goes on to its end, also when Ctrl-C comes then."""
    log, scope, load = LogCapture(), trio.CancelScope(), module._load

    async def load_and_cancel(*arguments: object) -> list[Outcome]:
        outcomes = await load(*arguments)  # type: ignore[arg-type]
        scope.cancel()
        with trio.CancelScope(shield=True):  # Until the island has handed it on.
            await trio.testing.wait_all_tasks_blocked()
        return outcomes

    async def watch_nothing(*_arguments: object) -> None:
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(module, "_load", load_and_cancel)
    if not watched:
        monkeypatch.setattr(module._Watch, "run", watch_nothing)
    with scope:
        await bring(empty_dsn, file, log=log)
    assert scope.cancelled_caught
    assert await contents(empty_dsn) == await contents(world_dsn)
    told = [(each["event"], each["took_effect"]) for each in log.entries]
    analyzed = "select last_analyze is not null from pg_stat_user_tables where relname = 'accounts'"
    if watched:
        assert told == [("restore_interrupted", "yes")]
    else:
        assert told == []
        assert await run_script(empty_dsn, lambda session: session.fetchval(analyzed))


async def test_restore_is_done_though_its_statistics_are_not(
    world_dsn: str, empty_dsn: str, file: Path
) -> None:
    """What is committed is no failure: it is told that the first queries may be slow."""
    log = LogCapture()
    with broken_line(empty_dsn, b"analyze") as dsn:
        await bring(dsn, file, log=log)
    assert await contents(empty_dsn) == await contents(world_dsn)
    [told] = log.entries
    assert (told["event"], told["log_level"]) == ("restore_not_analyzed", "warning")
    assert "closed in the middle" in told["reason"]


async def test_restore_that_is_refused_says_why(world_dsn: str, file: Path) -> None:
    """The server's reason is what is told, though the program before it broke off as well."""
    before = await contents(world_dsn)
    async with open_database(world_dsn, log=quiet_log()) as database:
        connection = await database.connect(name="restore")

        async def protect(session: Session) -> None:
            await session.execute(
                """
                create schema guard;
                create function guard.refuse() returns event_trigger language plpgsql
                as $$ begin raise exception 'tables are protected here'; end $$;
                create event trigger refusing on ddl_command_start
                when tag in ('DROP TABLE') execute function guard.refuse()
                """
            )

        await connection.run(protect)
        with pytest.raises(BackupError, match="tables are protected here"):
            await restore(connection, world_dsn, file, replace=True, log=quiet_log())
        await connection.run(
            lambda session: session.execute(
                "drop event trigger refusing; drop schema guard cascade"
            )
        )
        await connection.aclose()
    assert await contents(world_dsn) == before


async def test_restore_that_is_cancelled_changes_nothing(
    postgres: PostgresServer, world_dsn: str, file: Path
) -> None:
    """Who gives up in the middle has what was there before."""
    before = await contents(world_dsn)
    with trio.move_on_after(30) as scope:

        def give_up(table: str, _: int) -> None:
            if table == "accounts":
                scope.cancel()

        await bring(world_dsn, file, replace=True, on_progress=give_up)
    assert scope.cancelled_caught
    assert await contents(world_dsn) == before
