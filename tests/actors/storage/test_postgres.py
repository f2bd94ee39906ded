"""The PostgreSQL engine when the database refuses, goes away, or loses a connection."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.database.driver import Database, open_database
from actors.database.errors import AlreadyServed, DatabaseUnavailable
from actors.storage import (
    Conflict,
    Create,
    Duplicate,
    Operation,
    Orphaned,
    Read,
    Rejected,
    StorageSettings,
    Update,
)
from actors.storage.engine import EngineUnavailable
from actors.storage.postgres import PostgresEngine
from actors.storage.schema import declared_tables
from bus import ActorStopped, Overloaded
from tests.actors.storage.conftest import postgres_engine
from tests.actors.storage.support import (
    FOREVER_S,
    GatedEngine,
    Running,
    new_entry,
    new_id,
    new_inventory,
    new_world,
    outcome_of,
    running_storage,
)
from tests.postgres import PostgresServer, quiet_log, run_script, with_database

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from actors.database.driver import Connection, Script, Session
    from actors.database.session import T

_ACCOUNT = """
insert into accounts (account_id, username, username_key, password_hash, created_at)
values ($1, $1::uuid::text, $1::uuid::text, 'x', now())
"""

_KILL = """
select count(pg_terminate_backend(pid)) from pg_stat_activity
where application_name = $1 and datname = current_database()
"""

KILL_SELF = "select pg_terminate_backend(pg_backend_pid())"

_FAIL = """
create function pg_temp.fail(code text) returns int language plpgsql as
$$ begin raise 'not now' using errcode = code; end $$
"""
FULL = "do $$ begin raise 'not now' using errcode = '53100'; end $$"


class Strike(Enum):
    """What befalls a commit that is one statement."""

    BEFORE = "the connection is lost before it"
    INSIDE = "the connection is lost in it"
    AFTER = "the connection is lost before it is confirmed"
    SLOW = "it takes a fifth of a second"
    SLOWER = "it takes half a minute"
    FULL = "the disk is full"
    LATE = "it takes longer than the server lets it"


async def kill(dsn: str, name: str = "holdfast storage-writer") -> int:
    """Terminate the backends of that name; give how many there were."""
    count: int = await run_script(dsn, lambda session: session.fetchval(_KILL, name))
    return count


async def make_account(dsn: str) -> str:
    """Make an account, which an inventory needs."""
    account = new_id()
    await run_script(dsn, lambda session: session.execute(_ACCOUNT, account))
    return account


class Saboteur:
    """A database whose connections run, once, other SQL than they were told.

    ``instead`` is by the statement, ``strikes`` are for the next commits of one statement.
    """

    def __init__(self, inner: Database) -> None:
        self.inner = inner
        self.instead: dict[str, str] = {}
        self.strikes: list[Strike] = []
        self.statements: list[str] = []

    async def connect(self, *, name: str, settings: Mapping[str, str] | None = None) -> Connection:
        """Connect, and get between the connection and its scripts."""
        connection = await self.inner.connect(name=name, settings=settings)
        return cast("Connection", SabotagedConnection(connection, self))


class SabotagedConnection:
    """A connection whose sessions are tampered with."""

    def __init__(self, inner: Connection, saboteur: Saboteur) -> None:
        self._inner = inner
        self._saboteur = saboteur

    def __getattr__(self, name: str) -> Any:
        """Leave all else as it is."""
        return getattr(self._inner, name)

    async def run(self, script: Script[T], *, timeout_s: float = 5.0) -> T:
        """Run the script on a session that is tampered with."""

        async def tampered(session: Session) -> T:
            return await script(cast("Session", SabotagedSession(session, self._saboteur)))

        return await self._inner.run(tampered, timeout_s=timeout_s)


class SabotagedSession:
    """A session that runs something else instead of what it was told, once."""

    def __init__(self, inner: Session, saboteur: Saboteur) -> None:
        self._inner = inner
        self._saboteur = saboteur

    def __getattr__(self, name: str) -> Any:
        """Leave all else as it is."""
        return getattr(self._inner, name)

    async def execute(self, sql: str, *args: object) -> str:
        """Run the statement, or what is to be run instead."""
        self._saboteur.statements.append(sql)
        instead = self._saboteur.instead.pop(sql, None)
        if instead is None:
            return await self._inner.execute(sql, *args)
        return await self._inner.execute(instead)

    async def fetch(self, sql: str, *args: object) -> Any:
        """Run the query, or let something befall it."""
        self._saboteur.statements.append(sql)
        strikes = self._saboteur.strikes if "last_commit" in sql else []
        strike = strikes.pop(0) if strikes else None
        match strike:
            case Strike.BEFORE:
                await self._inner.execute(KILL_SELF)
            case Strike.INSIDE:
                sql = _with(sql, f"({KILL_SELF})::int")
            case Strike.SLOW:
                sql = _with(sql, "(select count(*) from pg_sleep(0.2))")
            case Strike.SLOWER:
                sql = _with(sql, "(select count(*) from pg_sleep(30))")
            case Strike.FULL | Strike.LATE:
                await self._inner.execute(_FAIL)
                code = "53100" if strike is Strike.FULL else "57014"
                sql = _with(sql, f"pg_temp.fail('{code}')")
            case _:
                pass
        rows = await self._inner.fetch(sql, *args)
        if strike is Strike.AFTER:
            await self._inner.execute(KILL_SELF)
        return rows


def _with(sql: str, extra: str) -> str:
    """Add a number to what a statement selects."""
    head, _, last = sql.rpartition(" select 1 / ")
    return f"{head} select {extra} + 1 / {last}"


@asynccontextmanager
async def sabotaged(
    dsn: str, *, query_timeout_s: float = 10
) -> AsyncGenerator[tuple[PostgresEngine, Saboteur]]:
    """Make an engine on a database that can be sabotaged."""
    async with open_database(dsn, log=quiet_log()) as database:
        saboteur = Saboteur(database)
        engine = PostgresEngine(
            cast("Database", saboteur),
            declared_tables(),
            read_connections=1,
            query_timeout_s=query_timeout_s,
            log=quiet_log(),
        )
        await engine.open()
        yield engine, saboteur
        await engine.aclose()


def tick(name: str, value: int, version: int | None = None) -> Update:
    """Make an update of a world."""
    return Update("world", {"name": name}, {"tick": value}, version)


async def logged(running: Running, event: str) -> None:
    """Wait until Storage has logged an event; the log tells nobody when."""
    while event not in running.events():  # noqa: ASYNC110
        await trio.sleep(0.01)


async def world(dsn: str, name: str) -> tuple[int, int] | None:
    """Look past the engine: the tick and version of a world."""
    sql = "select tick, version from world where name = $1"
    row = await run_script(dsn, lambda session: session.fetchrow(sql, name))
    return None if row is None else (row["tick"], row["version"])


# --------------------------------------------------------------------- one server


async def test_engine_refuses_a_database_that_another_one_serves(database_dsn: str) -> None:
    """The second engine on one database cannot open; once the first has gone, it can."""
    async with postgres_engine(database_dsn) as second:
        async with postgres_engine(database_dsn) as first:
            await first.open()
            with pytest.raises(AlreadyServed, match="storage-writer"):
                await second.open()
            assert await first.commit([(new_world(new_id()),)]) == [None]
        await second.open()


async def test_engine_open_raises_what_keeps_it_from_connecting(postgres: PostgresServer) -> None:
    """A database that is not there is told at the start, not at the first commit."""
    async with postgres_engine(with_database(postgres.dsn, "nowhere")) as engine:
        with pytest.raises(DatabaseUnavailable, match="nowhere"):
            await engine.open()


# --------------------------------------------------------------------- refusals


async def test_batch_unit_that_the_database_rejects_fails_alone(database_dsn: str) -> None:
    """An erased account's unit is Orphaned, one outside a check Rejected; the others commit."""
    account, erased = await make_account(database_dsn), new_id()
    names = [new_id() for _ in range(3)]
    there = new_id()
    async with postgres_engine(database_dsn) as engine:
        assert await engine.commit([(new_world(there),)]) == [None]
        outcomes = await engine.commit([
            (new_world(names[0]),),
            (new_inventory(erased), new_entry(erased, 1)),
            (new_inventory(account), new_world(names[1])),
            (new_world(new_id(), -1),),
            (tick(there, 1, version=9),),
            (new_world(there),),
            (tick(there, 5, version=1), new_world(names[2])),
        ])  # fmt: skip
        rows = await engine.read(
            [
                Read("world", ("name",), within={"name": (*names, there)}),
                Read("inventories", where={"account_id": account}),
                Read("ledger", where={"account_id": erased}),
            ]
        )
    assert [type(outcome) for outcome in outcomes] == [
        type(None), Orphaned, type(None), Rejected, Conflict, Duplicate, type(None),
    ]  # fmt: skip
    assert "inventories_account_id_fkey" in str(outcomes[1])
    assert "world_tick" in str(outcomes[3])
    assert {row["name"] for row in rows[0]} == {*names, there}
    assert [len(found) for found in rows[1:]] == [1, 0]


