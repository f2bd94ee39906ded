"""What a restore promises: the whole of a backup, and nobody's world by accident."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from actors.database import restore as module
from actors.database.backup import back_up
from actors.database.driver import open_database
from actors.database.errors import AlreadyServed, BackupError, DatabaseInUse
from actors.database.locks import acquire_server_lock
from actors.database.migrate import Migration
from actors.database.objects import objects
from tests.actors.database.worlds import bring, contents, fill, have_set, migrate_further
from tests.postgres import quiet_log, run_script

if TYPE_CHECKING:
    from pathlib import Path

    from actors.database.session import Session
    from actors.database.tools import Outcome
    from tests.postgres import PostgresServer


async def test_restore_gives_back_everything(world_dsn: str, empty_dsn: str, file: Path) -> None:
    """Every row, index, constraint and trigger exists again, in another database."""
    tables: list[str] = []
    await bring(empty_dsn, file, on_progress=lambda table, _: tables.append(table))
    restored = await contents(empty_dsn)
    assert restored == await contents(world_dsn)
    assert len(restored["accounts"]) == 500
    assert any(trigger for trigger in restored["schema"] if "accounts_erase" in trigger)
    assert {"accounts", "ledger", "world"} <= set(tables)


async def test_restore_waits_for_the_disk(world_dsn: str, file: Path) -> None:
    """A role or database that is set not to wait for the disk is overruled, as everywhere."""

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
    """A world can move from database to database."""
    await bring(empty_dsn, file)
    await back_up(empty_dsn, tmp_path / "again.dump")
    await run_script(world_dsn, lambda session: session.execute("delete from audit"))
    await bring(world_dsn, tmp_path / "again.dump", replace=True)
    assert await contents(world_dsn) == await contents(empty_dsn)


async def test_restore_takes_a_database_that_is_merely_set_up(
    postgres: PostgresServer, world_dsn: str, file: Path
) -> None:
    """If only `holdfast init` has been run, there is nothing to lose."""
    dsn = await postgres.create_database_async()
    await bring(dsn, file)
    assert await contents(dsn) == await contents(world_dsn)


async def test_restore_does_not_replace_a_world_by_accident(world_dsn: str, file: Path) -> None:
    """An existing world stays as it is, unless it is to be replaced."""
    await run_script(world_dsn, lambda session: session.execute("delete from accounts"))
    before = await contents(world_dsn)
    with pytest.raises(DatabaseInUse, match="--force replaces it"):
        await bring(world_dsn, file)
    assert await contents(world_dsn) == before
    await bring(world_dsn, file, replace=True)
    assert len((await contents(world_dsn))["accounts"]) == 500


async def test_restore_replaces_what_a_later_program_left(world_dsn: str, file: Path) -> None:
    """Tables unknown to the backup go with the world they belong to."""
    before = await contents(world_dsn)
    later = Migration(
        9999,
        "later",
        "create table later (id bigserial references world_state); "
        "create view seen as select * from later; "
        "create type colour as enum ('red')",
    )
    first = Migration(9998, "state", "create table world_state (id bigint primary key)")
    await migrate_further(world_dsn, first, later)
    await bring(world_dsn, file, replace=True)
    assert await contents(world_dsn) == before


async def test_restore_leaves_tables_of_others_alone(empty_dsn: str, file: Path) -> None:
    """A database with anything else in it is refused, even when told to replace."""
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
    """Objects somebody made among Holdfast's tables are named, and stay, even with replace."""
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
    """Tables that merely share names with Holdfast's are not Holdfast's."""
    sql = "create table accounts (name text); create table sessions (name text)"
    await run_script(empty_dsn, lambda session: session.execute(sql))
    with pytest.raises(DatabaseInUse, match="not Holdfast's"):
        await bring(empty_dsn, file, replace=True)
    assert (await contents(empty_dsn)).keys() == {"accounts", "sessions", "schema"}


async def test_restore_takes_nothing_of_another_schema_along(world_dsn: str, file: Path) -> None:
    """Objects elsewhere that depend on Holdfast's tables are not dropped with them unasked."""

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
    """Whatever lies outside Holdfast's schema is neither asked about nor touched."""

    async def settle(session: Session) -> None:
        await session.execute("create schema cats; create table cats.names (name text)")

    await run_script(empty_dsn, settle)
    await bring(empty_dsn, file)
    assert await contents(empty_dsn) == await contents(world_dsn)
    assert await run_script(empty_dsn, lambda s: s.fetchval("select count(*) from cats.names")) == 0


async def test_restore_waits_for_no_server(world_dsn: str, file: Path) -> None:
    """While a server is at work, a restore is refused."""
    async with open_database(world_dsn, log=quiet_log()) as database:
        server = await database.connect(name="server")
        await server.run(acquire_server_lock)
        with pytest.raises(AlreadyServed):
            await bring(world_dsn, file, replace=True)
        await server.aclose()


async def test_restore_keeps_servers_away(
    empty_dsn: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it lasts, no server can start."""
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
