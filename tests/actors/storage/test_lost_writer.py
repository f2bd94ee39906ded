"""The PostgreSQL engine when its own session outlives the connection and holds the server lock."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
import trio

from actors.database.driver import open_database
from actors.database.errors import AlreadyServed, ConnectionLost
from actors.database.locks import acquire_server_lock
from actors.storage import Conflict
from actors.storage.engine import EngineUnavailable
from tests.actors.storage.conftest import postgres_engine
from tests.actors.storage.sabotage import Strike, kill, sabotaged
from tests.actors.storage.support import FOREVER_S, new_id, new_world, tick, world
from tests.postgres import frozen, quiet_log, run_script

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from actors.database.driver import Connection
    from actors.database.session import Session
    from actors.storage.engine import Unit
    from actors.storage.errors import StorageError
    from actors.storage.postgres import PostgresEngine
    from tests.postgres import PostgresServer

SHORT_S = 0.5
WRITERS = """
select count(*)::int from pg_stat_activity
where application_name = 'holdfast storage-writer' and datname = current_database()
"""
SLEEPERS = """
select count(*)::int from pg_stat_activity
where wait_event = 'PgSleep' and datname = current_database()
"""


async def writer_pid(engine: PostgresEngine) -> int:
    """Return which server process works for the engine's writer."""
    assert engine._writer is not None
    pid: int = await engine._writer.run(lambda session: session.fetchval("select pg_backend_pid()"))
    return pid


async def commit_at_last(
    engine: PostgresEngine, units: Sequence[Unit]
) -> list[StorageError | None]:
    """Retry a batch until it is committed, as Storage does."""
    with trio.fail_after(FOREVER_S):
        while True:
            with suppress(EngineUnavailable):
                return await engine.commit(units)


class Line:
    """A TCP path to the tests' server that can fall silent."""

    def __init__(self, dsn: str) -> None:
        self._path = f"{parse_qs(urlsplit(dsn).query)['host'][0]}/.s.PGSQL.5432"
        self._through = trio.CancelScope()

    def fall_silent(self) -> None:
        """Forward nothing more over connections; both ends stay open."""
        self._through.cancel()
        self._through = trio.CancelScope()

    async def carry(self, client: trio.SocketStream) -> None:
        """Connect a client to the server until the test ends."""
        async with await trio.open_unix_socket(self._path) as server, client:
            with self._through:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_pump, client, server)
                    nursery.start_soon(_pump, server, client)
            await trio.sleep_forever()


async def _pump(source: trio.SocketStream, sink: trio.SocketStream) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        async for data in source:
            await sink.send_all(data)


@asynccontextmanager
async def line_to(dsn: str) -> AsyncGenerator[tuple[Line, str]]:
    """Open a line to a database; yield it, and the DSN that leads over it."""
    line = Line(dsn)
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, line.carry, [listener])
        parts = urlsplit(dsn)
        netloc = f"{parts.netloc.partition('@')[0]}@127.0.0.1:{port}"
        yield line, parts._replace(netloc=netloc, query="").geturl()
        nursery.cancel_scope.cancel()


async def test_writer_whose_line_fell_silent_is_replaced_at_once(database_dsn: str) -> None:
    """The server has not heard that the line is dead: the next session ends the one there."""
    name = new_id()
    async with (
        line_to(database_dsn) as (line, dsn),
        postgres_engine(dsn, query_timeout_s=SHORT_S) as engine,
    ):
        assert await commit_at_last(engine, [(new_world(name),)]) == [None]
        line.fall_silent()
        with pytest.raises(EngineUnavailable):
            await engine.commit([(tick(name, 1),)])
        assert await commit_at_last(engine, [(tick(name, 1),)]) == [None]
        assert await run_script(database_dsn, lambda session: session.fetchval(WRITERS)) == 1
    assert await world(database_dsn, name) == (1, 2)


async def test_writer_that_does_not_tell_who_is_to_blame_is_given_up_in_time(
    database_dsn: str,
) -> None:
    """The caller of a refused batch waits for the second look no longer than stated."""
    name = new_id()
    late = tick(name, 1, version=7)
    async with sabotaged(database_dsn, query_timeout_s=SHORT_S) as (engine, saboteur):
        assert await commit_at_last(engine, [(new_world(name),)]) == [None]
        saboteur.instead["begin"] = "select pg_sleep(30)"
        began = trio.current_time()
        with pytest.raises(EngineUnavailable) as caught:
            await engine.commit([(late,)])
        assert trio.current_time() < began + 4 * SHORT_S
        assert not caught.value.in_doubt
        [outcome] = await commit_at_last(engine, [(late,)])
    assert isinstance(outcome, Conflict)
    assert await world(database_dsn, name) == (0, 1)