async def test_lone_unit_that_the_database_rejects(database_dsn: str) -> None:
    """A unit alone in its batch is Rejected like any other; JSON is checked by the database."""
    async with postgres_engine(database_dsn) as engine:
        [outcome] = await engine.commit([(new_entry(new_id(), 1, changes="{no json"),)])
        assert isinstance(outcome, Rejected)
        assert await engine.commit([(new_world(new_id()),)]) == [None]


async def test_account_erased_under_way_rejects_its_unit_alone(database_dsn: str) -> None:
    """An account that goes between load and commit takes its own unit with it, nobody else's."""
    account, other = await make_account(database_dsn), await make_account(database_dsn)
    async with postgres_engine(database_dsn) as engine:
        assert await engine.commit([(new_inventory(account),), (new_inventory(other),)]) == [
            None,
            None,
        ]
        await run_script(
            database_dsn,
            lambda session: session.execute("delete from accounts where account_id = $1", account),
        )
        outcomes = await engine.commit([
            (Update("inventories", {"account_id": account}, {"at_ms": 1}, 1),),
            (Update("inventories", {"account_id": other}, {"at_ms": 1}, 1),),
        ])  # fmt: skip
    assert [type(outcome) for outcome in outcomes] == [Conflict, type(None)]


async def test_batch_of_many_failures_in_a_row_needs_few_transactions(database_dsn: str) -> None:
    """Units that fail one behind the other are not tried again each time: the work is bounded."""
    name = new_id()
    async with sabotaged(database_dsn) as (engine, saboteur):
        assert await engine.commit([(new_world(name),)]) == [None]
        saboteur.statements.clear()
        outcomes = await engine.commit([(tick(name, n, version=99),) for n in range(50)])
        assert all(isinstance(outcome, Conflict) for outcome in outcomes)
        assert saboteur.statements.count("begin") <= 5
        assert saboteur.statements.count("commit") == 1


