"""The driver's time bounds: cancellation, deadlines, and a server that freezes."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from actors.database.driver import open_database
from actors.database.dsn import describe_dsn
from actors.database.errors import ConnectionLost, DatabaseTimeout, DatabaseUnavailable
from tests.actors.database.support import BUSY_S, backend_pid, connected, select_one
from tests.postgres import frozen, quiet_log, run_script

if TYPE_CHECKING:
    from actors.database.driver import Connection
    from actors.database.session import Session
    from tests.postgres import PostgresServer


# --- turns -----------------------------------------------------------------------------------


async def _hold_turn(connection: Connection, nursery: trio.Nursery) -> trio.Event:
    """Occupy the connection until the event is set."""
    release = trio.Event()

    async def script(session: Session) -> None:
        while not release.is_set():
            await session.fetchval("select pg_sleep(0.01)")

    nursery.start_soon(connection.run, script)
    await trio.testing.wait_all_tasks_blocked(0.001)
    return release


async def test_run_waiting_its_turn_times_out(database_dsn: str) -> None:
    """A caller with no turn in time learns that nothing was started; the connection stays."""
    async with connected(database_dsn) as (_, connection), trio.open_nursery() as nursery:
        release = await _hold_turn(connection, nursery)
        with pytest.raises(DatabaseTimeout, match="busy") as caught:
            await connection.run(select_one, timeout_s=0.05)
        assert caught.value.started is False
        assert not connection.closed
        release.set()


# --- cancellation ----------------------------------------------------------------------------


async def test_run_cancelled_before_it_starts(database_dsn: str) -> None:
    """A cancelled caller starts nothing, whether the connection is free or busy."""
    started: list[int] = []

    async def script(session: Session) -> None:
        started.append(1)

    async with connected(database_dsn) as (_, connection), trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            scope.cancel()
            await connection.run(script)
        assert scope.cancelled_caught
        release = await _hold_turn(connection, nursery)
        with trio.move_on_after(0.02) as waiting:
            await connection.run(script)
        assert waiting.cancelled_caught
        release.set()
    assert started == []


async def test_run_cancelled_in_the_middle_gives_the_result(database_dsn: str) -> None:
    """A caller cancelled during a statement waits for it, gets its result, then is cancelled."""
    async with connected(database_dsn) as (_, connection):
        with trio.move_on_after(0.01) as scope:
            value = await connection.run(lambda s: s.fetchval("select 7 from pg_sleep(0.1)"))
            assert value == 7
            await trio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        assert not connection.closed


# --- a server that does not answer -----------------------------------------------------------


async def test_run_timeout_on_a_slow_statement(database_dsn: str) -> None:
    """A late script loses its connection, and its caller learns within 0.2 s of the deadline."""
    async with connected(database_dsn) as (_, connection):
        with trio.fail_after(0.1 + 0.2 + BUSY_S), pytest.raises(DatabaseTimeout) as caught:
            await connection.run(lambda s: s.fetchval("select pg_sleep(10)"), timeout_s=0.1)
        assert caught.value.started
        assert caught.value.place == describe_dsn(database_dsn)
        assert connection.closed


async def test_run_that_was_given_up_ends_on_the_server_too(dsn: str) -> None:
    """This holds for one that waits for a lock on a server that is not set to check its clients."""

    async def set_up(session: Session) -> None:
        name = await session.fetchval("select current_database()")
        await session.execute(f'alter database "{name}" set client_connection_check_interval = 0')

    async def others(session: Session) -> int:
        count: int = await session.fetchval(
            "select count(*) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
            " and application_name like 'holdfast given up%'"
        )
        return count

    await run_script(dsn, set_up)
    async with connected(dsn) as (database, connection):
        await connection.run(lambda s: s.fetchval("select pg_advisory_lock(1)"))
        for statement in ("select pg_advisory_lock(1)", "select pg_sleep(60)"):
            given_up = await database.connect(name="given up")
            with pytest.raises(DatabaseTimeout):
                await given_up.run(lambda s, sql=statement: s.fetchval(sql), timeout_s=0.1)  # type: ignore[misc]
        with trio.fail_after(20):
            while await connection.run(others):  # noqa: ASYNC110 - PostgreSQL's own poll
                await trio.sleep(0.05)


async def test_run_timeout_on_a_script_that_goes_on(database_dsn: str) -> None:
    """A script that ignores the loss of its connection is cancelled; nobody waits for it."""

    async def script(session: Session) -> None:
        while True:
            try:
                await session.fetchval("select pg_sleep(0.01)")
            except ConnectionLost:
                await trio.sleep_forever()

    async with connected(database_dsn) as (_, connection):
        with trio.fail_after(0.05 + 0.25 + BUSY_S), pytest.raises(DatabaseTimeout):
            await connection.run(script, timeout_s=0.05)


async def test_run_and_exit_with_the_backend_frozen(database_dsn: str) -> None:
    """With the backend frozen, neither a run, nor a close, nor leaving the block hangs."""
    async with connected(database_dsn) as (database, connection):
        idle = await database.connect(name="idle")
        pids = [await each.run(backend_pid) for each in (connection, idle)]
        with frozen(*pids):
            with trio.fail_after(0.2 + 0.2 + BUSY_S), pytest.raises(DatabaseTimeout):
                await connection.run(select_one, timeout_s=0.2)
            with trio.fail_after(0.5 + BUSY_S):
                await idle.aclose(timeout_s=0.2)


async def test_everything_with_the_whole_server_frozen(
    database_dsn: str, postgres: PostgresServer
) -> None:
    """A frozen server delays a connect, a run or the exit no longer than stated."""
    # The healthy connect has the same limit: it may take most of a second on a busy machine.
    async with open_database(database_dsn, connect_timeout_s=2.0, log=quiet_log()) as database:
        connection = await database.connect(name="test")
        with postgres.frozen():
            with trio.fail_after(2.0 + 0.5 + BUSY_S), pytest.raises(DatabaseUnavailable) as caught:
                await database.connect(name="late")
            with trio.fail_after(0.2 + 0.2 + BUSY_S), pytest.raises(DatabaseTimeout):
                await connection.run(select_one, timeout_s=0.2)
    assert "no answer within 2 s" in str(caught.value)


async def test_leaving_the_block_with_the_whole_server_frozen(
    database_dsn: str, postgres: PostgresServer
) -> None:
    """Connections left open do not delay the exit, even if the server is frozen."""
    with ExitStack() as thaw:
        async with connected(database_dsn) as (_, connection):
            thaw.enter_context(postgres.frozen())
            start = trio.current_time()
        assert trio.current_time() - start < 0.2 + BUSY_S
        assert connection.closed


async def test_run_cancelled_with_the_whole_server_frozen(
    database_dsn: str, postgres: PostgresServer
) -> None:
    """A caller cancelled during a hanging statement is held until its timeout, not longer."""
    async with connected(database_dsn) as (_, connection):
        start = trio.current_time()
        with postgres.frozen(), pytest.raises(DatabaseTimeout), trio.move_on_after(0.05):
            await connection.run(select_one, timeout_s=0.2)
        assert 0.2 <= trio.current_time() - start < 0.2 + 0.2 + BUSY_S


async def test_connect_cancelled_leaves_no_connection(
    database_dsn: str, postgres: PostgresServer
) -> None:
    """A cancelled connect ends at once, even while the server is frozen."""
    async with open_database(database_dsn, connect_timeout_s=5, log=quiet_log()) as database:
        with postgres.frozen():
            start = trio.current_time()
            with trio.move_on_after(0.05) as scope:
                await database.connect(name="unwanted")
            assert scope.cancelled_caught
            assert trio.current_time() - start < 0.05 + 0.25 + BUSY_S
        witness = await database.connect(name="witness")
        count = "select count(*) from pg_stat_activity where application_name like '%unwanted'"
        with trio.fail_after(5):
            while await witness.run(lambda s: s.fetchval(count)):
                await trio.lowlevel.checkpoint()


def test_frozen_processes_are_thawed() -> None:
    """The tests' own helper freezes, and never leaves a frozen process behind."""
    with subprocess.Popen(["sleep", "60"]) as process:
        with frozen(process.pid):
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
        _, status = os.waitpid(process.pid, os.WCONTINUED)
        assert os.WIFCONTINUED(status)
        process.kill()
