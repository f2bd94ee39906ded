"""The PostgreSQL engine when connections are lost, or the database is away or unable for now."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.database.errors import AlreadyServed
from actors.storage import (
    Conflict,
    Create,
    Duplicate,
    Operation,
    Orphaned,
    Read,
    Rejected,
    StorageError,
    StorageSettings,
)
from actors.storage.engine import EngineUnavailable
from actors.storage.mark import unset_mark
from bus import ActorStopped, Overloaded
from tests.actors.storage.conftest import postgres_engine
from tests.actors.storage.sabotage import KILL_SELF, Strike, kill, sabotaged
from tests.actors.storage.support import (
    FOREVER_S,
    Running,
    make_account,
    new_entry,
    new_id,
    new_inventory,
    new_world,
    outcome_of,
    running_storage,
    tick,
    world,
)
from tests.postgres import PostgresServer, run_script

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.database.driver import Session
    from actors.storage.postgres import PostgresEngine

FULL = "do $$ begin raise 'not now' using errcode = '53100'; end $$"


async def logged(running: Running, event: str) -> None:
    """Wait until Storage has logged an event; the log notifies nobody."""
    while event not in running.events():  # noqa: ASYNC110
        await trio.sleep(0.01)


async def committed(engine: PostgresEngine, operation: Operation) -> StorageError | None:
    """Commit as Storage does: retry if the end of a connection was not noticed before."""
    try:
        [outcome] = await engine.commit([(operation,)])
    except EngineUnavailable:
        [outcome] = await engine.commit([(operation,)])
    return outcome


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
    """Lost before, in or just after the commit: retried, the batch has taken effect once."""
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
    """If units went one by one, the batch still has one commit, and all outcomes are kept."""
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
    """A batch that is one statement is in doubt from its start; retried, it is there once."""
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
    """A batch in doubt that was given up says nothing about the next one."""
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
    """If another server has written meanwhile, nothing is repeated or called a success."""
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


async def test_connection_lost_while_another_server_wrote_is_told(database_dsn: str) -> None:
    """A holder of cached state learns that it is stale, and learns it once."""
    name, told = new_id(), list[str]()
    async with sabotaged(database_dsn, on_elsewhere=lambda: told.append(name)) as (engine, _):
        assert await engine.commit([(new_world(name),)]) == [None]
        assert await kill(database_dsn) == 1
        async with postgres_engine(database_dsn) as other:
            assert await other.commit([(tick(name, 1, version=1),)]) == [None]
        assert not told
        assert isinstance(await committed(engine, tick(name, 1, version=1)), Conflict)
        assert told == [name]
        assert await kill(database_dsn) == 1
        assert await committed(engine, tick(name, 2, version=2)) is None
    assert told == [name]


async def test_connection_lost_while_the_world_ended_is_fatal(database_dsn: str) -> None:
    """Nothing of it is written to where another world is to begin, however often it is tried."""
    name, told = new_id(), list[str]()
    async with sabotaged(database_dsn, on_elsewhere=lambda: told.append(name)) as (engine, _):
        assert await engine.commit([(new_world(name),)]) == [None]
        assert await kill(database_dsn) == 1
        await run_script(database_dsn, unset_mark)
        for attempt in range(1, 4):
            with pytest.raises(LookupError, match="the world was ended"):
                await committed(engine, new_world(new_id()))
            assert len(told) == attempt
            await engine.aclose()
            engine.forget()
    async with postgres_engine(database_dsn) as other:
        assert await other.commit([(tick(name, 1, version=1),)]) == [None]


async def test_connection_lost_to_another_server_is_told(database_dsn: str) -> None:
    """A holder of cached state learns that another server may change it, before it does."""
    name, told = new_id(), list[str]()
    async with sabotaged(database_dsn, on_elsewhere=lambda: told.append(name)) as (engine, _):
        assert await engine.commit([(new_world(name),)]) == [None]
        assert await kill(database_dsn) == 1
        async with postgres_engine(database_dsn) as other:
            await other.open()
            with pytest.raises(AlreadyServed):
                await engine.commit([(tick(name, 1, version=1),)])
            assert told == [name]
        assert await engine.commit([(tick(name, 1, version=1),)]) == [None]
    assert told == [name]


@pytest.mark.parametrize("strike", [Strike.BEFORE, Strike.INSIDE, Strike.AFTER, Strike.FULL])
@pytest.mark.parametrize("forgets", [True, False])
async def test_connection_lost_without_another_server_is_not_told_as_one(
    database_dsn: str, strike: Strike, forgets: bool
) -> None:
    """A commit in doubt is this server's own, whatever became of it and whoever asks."""
    name, told = new_id(), list[str]()
    async with sabotaged(database_dsn, on_elsewhere=lambda: told.append(name)) as (
        engine,
        saboteur,
    ):
        assert await engine.commit([(new_world(name),)]) == [None]
        saboteur.strikes.append(strike)
        with pytest.raises(EngineUnavailable):
            await engine.commit([(tick(name, 1),)])
        if forgets:
            engine.forget()
        await engine.commit([(tick(name, 1),)])
        await engine.commit([(new_world(new_id()),)])
    assert not told