async def test_batch_is_one_statement(database_dsn: str) -> None:
    """A batch of many units costs one statement, however many; it is its own transaction."""
    async with sabotaged(database_dsn) as (engine, saboteur):
        saboteur.statements.clear()
        units: list[tuple[Operation, ...]] = [
            (new_world(new_id()), new_entry(new_id(), 1)) for _ in range(200)
        ]
        assert await engine.commit(units) == [None] * 200
        assert len(saboteur.statements) == 1


async def test_batch_is_planned_once_and_finds_its_rows_by_their_keys(
    postgres: PostgresServer,
) -> None:
    """Whatever the size of batches, and though the tables were empty when they were planned."""
    async with postgres_engine(await postgres.create_database_async()) as engine:
        await engine.open()
        for size in (1, 50, 3, 20, 7, 1, 2, 9):
            names = [new_id() for _ in range(size)]
            assert await engine.commit([(new_world(name),) for name in names]) == [None] * size
            assert await engine.commit([(tick(name, 1),) for name in names]) == [None] * size

        async def look(session: Session) -> tuple[int, int, int, str]:
            await session.fetchval("select pg_stat_force_next_flush()")
            plans = await session.fetchrow(
                "select sum(custom_plans)::int as custom, sum(generic_plans)::int as generic"
                " from pg_prepared_statements where statement like 'with s0 %'"
            )
            assert plans is not None
            scans: int = await session.fetchval(
                "select sum(seq_scan)::int from pg_stat_user_tables"
                " where relname in ('world', 'last_commit')"
            )
            # What costs much on paper would be compiled, each time.
            compiles: str = await session.fetchval("show jit")
            return plans["custom"], plans["generic"], scans, compiles

        assert engine._writer is not None
        assert await engine._writer.run(look) == (0, 16, 0, "off")


