"""The driver against a real PostgreSQL: values, errors, deadlines, and a server that freezes."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
import trio
import trio.testing
from structlog.testing import LogCapture

from actors.database import server_version
from actors.database.driver import Connection, Database, open_database
from actors.database.dsn import describe_dsn
from actors.database.errors import (
    CheckViolation,
    ConnectionLost,
    DatabaseError,
    DatabaseTimeout,
    DatabaseUnavailable,
    ForeignKeyViolation,
    StatementError,
    TransientError,
    UniqueViolation,
)
from tests.postgres import frozen, quiet_log, run_script, with_database

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.database.session import Session
    from tests.postgres import PostgresServer

BUSY_S = 0.5
"""What a busy machine may add to a bound in time; a frozen server would take for ever."""

ID_1 = "019a5c00-0000-7000-8000-000000000001"
ID_2 = "019a5c00-0000-7000-8000-000000000002"


@asynccontextmanager
async def connected(dsn: str) -> AsyncGenerator[tuple[Database, Connection], None]:
    """Open a database and a connection to it."""
    async with open_database(dsn, connect_timeout_s=5, log=quiet_log()) as database:
        connection = await database.connect(name="test")
        yield database, connection


async def select_one(session: Session) -> int:
    """Ask for the least."""
    value: int = await session.fetchval("select 1")
    return value


async def backend_pid(session: Session) -> int:
    """Ask for the process at the other end."""
    pid: int = await session.fetchval("select pg_backend_pid()")
    return pid


# --- values ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql_type", "value"),
    [
        ("uuid", ID_1),
        ("uuid[]", [ID_1, None, ID_2]),
        ("jsonb", '{"a": [1, "ü"]}'),
        ("jsonb[]", ['{"a": 1}', "null"]),
        ("bigint", -(2**63)),
        ("bytea", b"\x00\xff"),
        ("text", "naïve ☃"),
        ("timestamptz", datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)),
        ("numeric", 10**30),
        ("numeric", Decimal("1.50")),
        ("numeric[]", [1, 2]),
    ],
)
async def test_run_value_round_trip(database_dsn: str, sql_type: str, value: object) -> None:
    """What is written comes back equal and of the same Python type."""
    async with connected(database_dsn) as (_, connection):
        back = await connection.run(lambda s: s.fetchval(f"select $1::{sql_type}", value))
    assert back == value
    assert type(back) is type(value)


async def test_session_sum_of_bigint_is_int(database_dsn: str) -> None:
    """A sum, which PostgreSQL makes a numeric, reads as an int."""
    async with connected(database_dsn) as (_, connection):
        total = await connection.run(
            lambda s: s.fetchval("select sum(n) from unnest($1::bigint[]) as n", [2**62, 2**62])
        )
    assert total == 2**63
    assert type(total) is int


async def test_session_every_method(database_dsn: str) -> None:
    """Rows, a row, a value and a tag work together in one script."""

    async def script(session: Session) -> tuple[str, list[Any], Any, Any, int]:
        await session.execute("create temporary table numbers (n bigint, name text)")
        await session.execute("insert into numbers values (1, 'a'), (2, 'b')")
        tag = await session.execute("update numbers set n = n * $1", 10)
        rows = await session.fetch("select * from numbers order by n")
        row = await session.fetchrow("select * from numbers where n = 10")
        none = await session.fetchrow("select * from numbers where n = 0")
        assert row is not None
        assert [*row.keys(), *row.values(), len(row), row[1]] == ["n", "name", 10, "a", 2, "a"]
        return tag, [dict(row.items()) for row in rows], row["n"], none, len(rows)

    async with connected(database_dsn) as (_, connection):
        assert await connection.run(script) == (
            "UPDATE 2",
            [{"n": 10, "name": "a"}, {"n": 20, "name": "b"}],
            10,
            None,
            2,
        )


async def test_connect_settings_and_name(database_dsn: str) -> None:
    """The name and the settings of a connection arrive at the server, which speaks UTC."""
    async with open_database(database_dsn, log=quiet_log()) as database:
        connection = await database.connect(name="reader", settings={"work_mem": "7MB"})

        async def script(session: Session) -> list[str]:
            names = ("application_name", "work_mem", "timezone")
            return [await session.fetchval("select current_setting($1)", name) for name in names]

        assert await connection.run(script) == ["holdfast reader", "7MB", "UTC"]


# --- transactions and errors -----------------------------------------------------------------


async def test_transaction_rolls_back_to_savepoint(database_dsn: str) -> None:
    """A refused row undoes its own savepoint; its neighbours commit."""

    async def script(session: Session) -> list[int]:
        await session.execute("create temporary table keys (k bigint primary key)")
        async with session.transaction():
            for key in (1, 1, 2):
                try:
                    async with session.transaction():
                        await session.execute("insert into keys values ($1)", key)
                except UniqueViolation:
                    continue
        return [row["k"] for row in await session.fetch("select k from keys order by k")]

    async with connected(database_dsn) as (_, connection):
        assert await connection.run(script) == [1, 2]


async def test_transaction_error_of_the_script_passes_through(database_dsn: str) -> None:
    """What a script itself raises rolls back and comes out as it is."""

    async def script(session: Session) -> None:
        async with session.transaction():
            await session.execute("create table never_made ()")
            raise LookupError("mine")

    async with connected(database_dsn) as (_, connection):
        with pytest.raises(LookupError, match="mine"):
            await connection.run(script)
        table = await connection.run(lambda s: s.fetchval("select to_regclass('never_made')"))
    assert table is None


@pytest.mark.parametrize(
    ("sql", "error", "constraint"),
    [
        ("insert into parents values (1)", UniqueViolation, "parents_pkey"),
        ("insert into children values (7)", ForeignKeyViolation, "children_parent_fkey"),
        ("insert into parents values (-1)", CheckViolation, "parents_positive"),
    ],
)
async def test_violation_names_its_constraint(
    database_dsn: str, sql: str, error: type[Exception], constraint: str
) -> None:
    """A refused row gives an error of its own kind that names the constraint."""
    async with connected(database_dsn) as (_, connection):
        await connection.run(
            lambda s: s.execute("""
                create temporary table parents (
                    id bigint primary key, constraint parents_positive check (id > 0));
                create temporary table children (parent bigint references parents);
                insert into parents values (1)""")
        )
        with pytest.raises(error) as caught:
            await connection.run(lambda s: s.execute(sql))
    assert getattr(caught.value, "constraint", None) == constraint
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("sql", "args", "sqlstate"),
    [
        ("selec 1", (), "42601"),
        ("select 1/0", (), "22012"),
        ("select $1::bigint", ("text",), "22000"),
        ("select $1::bigint", (), "XX000"),
        ("select $1::uuid", ("no uuid",), "22P02"),
    ],
)
async def test_statement_error_has_sqlstate(
    database_dsn: str, sql: str, args: tuple[object, ...], sqlstate: str
) -> None:
    """Any other refusal, also the driver's own, is a StatementError; the connection lives on."""
    async with connected(database_dsn) as (_, connection):
        with pytest.raises(StatementError) as caught:
            await connection.run(lambda s: s.fetchval(sql, *args))
        assert caught.value.sqlstate == sqlstate
        assert caught.value.place == describe_dsn(database_dsn)
        assert await connection.run(select_one) == 1


