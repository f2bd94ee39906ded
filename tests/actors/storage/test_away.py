"""Storage while its database is away: what waits, for how long, and how often it retries."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import trio

from actors.storage import Read, StorageSettings
from bus import Overloaded
from tests.actors.storage.support import (
    FOREVER_S,
    FlakyEngine,
    new_id,
    new_world,
    outcome_of,
    running_storage,
    submit,
    world_ticks,
)

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_away_database_units_wait_and_are_committed_when_it_is_back(
    autojump_clock: MockClock,
) -> None:
    """A short outage costs time and nothing else."""
    engine = FlakyEngine()
    async with running_storage(engine) as running:
        engine.away = True
        pending = [submit(running, new_world(f"{n}", n)) for n in range(3)]
        await trio.sleep(2)
        engine.away = False
        for each in pending:
            await each.wait(FOREVER_S)
        assert await world_ticks(running, "0", "1", "2") == [0, 1, 2]
        assert "database_away" in running.events()


async def test_away_database_is_asked_by_readers_with_growing_pauses(
    autojump_clock: MockClock,
) -> None:
    """Reads during an outage neither raise the retry rate nor fill the log."""
    engine = FlakyEngine()
    async with running_storage(engine, StorageSettings(read_workers=1)) as running:
        engine.away = True
        for _ in range(20):
            with pytest.raises(Overloaded):
                await running.client.read(Read("world"))
        events = running.events()
        engine.away = False
        assert await running.client.read(Read("world")) == [[]]
        assert running.events()[-1] == "database_back"
    # Each waits for three seconds, some more than a second apart on average.
    assert 60 <= events.count("database_still_away") <= 140
    assert events.count("database_away") == 1


async def test_away_database_is_told_again_where_nobody_asked_for_long(
    autojump_clock: MockClock,
) -> None:
    """A worker idle between two outages reports both."""
    engine = FlakyEngine()
    async with running_storage(engine, StorageSettings(read_workers=1)) as running:
        for _ in range(2):
            engine.away = True
            with pytest.raises(Overloaded):
                await running.client.read(Read("world"))
            engine.away = False
            await trio.sleep(7_200)
        await running.client.read(Read("world"))
        assert running.events().count("database_away") == 2
        [back] = [each for each in running.log.entries if each["event"] == "database_back"]
        assert 2 <= back["seconds"] <= 4


async def test_away_database_is_asked_with_growing_pauses(autojump_clock: MockClock) -> None:
    """The pauses between attempts grow to a second, with jitter, and never spin."""
    engine = FlakyEngine()
    async with running_storage(engine, StorageSettings(wait_seconds_max=15)) as running:
        engine.away = True
        assert await outcome_of(submit(running, new_world("unit"))) is Overloaded
    times = [at for at, _ in engine.attempts]
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses[0] <= 0.05
    assert all(0.5 <= pause <= 1.0 for pause in pauses[6:])
    assert len(set(pauses)) == len(pauses)


async def test_away_database_past_the_bound_units_are_overloaded(
    autojump_clock: MockClock,
) -> None:
    """A unit waits wait_seconds_max plus at most one pause, in flight or in the queue."""
    engine = FlakyEngine()
    settings = StorageSettings(wait_seconds_max=3, batch_units_max=1)
    async with running_storage(engine, settings) as running:
        engine.away = True
        began = trio.current_time()
        ended: list[tuple[object, float]] = []

        async def commit() -> None:
            outcome = await outcome_of(submit(running, new_world(new_id())))
            ended.append((outcome, trio.current_time() - began))

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(commit)
        assert all(outcome is Overloaded for outcome, _ in ended)
        assert all(3 <= after <= 4 for _, after in ended)
        engine.away = False
        [rows] = await running.client.read(Read("world"))
        assert rows == []
        await running.client.commit(new_world("works again"))


async def test_away_database_a_unit_that_came_late_outlives_one_that_came_early(
    autojump_clock: MockClock,
) -> None:
    """Each unit's patience is counted from its own arrival."""
    engine = FlakyEngine()
    async with running_storage(engine, StorageSettings(wait_seconds_max=3)) as running:
        engine.away = True
        early = submit(running, new_world("early"))
        await trio.sleep(2)
        late = submit(running, new_world("late", 1))
        assert await outcome_of(early) is Overloaded
        engine.away = False
        assert await outcome_of(late) is None
        [rows] = await running.client.read(Read("world", ("name",)))
        assert rows == [{"name": "late"}]


async def test_away_database_in_doubt_never_gives_the_batch_up(autojump_clock: MockClock) -> None:
    """While a commit's outcome is unknown the same batch is retried, however long it takes."""
    engine = FlakyEngine()
    async with running_storage(engine, StorageSettings(wait_seconds_max=1)) as running:
        engine.away = engine.in_doubt = True
        in_doubt = submit(running, new_world("in doubt"))
        await trio.sleep(10)
        later = [submit(running, new_world(f"{n}")) for n in range(3)]
        assert [await outcome_of(each) for each in later] == [Overloaded] * 3
        engine.away = False
        assert await outcome_of(in_doubt) is None
    assert {size for _, size in engine.attempts} == {1}
    assert len(engine.attempts) > 10


async def test_away_database_queries_wait_and_are_bounded_too(autojump_clock: MockClock) -> None:
    """A query waits for the database as long as a unit does, and then is Overloaded."""
    engine = FlakyEngine()
    async with running_storage(engine, StorageSettings(wait_seconds_max=3)) as running:
        engine.away = True
        began = trio.current_time()
        with pytest.raises(Overloaded):
            await running.client.read(Read("world"))
        assert 3 <= trio.current_time() - began <= 4

        async def come_back() -> None:
            await trio.sleep(2)
            engine.away = False

        async with trio.open_nursery() as nursery:
            nursery.start_soon(come_back)
            assert await running.client.read(Read("world")) == [[]]