async def test_reads_that_differ_in_one_value_are_one_statement(database_dsn: str) -> None:
    """Any number of accounts is loaded by one statement for each form of read."""
    accounts = [new_id() for _ in range(50)]
    async with sabotaged(database_dsn) as (engine, saboteur):
        await engine.commit([(new_entry(account, n),) for account in accounts for n in range(1, 3)])
        saboteur.statements.clear()
        reads = [
            Read("ledger", where={"account_id": account}, order_by="seq") for account in accounts
        ]
        answers = await engine.read([*reads, Read("world", limit=1), *reversed(reads)])
        assert len(saboteur.statements) == 2
    del answers[50]
    for account, rows in zip([*accounts, *reversed(accounts)], answers, strict=True):
        assert [(row["account_id"], row["seq"]) for row in rows] == [(account, 1), (account, 2)]


# --------------------------------------------------------------------- lost connections


async def test_connection_lost_while_idle_is_replaced(database_dsn: str) -> None:
    """A connection that died between two commits costs nobody anything."""
    name = new_id()
    async with postgres_engine(database_dsn) as engine, running_storage(engine) as running:
        await running.client.commit(new_world(name))
        await running.client.read(Read("world", where={"name": name}))
        assert await kill(database_dsn) == 1
        assert await kill(database_dsn, "holdfast storage-reader") == 1
        await running.client.commit(tick(name, 1, version=1))
        [[row]] = await running.client.read(Read("world", where={"name": name}))
        assert (row["tick"], row["version"]) == (1, 2)


@pytest.mark.parametrize(
    ("victim", "instead", "in_doubt"),
    [
        ("begin", KILL_SELF, False),
        ("commit", KILL_SELF, True),
        ("commit", f"{KILL_SELF}; commit", True),
        ("commit", f"commit; {KILL_SELF}", True),
    ],
)
async def test_connection_lost_around_the_commit_applies_the_batch_exactly_once(
    database_dsn: str, victim: str, instead: str, in_doubt: bool
) -> None:
    """Lost before, in or just after the commit: given again, the batch has taken effect once."""
    name, other, account = new_id(), new_id(), new_id()
    units: list[tuple[Operation, ...]] = [
        (tick(name, 1),),
        (Create("world", {**new_world(name).values}),),
        (tick(name, 2, version=2), new_entry(account, 1)),
        (tick(other, 7, version=5),),
    ]
    async with sabotaged(database_dsn) as (engine, saboteur):
        assert await engine.commit([(new_world(name),), (new_world(other),)]) == [None, None]
        saboteur.instead[victim] = instead
        with pytest.raises(EngineUnavailable) as caught:
            await engine.commit(units)
        assert caught.value.in_doubt is in_doubt
        outcomes = await engine.commit(units)
    assert [type(outcome) for outcome in outcomes] == [
        type(None), Duplicate, type(None), Conflict,
    ]  # fmt: skip
    assert await world(database_dsn, name) == (2, 3)
    assert await world(database_dsn, other) == (0, 1)


async def test_connection_lost_in_the_commit_of_savepoints_applies_once(
    database_dsn: str,
) -> None:
    """Also where the units went one by one, the batch has one commit, and all outcomes are kept."""
    account = await make_account(database_dsn)
    name = new_id()
    units: list[tuple[Operation, ...]] = [
        (tick(name, 1),),
        (new_inventory(new_id()),),
        (new_inventory(account),),
        (tick(name, 2, version=2),),
        (new_world(name, -1),),
    ]
    async with sabotaged(database_dsn) as (engine, saboteur):
        assert await engine.commit([(new_world(name),)]) == [None]
        saboteur.instead["commit"] = f"commit; {KILL_SELF}"
        with pytest.raises(EngineUnavailable) as caught:
            await engine.commit(units)
        assert caught.value.in_doubt
        assert "savepoint unit" in saboteur.statements
        outcomes = await engine.commit(units)
    expected = [type(None), Orphaned, type(None), type(None)]
    assert [type(outcome) for outcome in outcomes[:4]] == expected
    assert isinstance(outcomes[4], Duplicate | Rejected)
    assert await world(database_dsn, name) == (2, 3)


