"""The driver against a real PostgreSQL: values, transactions, errors, turns, and notifications."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from structlog.testing import LogCapture

from actors.database.driver import Connection, open_database
from actors.database.dsn import describe_dsn
from actors.database.errors import (
    CheckViolation,
    ConnectionLost,
    ForeignKeyViolation,
    StatementError,
    TransientError,
    UniqueViolation,
)
from tests.actors.database.support import connected, select_one
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from actors.database.session import Session

ID_1 = "019a5c00-0000-7000-8000-000000000001"
ID_2 = "019a5c00-0000-7000-8000-000000000002"


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
    """Written values come back equal and of the same Python type."""
    async with connected(database_dsn) as (_, connection):
        back = await connection.run(lambda s: s.fetchval(f"select $1::{sql_type}", value))
    assert back == value
    assert type(back) is type(value)


async def test_session_sum_of_bigint_is_int(database_dsn: str) -> None:
    """A sum, which PostgreSQL returns as numeric, reads as an int."""
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
    """An exception raised by the script itself rolls back and passes through unchanged."""

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
    """A refused row raises an error of its own kind that names the constraint."""
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
    """Any other refusal, even the driver's own, is a StatementError; the connection survives."""
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
    """Work that the server, or its replacement, may do later is retried on a new connection."""
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
    """A script that can handle the error goes on, on the same connection."""

    async def script(session: Session) -> int:
        with pytest.raises(TransientError) as caught:
            await session.execute("do $$ begin raise 'locked' using errcode = '55P03'; end $$")
        assert caught.value.sqlstate == "55P03"
        return await select_one(session)

    async with connected(database_dsn) as (_, connection):
        assert await connection.run(script) == 1
        assert not connection.closed


async def test_run_in_order_of_calls(database_dsn: str) -> None:
    """Scripts from many tasks run on one connection, one after the other."""
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


# --- notifications ---------------------------------------------------------------------------


async def test_listen_gets_payloads(database_dsn: str) -> None:
    """Payloads arrive in order, on Trio's side, while the connection also runs scripts."""
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
    """A failing callback is logged, and ends neither the connection nor the program."""
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
    """An error from the asyncio side is logged and does not end the program."""
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