@pytest.mark.parametrize("sqlstate", ["25006", "40P01", "53100", "55P03", "57014", "58030"])
async def test_server_that_cannot_now_loses_its_connection(
    database_dsn: str, sqlstate: str
) -> None:
    """What the server may do later, or another one in its place, is tried on a new connection."""
    fail = f"do $$ begin raise 'not now' using errcode = '{sqlstate}'; end $$"
    capture = LogCapture()
    async with open_database(database_dsn, log=quiet_log(capture)) as database:
        connection = await database.connect(name="test")
        with pytest.raises(ConnectionLost, match="not now") as caught:
            await connection.run(lambda s: s.execute(fail))
        assert isinstance(caught.value, TransientError) is (sqlstate != "57014")
        assert connection.closed
        await connection.wait_closed()
    [event] = capture.entries
    assert (event["event"], event["reason"]) == ("database_lost", "not now")


async def test_server_that_cannot_now_may_be_asked_otherwise(database_dsn: str) -> None:
    """A script that knows what to do about it goes on, on the same connection."""

    async def script(session: Session) -> int:
        with pytest.raises(TransientError) as caught:
            await session.execute("do $$ begin raise 'locked' using errcode = '55P03'; end $$")
        assert caught.value.sqlstate == "55P03"
        return await select_one(session)

    async with connected(database_dsn) as (_, connection):
        assert await connection.run(script) == 1
        assert not connection.closed