@pytest.mark.parametrize("strike", [Strike.BEFORE, Strike.INSIDE, Strike.AFTER])
async def test_connection_lost_around_a_lone_statement_applies_it_exactly_once(
    database_dsn: str, strike: Strike
) -> None:
    """A batch that is one statement is in doubt from its start; given again, it is there once."""
    name, other = new_id(), new_id()
    units: list[tuple[Operation, ...]] = [(tick(name, 1),), (new_world(other), new_entry(other, 1))]
    async with sabotaged(database_dsn) as (engine, saboteur):
        assert await engine.commit([(new_world(name),)]) == [None]
        saboteur.strikes.append(strike)
        with pytest.raises(EngineUnavailable) as caught:
            await engine.commit(units)
        assert caught.value.in_doubt
        assert await engine.commit(units) == [None, None]
        assert await engine.commit([(tick(name, 2, version=2),)]) == [None]
    assert await world(database_dsn, name) == (2, 3)


async def test_connection_lost_in_doubt_is_forgotten_by_a_storage_that_starts_anew(
    database_dsn: str,
) -> None:
    """A batch in doubt that was given up tells nothing about the next one."""
    name = new_id()
    async with sabotaged(database_dsn) as (engine, saboteur):
        saboteur.strikes.append(Strike.AFTER)
        with pytest.raises(EngineUnavailable):
            await engine.commit([(new_world(new_id()),)])
        engine.forget()
        assert await engine.commit([(new_world(name),)]) == [None]
    assert await world(database_dsn, name) == (0, 1)


async def test_connection_lost_outcome_that_nobody_knows_is_never_guessed(
    database_dsn: str,
) -> None:
    """Where another server has written meanwhile, nothing is repeated or called a success."""
    name = new_id()
    async with sabotaged(database_dsn) as (engine, saboteur):
        assert await engine.commit([(new_world(name),)]) == [None]
        saboteur.strikes.append(Strike.AFTER)
        with pytest.raises(EngineUnavailable):
            await engine.commit([(tick(name, 1),)])
        async with postgres_engine(database_dsn) as other:
            assert await other.commit([(new_world(new_id()),)]) == [None]
        with pytest.raises(LookupError, match="another server"):
            await engine.commit([(tick(name, 1),)])
    assert await world(database_dsn, name) == (1, 2)


async def test_connection_lost_again_and_again_is_resolved_at_last(database_dsn: str) -> None:
    """Storage asks until it knows; the asker hears of nothing but the result."""
    name = new_id()
    async with sabotaged(database_dsn) as (engine, saboteur), running_storage(engine) as running:
        await running.client.commit(new_world(name))
        for value, strike in enumerate([Strike.AFTER, Strike.BEFORE, Strike.AFTER], 1):
            saboteur.strikes.append(strike)
            await running.client.commit(tick(name, value, version=value))
            assert await world(database_dsn, name) == (value, value + 1)
        assert running.events().count("database_away") == 3


async def test_connection_killed_under_load_loses_and_repeats_nothing(database_dsn: str) -> None:
    """Killed at random under load, every unit that was answered is there, and there once."""
    accounts = [new_id() for _ in range(8)]
    rounds, kills = 60, 6
    rng = random.Random(1)
    played: dict[str, int] = {}
    over = trio.Event()
    settings = StorageSettings(wait_seconds_max=60)
    async with (
        postgres_engine(database_dsn) as engine,
        running_storage(engine, settings) as running,
    ):

        async def play(account: str) -> None:
            await running.client.commit(new_world(account))
            # Storage connects when there is something to do, so there is until the last kill.
            number = 0
            while number < rounds or not over.is_set():
                number += 1
                await running.client.commit(
                    tick(account, number, version=number), new_entry(account, number)
                )
            played[account] = number

        async def harass() -> None:
            killed = 0
            # One that meets a connection with nothing under way goes unnoticed.
            while killed < kills or "database_away" not in running.events():
                await trio.sleep(rng.uniform(0, 0.1))
                killed += await kill(database_dsn)
            over.set()

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(harass)
                for account in accounts:
                    nursery.start_soon(play, account)
        [worlds, entries] = await running.client.read(
            Read("world", within={"name": tuple(accounts)}),
            Read("ledger", ("seq",), within={"account_id": tuple(accounts)}, limit=10_000),
        )
    ticks = {row["name"]: (row["tick"], row["version"]) for row in worlds}
    assert ticks == {name: (number, number + 1) for name, number in played.items()}
    assert len(entries) == sum(played.values())


