"""The driver's connections: how they begin, and what becomes of work when they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest
import trio
import trio.testing

from actors.database import server_version
from actors.database.driver import open_database
from actors.database.errors import (
    ConnectionLost,
    DatabaseError,
    DatabaseTimeout,
    DatabaseUnavailable,
)
from tests.actors.database.support import BUSY_S, backend_pid, connected, select_one
from tests.postgres import quiet_log, run_script, with_database

if TYPE_CHECKING:
    from pathlib import Path

    from actors.database.session import Session
    from tests.postgres import PostgresServer


# --- connecting ------------------------------------------------------------------------------


async def test_connect_settings_and_name(database_dsn: str) -> None:
    """A connection's name and settings reach the server, which speaks UTC."""
    async with open_database(database_dsn, log=quiet_log()) as database:
        connection = await database.connect(name="reader", settings={"work_mem": "7MB"})

        async def script(session: Session) -> list[str]:
            names = ("application_name", "work_mem", "timezone")
            return [await session.fetchval("select current_setting($1)", name) for name in names]

        assert await connection.run(script) == ["holdfast reader", "7MB", "UTC"]


@pytest.mark.parametrize(
    ("dsn", "reason"),
    [
        ("postgresql://u:secret@127.0.0.1:1/x", "x at 127.0.0.1:1"),
        ("postgresql://u:secret@host.invalid/x", "x at host.invalid"),
        ("postgresql://u:secret@/x?host=/nowhere", "x at /nowhere"),
        ("postgresql://u:secret@127.0.0.1:port/x", "malformed"),
        ("postgresql://u:secret@127.0.0.1:99999/x", "port must be 0-65535"),
        ("http://u:secret@127.0.0.1/x", "malformed"),
        ("", "malformed"),
    ],
)
async def test_connect_to_nowhere(dsn: str, reason: str) -> None:
    """A wrong DSN produces one line that says where, and never the password."""
    async with open_database(dsn, connect_timeout_s=3, log=quiet_log()) as database:
        with pytest.raises(DatabaseUnavailable) as caught:
            await database.connect(name="test")
    text = str(caught.value)
    assert reason in text
    assert "secret" not in text
    assert "\n" not in text