async def test_writer_that_works_yet_is_ended_before_its_work_is_done_again(
    database_dsn: str,
) -> None:
    """The lost session must not also commit work that is retried: it is there once."""
    name = new_id()
    async with sabotaged(database_dsn, query_timeout_s=SHORT_S) as (engine, saboteur):
        assert await commit_at_last(engine, [(new_world(name),)]) == [None]
        saboteur.strikes.append(Strike.SLOWER)
        with pytest.raises(EngineUnavailable) as caught:
            await engine.commit([(tick(name, 1),)])
        assert caught.value.in_doubt
        assert await commit_at_last(engine, [(tick(name, 1),)]) == [None]
    assert await world(database_dsn, name) == (1, 2)


async def test_writer_whose_server_hangs_is_waited_for(database_dsn: str) -> None:
    """A server process that ignores its termination keeps the lock: that is no other server.

    Nothing is done while it may still commit; whatever it did by then counts.
    """
    name = new_id()
    async with sabotaged(database_dsn, query_timeout_s=SHORT_S) as (engine, saboteur):
        assert await commit_at_last(engine, [(new_world(name),)]) == [None]
        saboteur.strikes.append(Strike.SLOWER)
        with frozen(await writer_pid(engine)):
            said = ""
            for _ in range(3):
                with pytest.raises(EngineUnavailable) as caught:
                    await engine.commit([(tick(name, 1),)])
                assert caught.value.in_doubt
                said = str(caught.value)
            assert "a lost connection of this server" in said
        assert await commit_at_last(engine, [(tick(name, 1),)]) == [None]
    assert await world(database_dsn, name) == (1, 2)


async def test_writer_that_waits_for_a_lock_is_ended(database_dsn: str) -> None:
    """A foreign lock on a table is an outage, and does not fill the server with sessions."""
    name = new_id()
    async with postgres_engine(database_dsn, query_timeout_s=SHORT_S) as engine:
        assert await commit_at_last(engine, [(new_world(name),)]) == [None]
        async with open_database(database_dsn, log=quiet_log()) as database:
            holder = await database.connect(name="holder")
            await holder.run(lambda session: session.execute("begin; lock table world"))
            for _ in range(4):
                with pytest.raises(EngineUnavailable):
                    await engine.commit([(tick(name, 1),)])
            writers = await run_script(database_dsn, lambda session: session.fetchval(WRITERS))
            assert writers <= 2
            await holder.aclose()
        assert await commit_at_last(engine, [(tick(name, 1),)]) == [None]
    assert await world(database_dsn, name) == (1, 2)


async def test_writer_that_another_server_has_replaced_is_told_so(database_dsn: str) -> None:
    """If another server has taken the lock meanwhile, the lost session is not this server's."""
    async with (
        postgres_engine(database_dsn, query_timeout_s=SHORT_S) as engine,
        postgres_engine(database_dsn) as other,
    ):
        assert await commit_at_last(engine, [(new_world(new_id()),)]) == [None]
        assert await kill(database_dsn) == 1
        await other.open()
        with pytest.raises(AlreadyServed, match="storage-writer"):
            await commit_at_last(engine, [(new_world(new_id()),)])
        assert await other.commit([(new_world(new_id()),)]) == [None]


async def test_commit_that_waits_for_a_standby_is_not_answered_before(
    postgres: PostgresServer, database_dsn: str
) -> None:
    """Ending the waiting session would leave its commit only here: that is not confirmed."""
    name = new_id()
    async with postgres_engine(database_dsn, query_timeout_s=SHORT_S) as engine:
        assert await commit_at_last(engine, [(new_world(name),)]) == [None]
        async with postgres.without_standby():
            for _ in range(4):
                with pytest.raises(EngineUnavailable) as caught:
                    await engine.commit([(tick(name, 1),)])
                assert caught.value.in_doubt
        assert await commit_at_last(engine, [(tick(name, 1),)]) == [None]
    assert await world(database_dsn, name) == (1, 2)


async def test_writer_of_a_killed_server_is_outlived_however_short_a_query_may_take(
    database_dsn: str,
) -> None:
    """A working session notices after a second that its client has gone: a start waits for it."""

    async def work(session: Session) -> None:
        await acquire_server_lock(session)
        await session.execute("select pg_sleep(60)")

    async def work_until_killed(killed: Connection) -> None:
        with pytest.raises(ConnectionLost):
            await killed.run(work, timeout_s=60)

    async with (
        open_database(database_dsn, log=quiet_log()) as database,
        postgres_engine(database_dsn, query_timeout_s=SHORT_S) as engine,
        trio.open_nursery() as nursery,
    ):
        killed = await database.connect(name="killed")
        nursery.start_soon(work_until_killed, killed)
        with trio.fail_after(FOREVER_S):
            while not await run_script(database_dsn, lambda session: session.fetchval(SLEEPERS)):
                await trio.lowlevel.checkpoint()
        killed.terminate()
        await engine.open()
        assert await engine.commit([(new_world(new_id()),)]) == [None]