async def test_server_frozen_holds_nobody_and_loses_nothing(
    postgres: PostgresServer, database_dsn: str
) -> None:
    """With PostgreSQL frozen a commit ends at its timeout; thawed, it took effect once."""
    name = new_id()
    async with (
        postgres_engine(database_dsn, query_timeout_s=0.3) as engine,
        running_storage(engine) as running,
    ):
        await running.client.commit(new_world(name))
        with postgres.frozen():
            _, result = running.client.submit(tick(name, 1, version=1))
            with trio.fail_after(2):
                await logged(running, "database_away")
        await result.wait(FOREVER_S)
    assert await world(database_dsn, name) == (1, 2)


async def test_read_of_a_frozen_server_ends_at_its_timeout(
    postgres: PostgresServer, database_dsn: str
) -> None:
    """Who reads learns that the database is away when it was told to, and nobody waits longer."""
    reads = [Read("world", limit=1)]
    async with postgres_engine(database_dsn, query_timeout_s=0.3) as engine:
        await engine.read(reads)
        began = trio.current_time()
        with postgres.frozen(), pytest.raises(EngineUnavailable):
            await engine.read(reads)
        assert trio.current_time() < began + 2


# --------------------------------------------------------------------- a database that is away


@asynccontextmanager
async def closed_database(server: PostgresServer, dsn: str) -> AsyncGenerator[None]:
    """Let nobody connect to a database, and throw out who is in it.

    They are gone when it yields: a commit that is sent to one on its way out is in doubt, and
    waits for the database as long as it takes.
    """
    name = await run_script(dsn, lambda session: session.fetchval("select current_database()"))

    async def allow(session: Session, *, whether: bool) -> None:
        await session.execute(f"alter database {name} allow_connections {whether}")

    async def throw_out(session: Session) -> None:
        await allow(session, whether=False)
        await session.execute(
            "select pg_terminate_backend(pid, 10_000) from pg_stat_activity where datname = $1",
            name,
        )

    await run_script(server.dsn, throw_out)
    try:
        yield
    finally:
        await run_script(server.dsn, lambda session: allow(session, whether=True))


async def test_database_away_units_wait_and_then_are_overloaded(
    postgres: PostgresServer, database_dsn: str
) -> None:
    """While the database is away units wait, then are Overloaded; when it is back all goes on."""
    name = new_id()
    settings = StorageSettings(wait_seconds_max=0.3)
    async with (
        postgres_engine(database_dsn) as engine,
        running_storage(engine, settings) as running,
    ):
        await running.client.commit(new_world(name))
        async with closed_database(postgres, database_dsn):
            began = trio.current_time()
            with pytest.raises(Overloaded):
                await running.client.commit(tick(name, 1))
            assert trio.current_time() - began >= 0.3
            with pytest.raises(Overloaded):
                await running.client.read(Read("world"))
        await running.client.commit(tick(name, 2, version=1))
        assert await world(database_dsn, name) == (2, 2)


async def test_database_back_in_time_commits_what_waited(
    postgres: PostgresServer, database_dsn: str
) -> None:
    """A unit that waited for the database is committed once it is back."""
    name = new_id()
    async with (
        postgres_engine(database_dsn) as engine,
        running_storage(engine, StorageSettings(wait_seconds_max=30)) as running,
    ):
        async with closed_database(postgres, database_dsn):
            _, result = running.client.submit(new_world(name))
            await logged(running, "database_away")
        await result.wait(FOREVER_S)
    assert await world(database_dsn, name) == (0, 1)


# --------------------------------------------------------------------- a database that cannot now


@pytest.mark.parametrize(("strike", "in_doubt"), [(Strike.FULL, False), (Strike.LATE, True)])
async def test_statement_that_the_server_cannot_do_now_is_given_again(
    database_dsn: str, strike: Strike, in_doubt: bool
) -> None:
    """A full disk has done nothing; a statement that was ended from outside is asked after."""
    name = new_id()
    async with sabotaged(database_dsn) as (engine, saboteur):
        saboteur.strikes.append(strike)
        with pytest.raises(EngineUnavailable, match="not now") as caught:
            await engine.commit([(new_world(name),)])
        assert caught.value.in_doubt is in_doubt
        assert await engine.commit([(new_world(name),)]) == [None]
    assert await world(database_dsn, name) == (0, 1)


