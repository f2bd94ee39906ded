"""The PostgreSQL engine: one server per database, refusals, and the cost of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.database.driver import Database
from actors.database.errors import AlreadyServed, DatabaseUnavailable
from actors.storage import Conflict, Duplicate, Operation, Orphaned, Read, Rejected, Update
from tests.actors.storage.conftest import postgres_engine
from tests.actors.storage.sabotage import Strike, sabotaged
from tests.actors.storage.support import (
    FOREVER_S,
    GatedEngine,
    make_account,
    new_entry,
    new_id,
    new_inventory,
    new_world,
    running_storage,
    tick,
)
from tests.postgres import PostgresServer, run_script, with_database

if TYPE_CHECKING:
    from actors.database.driver import Connection, Session

_WRITERS = """
select pid from pg_stat_activity
where datname = current_database() and application_name = 'holdfast storage-writer'
"""


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


async def test_open_engine_opened_again_keeps_its_session(database_dsn: str) -> None:
    """A start opens it first of all, and Storage's first run again: the lock is never let go."""
    async with postgres_engine(database_dsn) as engine:
        await engine.open()
        first = await _holders(database_dsn)
        await engine.open()
        assert len(first) == 1
        assert await _holders(database_dsn) == first


async def _holders(dsn: str) -> list[int]:
    rows = await run_script(dsn, lambda session: session.fetch(_WRITERS))
    return [row["pid"] for row in rows]


async def test_engine_open_raises_what_keeps_it_from_connecting(postgres: PostgresServer) -> None:
    """A missing database is reported at the start, not at the first commit."""
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
    """A unit alone in its batch is Rejected like any other; the database checks JSON."""
    async with postgres_engine(database_dsn) as engine:
        [outcome] = await engine.commit([(new_entry(new_id(), 1, changes="{no json"),)])
        assert isinstance(outcome, Rejected)
        assert await engine.commit([(new_world(new_id()),)]) == [None]


async def test_account_erased_under_way_rejects_its_unit_alone(database_dsn: str) -> None:
    """An account that goes between load and commit takes only its own unit with it."""
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


# --------------------------------------------------------------------- what a batch costs


async def test_batch_of_many_failures_in_a_row_needs_few_transactions(database_dsn: str) -> None:
    """Units that fail one after another are not each retried: the work is bounded."""
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
    """This holds for batches of any size, and for tables that were empty when planned."""
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
            # A statement of high estimated cost would be compiled, each time.
            compiles: str = await session.fetchval("show jit")
            return plans["custom"], plans["generic"], scans, compiles

        assert engine._writer is not None
        assert await engine._writer.run(look) == (0, 16, 0, "off")


_HISTORY = """
insert into orders
select gen_random_uuid(), account_id, seq, 'a', 'k', 'q', null, 1, 0, '{}', '[1, 1]', 1,
    case when seq <= 20 then 'completed' else 'queued' end, 0, null, null, 1
from unnest($1::uuid[]) as account_id, generate_series(1, 23) as seq
order by seq
"""


async def test_pending_orders_are_read_without_those_ever_placed(postgres: PostgresServer) -> None:
    """However often many accounts are read, nothing is read of what they finished long ago."""
    accounts = tuple(new_id() for _ in range(2_000))
    some = accounts[:256]
    states = ("queued", "running")

    async def look(session: Session) -> tuple[int, int]:
        await session.fetchval("select pg_stat_force_next_flush()")
        row = await session.fetchrow(
            "select sum(idx_tup_read)::int as all, max(idx_scan)::int as scans"
            " from pg_stat_user_indexes where indexrelname = 'orders_account_seq'"
        )
        assert row is not None
        return row["all"], row["scans"]

    async with postgres_engine(await postgres.create_database_async()) as engine:
        await engine.open()
        assert engine._writer is not None
        await engine._writer.run(lambda session: session.execute(_HISTORY, accounts))
        await engine._writer.run(lambda session: session.execute("vacuum (analyze) orders"))
        for _ in range(8):
            read = Read("orders", within={"account_id": some, "state": states})
            [rows] = await engine.read([read])
            assert len(rows) == 3 * len(some)
        [reader] = [each for each in engine._idle_readers if each is not None]
        assert await reader.run(look) == (0, 0)


async def test_reader_that_was_not_made_ready_is_not_kept(
    database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read given up as soon as it has connected leaves no reader that plans otherwise."""
    connect = Database.connect
    giving_up = trio.CancelScope()

    async def connect_and_give_up(self: Database, *, name: str) -> Connection:
        connection = await connect(self, name=name)
        giving_up.cancel()
        return connection

    async with postgres_engine(database_dsn) as engine:
        with monkeypatch.context() as patch, giving_up:
            patch.setattr(Database, "connect", connect_and_give_up)
            await engine.read([Read("world", limit=1)])
        assert giving_up.cancelled_caught
        await engine.read([Read("world", limit=1)])
        [reader] = [each for each in engine._idle_readers if each is not None]
        mode = await reader.run(lambda session: session.fetchval("show plan_cache_mode"))
    assert mode == "force_custom_plan"


async def test_reads_that_differ_in_one_value_are_one_statement(database_dsn: str) -> None:
    """Any number of accounts is loaded by one statement for each form of read."""
    accounts = [new_id() for _ in range(50)]
    async with sabotaged(database_dsn) as (engine, saboteur):
        await engine.commit([(new_entry(account, n),) for account in accounts for n in range(1, 3)])
        await engine.read([Read("world", limit=1)])  # connects a reader
        saboteur.statements.clear()
        reads = [
            Read("ledger", where={"account_id": account}, order_by="seq") for account in accounts
        ]
        answers = await engine.read([*reads, Read("world", limit=1), *reversed(reads)])
        assert len(saboteur.statements) == 2
    del answers[50]
    for account, rows in zip([*accounts, *reversed(accounts)], answers, strict=True):
        assert [(row["account_id"], row["seq"]) for row in rows] == [(account, 1), (account, 2)]


async def test_group_commit_on_a_real_database_takes_what_waits(database_dsn: str) -> None:
    """Units that come during a real commit form exactly the next two commits, half in each."""
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
    assert [len(batch) for batch in counted.batches] == [1, 51, 49]