async def test_run_in_order_of_calls(database_dsn: str) -> None:
    """Scripts of many tasks run on one connection one after the other."""
    running: list[int] = []

    async def one(connection: Connection, number: int) -> None:
        async def script(session: Session) -> None:
            running.append(number)
            assert len(running) == 1
            await session.fetchval("select 1")
            await session.fetchval("select 2")
            running.remove(number)

        await connection.run(script)

    async with connected(database_dsn) as (_, connection), trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(one, connection, number)


async def test_run_waiting_its_turn_times_out(database_dsn: str) -> None:
    """Who does not get a turn in time learns that nothing was started; the connection stays."""
    async with connected(database_dsn) as (_, connection), trio.open_nursery() as nursery:
        release = await _hold_turn(connection, nursery)
        with pytest.raises(DatabaseTimeout, match="busy") as caught:
            await connection.run(select_one, timeout_s=0.05)
        assert caught.value.started is False
        assert not connection.closed
        release.set()


async def _hold_turn(connection: Connection, nursery: trio.Nursery) -> trio.Event:
    """Occupy the connection until the event is set."""
    release = trio.Event()

    async def script(session: Session) -> None:
        while not release.is_set():
            await session.fetchval("select pg_sleep(0.01)")

    nursery.start_soon(connection.run, script)
    await trio.testing.wait_all_tasks_blocked(0.001)
    return release


# --- the end of a connection -----------------------------------------------------------------


async def test_run_after_the_backend_was_killed(database_dsn: str) -> None:
    """A connection whose backend dies is closed by itself; what it is asked is not started."""
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
    """A backend that dies under a statement leaves its outcome open: ConnectionLost, started."""
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
    """A farewell that came between two statements is told as that, not in asyncpg's terms."""
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
    """A connection terminated under a transaction gives ConnectionLost, whatever asyncpg says."""

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
    """A closed connection is gone from the server's view, and closing again does no harm."""
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
    """Closing does not wait for the script under way: it ends in ConnectionLost."""
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
    """Whose turn would come next sends nothing on a connection that takes its leave."""
    async with connected(database_dsn) as (_, connection), trio.open_nursery() as nursery:
        nursery.start_soon(connection.aclose)
        while not connection._turn.locked():
            await trio.lowlevel.checkpoint()
        with pytest.raises(ConnectionLost) as caught:
            await connection.run(lambda session: session.fetchval("select 1"))
        assert not caught.value.started


async def test_aclose_cancelled_closes_nevertheless(database_dsn: str) -> None:
    """A cancelled close closes all the same."""
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
    """What the body raises comes out bare, not wrapped in the nurseries' groups."""
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
    """A caller cancelled under a statement waits for it, gets its result, and is then cancelled."""
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


async def test_run_that_was_given_up_ends_on_the_server_too(other_dsn: str) -> None:
    """Also one that waits there for a lock, on a server that is not set to look for its clients."""

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

    await run_script(other_dsn, set_up)
    async with connected(other_dsn) as (database, connection):
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
    """With the backend frozen, neither a run nor a close nor leaving the block hangs."""
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
    """Frozen altogether, the server holds up a connect, a run or the exit no longer than stated."""
    # The healthy connect has the same limit: on a busy machine it may take a good part of a second.
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
    """Connections left open do not hold up the exit, though the server is frozen."""
    with ExitStack() as thaw:
        async with connected(database_dsn) as (_, connection):
            thaw.enter_context(postgres.frozen())
            start = trio.current_time()
        assert trio.current_time() - start < 0.2 + BUSY_S
        assert connection.closed


async def test_run_cancelled_with_the_whole_server_frozen(
    database_dsn: str, postgres: PostgresServer
) -> None:
    """A caller cancelled under a statement that hangs is held until its timeout, not longer."""
    async with connected(database_dsn) as (_, connection):
        start = trio.current_time()
        with postgres.frozen(), pytest.raises(DatabaseTimeout), trio.move_on_after(0.05):
            await connection.run(select_one, timeout_s=0.2)
        assert 0.2 <= trio.current_time() - start < 0.2 + 0.2 + BUSY_S


async def test_connect_cancelled_leaves_no_connection(
    database_dsn: str, postgres: PostgresServer
) -> None:
    """A connect that is cancelled ends at once, also while the server is frozen."""
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