async def test_connection_lost_again_and_again_is_resolved_at_last(database_dsn: str) -> None:
    """Storage retries until it knows; the caller sees only the result."""
    name = new_id()
    async with sabotaged(database_dsn) as (engine, saboteur), running_storage(engine) as running:
        await running.client.commit(new_world(name))
        for value, strike in enumerate([Strike.AFTER, Strike.BEFORE, Strike.AFTER], 1):
            saboteur.strikes.append(strike)
            await running.client.commit(tick(name, value, version=value))
            assert await world(database_dsn, name) == (value, value + 1)
        assert running.events().count("database_away") == 3


async def test_connection_killed_under_load_loses_and_repeats_nothing(database_dsn: str) -> None:
    """With random kills under load, every answered unit is there, exactly once."""
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
            # Storage connects when there is work, and there is until the last kill.
            number = 0
            while number < rounds or not over.is_set():
                number += 1
                await running.client.commit(
                    tick(account, number, version=number), new_entry(account, number)
                )
            played[account] = number

        async def harass() -> None:
            killed = 0
            # A kill of an idle connection goes unnoticed.
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
    """With PostgreSQL frozen a commit ends at its timeout; once thawed, it took effect once."""
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
    """A reader learns in time that the database is away, and nobody waits longer."""
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
    """Let nobody connect to a database, and throw out everyone in it.

    They are gone when it yields: a commit sent to one on its way out is in doubt, and
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
    """During an outage units wait, then are Overloaded; when it ends all goes on."""
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
    """A full disk has done nothing; the outcome of an externally ended statement is checked."""
    name = new_id()
    async with sabotaged(database_dsn) as (engine, saboteur):
        saboteur.strikes.append(strike)
        with pytest.raises(EngineUnavailable, match="not now") as caught:
            await engine.commit([(new_world(name),)])
        assert caught.value.in_doubt is in_doubt
        assert await engine.commit([(new_world(name),)]) == [None]
    assert await world(database_dsn, name) == (0, 1)


@pytest.mark.parametrize(
    "victim",
    ["begin", "update last_commit set mark = $1 where singleton returning ctid", "savepoint unit"],
)
async def test_savepoints_that_the_server_cannot_do_now_are_given_again(
    database_dsn: str, victim: str
) -> None:
    """No unit is rejected for a full disk, even if the units went one by one."""
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
    """After a failover Storage finds the writable database, without a restart."""
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
    """A certain refusal does not wait forever: the caller learns that nothing was done."""
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
    """A cancelled Storage never cancels a commit: PostgreSQL has all of it, or nothing."""
    name = new_id()
    async with sabotaged(database_dsn) as (engine, saboteur):
        saboteur.strikes.append(Strike.SLOW)
        async with running_storage(engine) as running:
            _, result = running.client.submit(new_world(name), new_entry(name, 1))
            await wait_all_tasks_blocked(0.05)
        assert await outcome_of(result) in {None, ActorStopped}
    assert await world(database_dsn, name) == (0, 1)