@pytest.mark.parametrize(
    "victim", ["begin", "update last_commit set mark = $1 where singleton", "savepoint unit"]
)
async def test_savepoints_that_the_server_cannot_do_now_are_given_again(
    database_dsn: str, victim: str
) -> None:
    """Nobody's unit is rejected for a full disk, though the units went one by one."""
    name = new_id()
    units: list[tuple[Operation, ...]] = [(new_world(name),), (new_inventory(new_id()),)]
    async with sabotaged(database_dsn) as (engine, saboteur):
        saboteur.instead[victim] = FULL
        with pytest.raises(EngineUnavailable, match="not now") as caught:
            await engine.commit(units)
        assert not caught.value.in_doubt
        outcomes = await engine.commit(units)
    assert [type(outcome) for outcome in outcomes] == [type(None), Orphaned]
    assert await world(database_dsn, name) == (0, 1)


async def test_database_that_was_read_only_commits_what_waited_once(
    postgres: PostgresServer,
) -> None:
    """After a failover Storage finds the database that can be written to, and has not restarted."""
    dsn, name = await postgres.create_database_async(), new_id()
    async with (
        postgres_engine(dsn) as engine,
        running_storage(engine, StorageSettings(wait_seconds_max=30)) as running,
    ):
        await running.client.commit(new_world(name))
        await postgres.set_read_only(dsn, whether=True)
        assert await kill(dsn) == 1
        _, result = running.client.submit(tick(name, 1, version=1), new_entry(new_id(), 1))
        while running.storage.statistics().setbacks < 5:  # noqa: ASYNC110 - as `logged`
            await trio.sleep(0.01)
        [[row]] = await running.client.read(Read("world", where={"name": name}))
        assert row["tick"] == 0
        await postgres.set_read_only(dsn, whether=False)
        await result.wait(FOREVER_S)
        assert await world(dsn, name) == (1, 2)
        [entries] = await running.client.read(Read("ledger"))
        assert len(entries) == 1
        told = {event: running.events().count(event) for event in running.events()}
        tries = told.pop("database_still_away")
        assert tries >= 4
        assert told == {"database_away": 1, "database_back": 1}


async def test_database_that_stays_read_only_overloads_what_waits(
    postgres: PostgresServer,
) -> None:
    """What is refused for certain does not wait for ever: its asker learns that nothing is done."""
    dsn = await postgres.create_database_async()
    await postgres.set_read_only(dsn, whether=True)
    async with (
        postgres_engine(dsn) as engine,
        running_storage(engine, StorageSettings(wait_seconds_max=0.3)) as running,
    ):
        with pytest.raises(Overloaded):
            await running.client.commit(new_world(new_id()))


# --------------------------------------------------------------------- cancellation


async def test_commit_under_way_is_finished_though_storage_is_cancelled(
    database_dsn: str,
) -> None:
    """A cancelled Storage never cancels a commit: what PostgreSQL has is whole, or not there."""
    name = new_id()
    async with sabotaged(database_dsn) as (engine, saboteur):
        saboteur.strikes.append(Strike.SLOW)
        async with running_storage(engine) as running:
            _, result = running.client.submit(new_world(name), new_entry(name, 1))
            await wait_all_tasks_blocked(0.05)
        assert await outcome_of(result) in {None, ActorStopped}
    assert await world(database_dsn, name) == (0, 1)


async def test_group_commit_on_a_real_database_takes_what_waits(database_dsn: str) -> None:
    """Units that come during a real commit form exactly one next one."""
    async with sabotaged(database_dsn) as (engine, saboteur):
        counted = GatedEngine(engine)
        counted.gate.set()
        async with running_storage(counted) as running:
            saboteur.strikes.append(Strike.SLOW)
            pending = [running.client.submit(new_world(new_id()))[1]]
            await wait_all_tasks_blocked(0.02)
            pending += [running.client.submit(new_world(new_id()))[1] for _ in range(100)]
            for each in pending:
                await each.wait(FOREVER_S)
    assert [len(batch) for batch in counted.batches] == [1, 100]
