"""What a restore that fails or is given up leaves: all or nothing, and it says which."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from structlog.testing import LogCapture

from actors.database import restore as module
from actors.database.backup import back_up
from actors.database.driver import open_database
from actors.database.errors import AlreadyServed, BackupError
from actors.database.locks import acquire_server_lock
from actors.database.restore import restore
from actors.database.seal import seal
from tests.actors.database.worlds import bring, contents, fill, have_set
from tests.broken_line import broken_line
from tests.postgres import quiet_log, run_script

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from actors.database.session import Session
    from actors.database.tools import Outcome
    from tests.postgres import PostgresServer

STILL = r"^a restore is running on .* \(holdfast backup, backend \d+, .*, waiting for a standby\)$"


@asynccontextmanager
async def locked(dsn: str) -> AsyncGenerator[None]:
    """Have somebody lock the table of accounts."""
    async with open_database(dsn, log=quiet_log()) as database:
        other = await database.connect(name="other")
        await other.run(lambda session: session.execute("begin; lock table accounts in share mode"))
        yield
        other.terminate()


async def waiting(dsn: str, *, whether: bool = True) -> None:
    """Wait until somebody waits for a lock, or nobody does any more."""
    waits = "select count(*) > 0 from pg_stat_activity where wait_event_type = 'Lock'"
    with trio.fail_after(20):
        while await run_script(dsn, lambda session: session.fetchval(waits)) is not whether:
            await trio.lowlevel.checkpoint()


async def test_restore_does_not_wait_for_ever_for_a_lock(
    world_dsn: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another session at work on the tables is waited for, within bounds."""
    monkeypatch.setattr(module, "_LOCK_WAIT", "100ms")
    async with locked(world_dsn):
        with pytest.raises(BackupError, match="lock timeout"):
            await bring(world_dsn, file, replace=True)
    assert len((await contents(world_dsn))["accounts"]) == 500


async def test_restore_into_a_server_that_freezes_is_given_up(
    postgres: PostgresServer, world_dsn: str, file: Path
) -> None:
    """A database that stops answering is not waited for, and has its world when it is back."""
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
    """Ctrl-C does not wait for an answer."""
    over, scope = trio.Event(), trio.CancelScope()

    async def bring_for_a_while() -> None:
        with scope:
            await bring(world_dsn, file, replace=True)
        over.set()

    async with locked(world_dsn), trio.open_nursery() as nursery:
        nursery.start_soon(bring_for_a_while)
        await waiting(world_dsn)
        with postgres.frozen():
            # A probe is in progress.
            await trio.sleep(2 * module._PROBE_S)
            scope.cancel()
            with trio.fail_after(5):
                await over.wait()


async def test_restore_cancelled_while_it_waits_leaves_no_session(
    world_dsn: str, file: Path
) -> None:
    """A wait for a lock ends with the command, not once the lock is had: others queue behind it."""
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


def damage(file: Path) -> None:
    """Damage the rows of a backup, and reseal it as if it were sound."""
    raw = bytearray(file.read_bytes())
    # Past the table of contents, in the middle of the compressed rows.
    for place in range(len(raw) // 2, len(raw) // 2 + 64):
        raw[place] ^= 0xFF
    with file.open("wb+") as opened:
        opened.write(raw)
        opened.flush()
        seal(opened.fileno())


async def test_restore_that_fails_changes_nothing(postgres: PostgresServer, tmp_path: Path) -> None:
    """If a backup turns out to be damaged in the middle, the previous world remains."""
    dsn = await postgres.create_database_async()
    await fill(dsn, 20_000)
    file = tmp_path / "file"
    await back_up(dsn, file)
    damage(file)
    await run_script(dsn, lambda session: session.execute("delete from audit"))
    before = await contents(dsn)
    # What is said depends on what the damage hits: compressed rows, or the length of a piece.
    told = r"cannot restore |is not a readable backup"
    with pytest.raises(BackupError, match=told):
        await bring(dsn, file, replace=True)
    assert await contents(dsn) == before


async def test_restore_whose_line_breaks_changes_nothing(world_dsn: str, file: Path) -> None:
    """Whatever was loaded by then was not committed, however little is left to come."""
    await run_script(world_dsn, lambda session: session.execute("delete from audit"))
    before = await contents(world_dsn)
    failed = pytest.raises(BackupError, match=r"cannot restore .* lost")
    with broken_line(world_dsn, b"COPY public.accounts") as dsn, failed:
        await bring(dsn, file, replace=True)
    assert await contents(world_dsn) == before


async def test_restore_whose_commit_is_not_answered_says_that_nobody_knows(
    world_dsn: str, empty_dsn: str, file: Path
) -> None:
    """The database may have committed it nevertheless, as it has here."""
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
    """A commit that ends shortly is waited for; otherwise the outcome is unknown."""
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
    """A commit is reported as done, or runs to its end, even if Ctrl-C comes then."""
    log, scope, load = LogCapture(), trio.CancelScope(), module._load

    async def load_and_cancel(*arguments: object) -> list[Outcome]:
        outcomes = await load(*arguments)  # type: ignore[arg-type]
        scope.cancel()
        with trio.CancelScope(shield=True):  # Until the island has passed it on.
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
    """Once committed, it is no failure: the message says that the first queries may be slow."""
    log = LogCapture()
    with broken_line(empty_dsn, b"analyze") as dsn:
        await bring(dsn, file, log=log)
    assert await contents(empty_dsn) == await contents(world_dsn)
    [told] = log.entries
    assert (told["event"], told["log_level"]) == ("restore_not_analyzed", "warning")
    assert "closed in the middle" in told["reason"]


async def test_restore_that_is_refused_says_why(world_dsn: str, file: Path) -> None:
    """The server's reason is reported, even though the program before it broke off as well."""
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
    """Cancelled midway, a restore leaves what was there before."""
    before = await contents(world_dsn)
    with trio.move_on_after(30) as scope:

        def give_up(table: str, _: int) -> None:
            if table == "accounts":
                scope.cancel()

        await bring(world_dsn, file, replace=True, on_progress=give_up)
    assert scope.cancelled_caught
    assert await contents(world_dsn) == before
