"""The lock that lets one server at a time work on a database."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from actors.database.driver import open_database
from actors.database.errors import (
    AlreadyServed,
    DatabaseTimeout,
    DatabaseUnavailable,
    StatementError,
    TransientError,
)
from actors.database.locks import acquire_server_lock, end_backends, own_backend
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.database.driver import Database
    from actors.database.session import Session
    from tests.postgres import PostgresServer


@asynccontextmanager
async def plain_role(database: Database, also: str = "") -> AsyncGenerator[None]:
    """Make a role that is no superuser and that a session can assume."""
    maker = await database.connect(name="maker")
    await maker.run(lambda session: session.execute(f"create role plain; {also}"))
    try:
        yield
    finally:
        await maker.run(lambda session: session.execute("drop role plain"))


async def test_acquire_server_lock_refuses_a_second_server(database_dsn: str) -> None:
    """A second server learns in one line which connection holds the database."""
    async with open_database(database_dsn, log=quiet_log()) as database:
        first = await database.connect(name="storage-writer")
        second = await database.connect(name="late")
        await first.run(acquire_server_lock)
        with pytest.raises(AlreadyServed) as caught:
            await second.run(lambda session: acquire_server_lock(session, patience_ms=10))
        assert "holdfast storage-writer" in str(caught.value)
        assert "\n" not in str(caught.value)


async def test_acquire_server_lock_waits_for_a_dying_session(database_dsn: str) -> None:
    """A start waits for a killed server's session to end: its successor gets the lock."""
    async with open_database(database_dsn, log=quiet_log()) as database:
        first = await database.connect(name="first")
        second = await database.connect(name="second")
        await first.run(acquire_server_lock)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(second.run, acquire_server_lock)
            await trio.testing.wait_all_tasks_blocked(0.02)
            first.terminate()


async def test_acquire_server_lock_is_per_database(database_dsn: str, dsn: str) -> None:
    """Servers on two databases of one PostgreSQL do not disturb each other."""
    async with (
        open_database(database_dsn, log=quiet_log()) as here,
        open_database(dsn, log=quiet_log()) as there,
    ):
        for database in (here, there):
            connection = await database.connect(name="writer")
            await connection.run(lambda session: acquire_server_lock(session, patience_ms=10))


async def test_acquire_server_lock_of_an_unknown_holder(
    database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A holder that has left by the time it is looked up is not named."""
    monkeypatch.setattr("actors.database.locks._HOLDER", "select 1 where $1 = 0::bigint")
    async with open_database(database_dsn, log=quiet_log()) as database:
        first = await database.connect(name="first")
        second = await database.connect(name="second")
        await first.run(acquire_server_lock)
        with pytest.raises(AlreadyServed, match=r"running on the database '[a-z_0-9]+'$"):
            await second.run(lambda session: acquire_server_lock(session, patience_ms=10))


async def test_acquire_server_lock_tells_a_lock_from_what_else_passes(
    database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a lock that is not available means another server."""
    monkeypatch.setattr("actors.database.locks._LOCK_NOT_AVAILABLE", "25006")
    async with open_database(database_dsn, log=quiet_log()) as database:
        first = await database.connect(name="first")
        second = await database.connect(name="second")
        await first.run(acquire_server_lock)
        with pytest.raises(TransientError, match="lock timeout"):
            await second.run(lambda session: acquire_server_lock(session, patience_ms=10))


async def test_acquire_server_lock_tells_of_a_holder_that_waits_for_a_standby(
    postgres: PostgresServer, database_dsn: str
) -> None:
    """Such a session may be all that is left of a server, however long ago that ended."""
    async with open_database(database_dsn, log=quiet_log()) as database:
        first = await database.connect(name="storage-writer")
        second = await database.connect(name="late")
        await first.run(acquire_server_lock)
        async with postgres.without_standby():
            with pytest.raises(DatabaseTimeout):
                await first.run(
                    lambda session: session.execute("create table late ()"), timeout_s=0.5
                )
            with pytest.raises(AlreadyServed, match=r", waiting for a standby\)$"):
                await second.run(lambda session: acquire_server_lock(session, patience_ms=10))


async def test_acquire_server_lock_other_errors_pass(database_dsn: str) -> None:
    """An error other than a refusal of the lock passes through unchanged."""

    async def script(session: Session) -> None:
        async with session.transaction():
            with pytest.raises(StatementError):
                await session.execute("select 1/0")
            await acquire_server_lock(session)

    async with open_database(database_dsn, log=quiet_log()) as database:
        connection = await database.connect(name="test")
        with pytest.raises(StatementError) as caught:
            await connection.run(script)
    assert caught.value.sqlstate == "25P02"


async def test_acquire_server_lock_of_another_roles_session(database_dsn: str) -> None:
    """Whatever the server hides about the holder is left out."""

    async def script(session: Session) -> None:
        await session.execute("set role plain")
        await acquire_server_lock(session, patience_ms=10)

    async with open_database(database_dsn, log=quiet_log()) as database, plain_role(database):
        first = await database.connect(name="first")
        second = await database.connect(name="second")
        await first.run(acquire_server_lock)
        with pytest.raises(AlreadyServed, match=r"\(holdfast first, backend \d+\)$"):
            await second.run(script)
        second.terminate()


async def test_acquire_server_lock_knows_a_lost_session(database_dsn: str) -> None:
    """The server's own lost session is no other server; nor is one that has left meanwhile."""
    async with open_database(database_dsn, log=quiet_log()) as database:
        first = await database.connect(name="first")
        second = await database.connect(name="second")
        lost = {await first.run(own_backend)}
        await first.run(acquire_server_lock)

        async def acquire(session: Session) -> None:
            await acquire_server_lock(session, patience_ms=10, lost=lost)

        with pytest.raises(DatabaseUnavailable, match="a lost connection of this server"):
            await second.run(acquire)
        lost = {await second.run(own_backend)}
        with pytest.raises(AlreadyServed, match="holdfast first"):
            await second.run(acquire)


async def test_end_backends_ends_those_alone_that_are_meant(database_dsn: str) -> None:
    """The session meant goes; a later one that got its number would not."""
    async with open_database(database_dsn, log=quiet_log()) as database:
        lost = await database.connect(name="lost")
        other = await database.connect(name="other")
        ending = await database.connect(name="ending")
        gone, stays = await lost.run(own_backend), await other.run(own_backend)
        earlier = replace(stays, since=gone.since)
        assert await ending.run(lambda session: end_backends(session, {gone, earlier})) == {gone}
        await lost.wait_closed()
        assert await other.run(own_backend) == stays
        with trio.fail_after(5):
            # The server's view announces nothing.
            while await ending.run(lambda session: end_backends(session, {gone})):  # noqa: ASYNC110
                await trio.sleep(0.01)
        assert await ending.run(lambda session: end_backends(session, frozenset())) == frozenset()


async def test_end_backends_without_the_right_to(database_dsn: str) -> None:
    """Sessions that may not be ended are still there, and this one works on."""

    async def script(session: Session) -> bool:
        await session.execute("set role plain")
        return await end_backends(session, sessions) == sessions

    see = "grant pg_read_all_stats to plain"
    async with open_database(database_dsn, log=quiet_log()) as database, plain_role(database, see):
        first = await database.connect(name="first")
        second = await database.connect(name="second")
        sessions = {await first.run(own_backend)}
        assert await second.run(script)
        second.terminate()
        assert {await first.run(own_backend)} == sessions