# --- connecting ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dsn", "reason"),
    [
        ("postgresql://u:secret@127.0.0.1:1/x", "x at 127.0.0.1:1"),
        ("postgresql://u:secret@host.invalid/x", "x at host.invalid"),
        ("postgresql://u:secret@/x?host=/nowhere", "x at /nowhere"),
        ("postgresql://u:secret@127.0.0.1:port/x", "malformed"),
        ("http://u:secret@127.0.0.1/x", "malformed"),
        ("", "malformed"),
    ],
)
async def test_connect_to_nowhere(dsn: str, reason: str) -> None:
    """A wrong DSN gives one line that says where, and never the password."""
    async with open_database(dsn, connect_timeout_s=3, log=quiet_log()) as database:
        with pytest.raises(DatabaseUnavailable) as caught:
            await database.connect(name="test")
    text = str(caught.value)
    assert reason in text
    assert "secret" not in text
    assert "\n" not in text


async def test_connect_to_a_missing_database(database_dsn: str) -> None:
    """A refusal of the server gives its reason in one line."""
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
    """What could not hold every name is refused at once, and the way out told."""
    name = f"in_{encoding.lower()}"
    make = f"create database {name} template template0 encoding {encoding} locale 'C'"
    await run_script(postgres.dsn, lambda session: session.execute(make))
    async with open_database(with_database(postgres.dsn, name), log=quiet_log()) as database:
        with pytest.raises(DatabaseUnavailable, match=f"is {encoding}: .*createdb --encoding=UTF8"):
            await database.connect(name="test")


async def test_connect_after_the_block(database_dsn: str) -> None:
    """A database whose block has been left gives no more connections."""
    async with open_database(database_dsn, log=quiet_log()) as database:
        pass
    with pytest.raises(DatabaseUnavailable, match="is closed"):
        await database.connect(name="late")


async def test_connect_that_fails_half_way(
    database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that cannot be prepared for use is dropped again."""
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
    """A host name whose resolution hangs holds up neither the connect nor leaving the block."""
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


# --- notifications ---------------------------------------------------------------------------


async def test_listen_gets_payloads(database_dsn: str) -> None:
    """Payloads arrive in order, in Trio's world, while the connection runs scripts as well."""
    send, receive = trio.open_memory_channel[str](10)
    async with connected(database_dsn) as (database, connection):
        await connection.listen("due", send.send_nowait)
        other = await database.connect(name="other")
        for payload in ("a", "b"):
            await other.run(lambda s, p=payload: s.execute("select pg_notify('due', $1)", p))
            assert await connection.run(select_one) == 1
        with trio.fail_after(5):
            assert [await receive.receive(), await receive.receive()] == ["a", "b"]


async def test_listen_callback_that_fails_is_logged(database_dsn: str) -> None:
    """A callback's failure is logged, and ends neither the connection nor the program."""
    capture = LogCapture()
    called = trio.Event()

    def fail(payload: str) -> None:
        called.set()
        raise LookupError(payload)

    async with open_database(database_dsn, log=quiet_log(capture)) as database:
        connection = await database.connect(name="test")
        await connection.listen("due", fail)
        await connection.run(lambda s: s.execute("notify due, 'x'"))
        with trio.fail_after(5):
            await called.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert await connection.run(select_one) == 1
    assert [entry["event"] for entry in capture.entries] == ["notification_failed"]


async def test_loop_error_is_logged(database_dsn: str) -> None:
    """A complaint of the asyncio side is logged instead of ending the program."""
    capture = LogCapture()

    async def script(_session: Session) -> None:
        import asyncio  # noqa: PLC0415 - a script is asyncio's, a test module is Trio's

        loop = asyncio.get_running_loop()
        loop.call_exception_handler({"message": "strange", "exception": LookupError("x")})

    async with open_database(database_dsn, log=quiet_log(capture)) as database:
        connection = await database.connect(name="test")
        await connection.run(script)
        assert await connection.run(select_one) == 1
    assert [(entry["event"], entry["message"]) for entry in capture.entries] == [
        ("database_loop_error", "strange")
    ]


def test_frozen_processes_are_thawed() -> None:
    """The tests' own helper freezes, and never leaves a frozen process behind."""
    with subprocess.Popen(["sleep", "60"]) as process:
        with frozen(process.pid):
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
        _, status = os.waitpid(process.pid, os.WCONTINUED)
        assert os.WIFCONTINUED(status)
        process.kill()