async def test_connect_with_a_file_of_passwords_that_is_no_text(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the file, not the DSN: the data directory's server has no DSN to check."""
    passwords = tmp_path / "pgpass"
    passwords.write_bytes("# d\u00e9veloppement\nlocalhost:5432:*:u:p\n".encode("latin-1"))
    passwords.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    async with open_database(database_dsn, log=quiet_log()) as database:
        with pytest.raises(DatabaseUnavailable, match=r"PGPASSFILE or ~/\.pgpass cannot be"):
            await database.connect(name="test")


async def test_connect_to_a_missing_database(database_dsn: str) -> None:
    """A refusal by the server is reported, with its reason, in one line."""
    dsn = with_database(database_dsn, "missing")
    async with open_database(dsn, log=quiet_log()) as database:
        with pytest.raises(DatabaseUnavailable, match='database "missing" does not exist'):
            await database.connect(name="test")


async def test_connect_to_an_old_server(database_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PostgreSQL that is too old is refused at once, with both versions."""
    monkeypatch.setattr(server_version, "OLDEST", 19)
    async with open_database(database_dsn, log=quiet_log()) as database:
        with pytest.raises(DatabaseUnavailable, match=r"is version 18: Holdfast needs 19 or newer"):
            await database.connect(name="test")


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_connect_to_a_database_of_another_encoding(
    postgres: PostgresServer, encoding: str
) -> None:
    """An encoding that cannot hold every name is refused at once, with the remedy."""
    name = f"in_{encoding.lower()}"
    make = f"create database {name} template template0 encoding {encoding} locale 'C'"
    await run_script(postgres.dsn, lambda session: session.execute(make))
    async with open_database(with_database(postgres.dsn, name), log=quiet_log()) as database:
        with pytest.raises(DatabaseUnavailable, match=f"{encoding}: .*createdb --encoding=UTF8"):
            await database.connect(name="test")


async def test_connect_after_the_block(database_dsn: str) -> None:
    """After its block is left, a database makes no more connections."""
    async with open_database(database_dsn, log=quiet_log()) as database:
        pass
    with pytest.raises(DatabaseUnavailable, match="is closed"):
        await database.connect(name="late")


async def test_connect_that_fails_half_way(
    database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that cannot be set up for use is dropped."""
    opened: list[asyncpg.Connection] = []

    async def refuse(raw: asyncpg.Connection, *_args: object, **_options: object) -> None:
        opened.append(raw)
        raise asyncpg.InterfaceError("no such type")

    monkeypatch.setattr(asyncpg.Connection, "set_type_codec", refuse)
    async with open_database(database_dsn, log=quiet_log()) as database:
        with pytest.raises(DatabaseUnavailable, match="no such type"):
            await database.connect(name="test")
    assert [raw.is_closed() for raw in opened] == [True]


async def test_connect_waits_for_no_resolver(
    database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host name whose resolution hangs delays neither the connect nor leaving the block."""
    import socket  # noqa: PLC0415 - only to be replaced here
    import threading  # noqa: PLC0415 - as above

    release = threading.Event()

    def hang(*_args: object, **_kwargs: object) -> list[object]:
        release.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        with trio.fail_after(1):
            async with open_database(
                "postgresql://host.example/x", connect_timeout_s=0.1, log=quiet_log()
            ) as database:
                with pytest.raises(DatabaseUnavailable, match="no answer"):
                    await database.connect(name="test")
    finally:
        release.set()


# --- the end of a connection -----------------------------------------------------------------


async def test_run_after_the_backend_was_killed(database_dsn: str) -> None:
    """A connection whose backend dies closes by itself; later requests on it are not started."""
    async with connected(database_dsn) as (database, connection):
        pid = await connection.run(backend_pid)
        other = await database.connect(name="other")
        await other.run(lambda s: s.execute("select pg_terminate_backend($1)", pid))
        with trio.fail_after(5):
            await connection.wait_closed()
        assert connection.closed
        with pytest.raises(ConnectionLost) as caught:
            await connection.run(select_one)
    assert caught.value.started is False
    assert not isinstance(caught.value, DatabaseTimeout)


async def test_run_connection_lost_in_the_middle(database_dsn: str) -> None:
    """A backend that dies during a statement leaves its outcome open: ConnectionLost, started."""
    async with connected(database_dsn) as (database, connection):
        pid = await connection.run(backend_pid)
        other = await database.connect(name="other")
        async with trio.open_nursery() as nursery:

            async def interrupted() -> None:
                with pytest.raises(ConnectionLost) as caught:
                    await connection.run(lambda s: s.fetchval("select pg_sleep(10)"))
                assert caught.value.started

            nursery.start_soon(interrupted)
            await trio.testing.wait_all_tasks_blocked(0.01)
            await other.run(lambda s: s.execute("select pg_terminate_backend($1)", pid))
        assert connection.closed


async def test_run_after_the_server_took_leave(database_dsn: str) -> None:
    """A server's farewell between two statements is reported as such, not in asyncpg's terms."""
    fields = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0"
    farewell = b"E" + (len(fields) + 4).to_bytes(4, "big") + fields
    async with connected(database_dsn) as (_, connection):

        async def script(session: Session) -> None:
            await select_one(session)
            connection._raw._protocol.data_received(farewell)
            await select_one(session)

        with pytest.raises(ConnectionLost, match=r"^the server ended the connection$"):
            await connection.run(script)
        assert connection.closed


async def test_terminate_ends_a_script_under_way(database_dsn: str) -> None:
    """A connection terminated in a transaction raises ConnectionLost, whatever asyncpg says."""

    async def script(session: Session) -> None:
        async with session.transaction():
            try:
                await session.fetchval("select pg_sleep(10)")
            except DatabaseError as error:
                raise RuntimeError("hidden") from error

    async with connected(database_dsn) as (_, connection), trio.open_nursery() as nursery:

        async def interrupted() -> None:
            with pytest.raises(ConnectionLost):
                await connection.run(script)

        nursery.start_soon(interrupted)
        await trio.testing.wait_all_tasks_blocked(0.01)
        connection.terminate()


async def test_transaction_begun_on_a_lost_connection(database_dsn: str) -> None:
    """A transaction cannot begin once the connection is gone, and says so in our terms."""
    async with connected(database_dsn) as (_, connection):

        async def script(session: Session) -> None:
            connection.terminate()
            with pytest.raises(ConnectionLost):
                async with session.transaction():
                    pytest.fail("entered")

        await connection.run(script)


async def test_aclose_takes_leave(database_dsn: str) -> None:
    """A closed connection is gone from the server's view, and closing it again does no harm."""
    async with connected(database_dsn) as (database, connection):
        pid = await connection.run(backend_pid)
        await connection.aclose()
        await connection.aclose()
        assert connection.closed
        other = await database.connect(name="other")
        count = "select count(*) from pg_stat_activity where pid = $1"
        with trio.fail_after(5):
            while await other.run(lambda s: s.fetchval(count, pid)):
                await trio.lowlevel.checkpoint()


async def test_aclose_of_a_busy_connection(database_dsn: str) -> None:
    """Closing does not wait for a running script: the script ends in ConnectionLost."""
    async with connected(database_dsn) as (_, connection), trio.open_nursery() as nursery:

        async def interrupted() -> None:
            with pytest.raises(ConnectionLost):
                await connection.run(lambda s: s.fetchval("select pg_sleep(10)"))

        nursery.start_soon(interrupted)
        await trio.testing.wait_all_tasks_blocked(0.01)
        with trio.fail_after(0.3 + BUSY_S):
            await connection.aclose()
        assert connection.closed


async def test_run_while_it_closes_finds_it_closed(database_dsn: str) -> None:
    """The next script in line sends nothing on a connection that is closing."""
    async with connected(database_dsn) as (_, connection), trio.open_nursery() as nursery:
        nursery.start_soon(connection.aclose)
        while not connection._turn.locked():
            await trio.lowlevel.checkpoint()
        with pytest.raises(ConnectionLost) as caught:
            await connection.run(lambda session: session.fetchval("select 1"))
        assert not caught.value.started


async def test_aclose_cancelled_closes_nevertheless(database_dsn: str) -> None:
    """A cancelled close still closes."""
    async with connected(database_dsn) as (_, connection):
        with trio.CancelScope() as scope:
            scope.cancel()
            await connection.aclose()
        assert scope.cancelled_caught
        assert connection.closed


async def test_open_database_closes_what_was_left_open(database_dsn: str) -> None:
    """Leaving the block ends every connection; later use is refused as not started."""
    async with connected(database_dsn) as (_, connection):
        pass
    assert connection.closed
    with pytest.raises(ConnectionLost) as caught:
        await connection.run(select_one)
    assert caught.value.started is False


async def test_open_database_gives_the_body_s_own_error(database_dsn: str) -> None:
    """The body's exception comes out bare, not wrapped in the nurseries' groups."""
    with pytest.raises(LookupError, match="mine"):
        async with connected(database_dsn):
            raise LookupError("mine")


async def test_open_database_cancelled(database_dsn: str) -> None:
    """A cancellation passes through the block and is caught where it belongs."""
    with trio.CancelScope() as scope:
        async with connected(database_dsn):
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
