"""The world clock: counts one by one, durable first, at the pace of the monotonic clock."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import trio
from structlog.testing import LogCapture
from trio.testing import wait_all_tasks_blocked

from actors.shutdown import Phase
from actors.storage import Conflict, Create, Delete, Read, Row, StorageSettings, Update
from actors.ticker import TICKER_KEY, GetWorld, Tick, Ticker, World
from bus import ActorStopped, Interest, Message, Topic
from tests.actors.storage.support import FlakyEngine, Running, running_storage
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from trio.testing import MockClock

    from actors.storage.engine import Unit
    from actors.storage.errors import StorageError
    from bus import Subscription

BEGAN = datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC)
BEGAN_MS = 1_772_366_400_500
TICK_MS = 200


class Watch:
    """A ticker at work, and an observer of its ticks."""

    def __init__(self, running: Running, tick_ms: int, name: str = "w") -> None:
        self.running = running
        self.log = LogCapture()
        self.seen: list[tuple[float, Tick]] = []
        self.late: list[float] = []
        self._ticks = running.bus.subscribe(Interest(Topic.TICK), buffer=1)
        self.subscription: Subscription = running.bus.subscribe(
            Interest(Topic.TASK, TICKER_KEY), Interest(Topic.SHUTDOWN), buffer=16
        )
        self.ticker = Ticker(
            self.subscription,
            running.bus,
            running.client,
            world_name=name,
            ruleset="tutorial",
            tick_ms=tick_ms,
            wall_clock=lambda: BEGAN,
            log=quiet_log(self.log),
            meter=self,
        )

    async def watch(self) -> None:
        """Record every tick, and when it came."""
        async for message in self._ticks:
            assert isinstance(message.body, Tick)
            self.seen.append((trio.current_time(), message.body))

    def ticked(self, late_seconds: float) -> None:
        """Record how late a tick was."""
        self.late.append(late_seconds)

    @property
    def counts(self) -> list[int]:
        """Return the ticks seen."""
        return [tick.tick for _, tick in self.seen]

    def events(self) -> list[str]:
        """Return the names of the events in the log."""
        return [entry["event"] for entry in self.log.entries]

    async def stored(self) -> Row:
        """Read the world as stored."""
        [[row]] = await self.running.client.read(Read("world", where={"name": "w"}))
        return row

    async def world(self) -> World:
        """Ask the ticker for the world."""
        world: World = await self.running.bus.ask(
            Topic.TASK, GetWorld(), key=TICKER_KEY, timeout_s=20
        )
        return world


@asynccontextmanager
async def ticking(
    running: Running, *, tick_ms: int = TICK_MS, name: str = "w"
) -> AsyncGenerator[Watch]:
    """Run a ticker for as long as the block lasts."""
    watch = Watch(running, tick_ms, name)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.watch)
        await nursery.start(watch.ticker.run)
        yield watch
        nursery.cancel_scope.cancel()
    watch.subscription.close()


@asynccontextmanager
async def life_of(watch: Watch) -> AsyncGenerator[None]:
    """Run a ticker for as long as the block lasts, its observer longer."""
    async with trio.open_nursery() as nursery:
        await nursery.start(watch.ticker.run)
        yield
        nursery.cancel_scope.cancel()


@pytest.fixture
async def engine() -> FlakyEngine:
    """Make an in-memory database that can be away."""
    return FlakyEngine()


@pytest.fixture
async def running(engine: FlakyEngine) -> AsyncGenerator[Running]:
    """Run a Storage that gives up after a second."""
    async with running_storage(engine, StorageSettings(wait_seconds_max=1)) as running:
        yield running


async def test_ticker_counts_from_zero_by_one(running: Running, autojump_clock: MockClock) -> None:
    """A new world begins at tick 0 at the wall clock's time and advances by one, at its pace."""
    async with ticking(running) as watch:
        began = trio.current_time()
        await trio.sleep(20.1)
    assert watch.counts == list(range(101))
    assert [tick.now_ms for _, tick in watch.seen] == [BEGAN_MS + TICK_MS * n for n in range(101)]
    for number, (at, _) in enumerate(watch.seen):
        assert at - began == pytest.approx(number * TICK_MS / 1000)
    assert watch.ticker.statistics().lag_seconds == 0
    assert watch.events() == ["world_created"]


async def test_ticker_publishes_a_tick_only_after_it_is_stored(
    running: Running, engine: FlakyEngine, autojump_clock: MockClock
) -> None:
    """No tick is seen before it is durable."""
    async with ticking(running) as watch:
        await trio.sleep(1.1)
        for _, tick in watch.seen[-1:]:
            stored = await watch.stored()
            assert (stored["tick"], stored["now_ms"]) == (tick.tick, tick.now_ms)
        engine.away = True
        await trio.sleep(5)
        assert watch.counts == [0, 1, 2, 3, 4, 5]
        engine.away = False
        assert (await watch.stored())["tick"] == 5


async def test_ticker_measures_how_late_each_tick_is(
    running: Running, engine: FlakyEngine, autojump_clock: MockClock
) -> None:
    """A tick in time has no delay; ticks that had to wait are late by as long as they waited."""
    async with ticking(running) as watch:
        await trio.sleep(1.1)
        assert watch.late == [pytest.approx(0)] * 5
        engine.away = True
        await trio.sleep(5)
        engine.away = False
        await trio.sleep(5)
    caught_up = watch.late[5:]
    assert 4 < max(caught_up) < 6
    assert caught_up[0] == max(caught_up)
    assert caught_up[-1] == pytest.approx(0)
    assert len(watch.late) == watch.counts[-1]


@pytest.mark.parametrize("name", ["w", "v"])
async def test_ticker_goes_on_from_the_stored_tick_after_a_restart(
    running: Running, autojump_clock: MockClock, name: str
) -> None:
    """The world keeps its id and its time, whatever its name; it stands still meanwhile."""
    async with ticking(running) as first:
        await trio.sleep(1.1)
        world = await first.world()
    await trio.sleep(3600)
    async with ticking(running, name=name) as second:
        assert await second.world() == world
        await trio.sleep(0.5)
    assert first.counts == [0, 1, 2, 3, 4, 5]
    assert second.counts == [5, 6, 7]
    assert second.seen[0][1].now_ms == first.seen[-1][1].now_ms
    assert "world_created" not in second.events()
    [rows] = await running.client.read(Read("world"))
    assert len(rows) == 1


async def test_ticker_takes_the_clock_that_is_furthest_on(
    running: Running, autojump_clock: MockClock
) -> None:
    """If there are several, as each name once had one, time does not go back."""
    values = {"world_id": str(uuid4()), "tick": 7, "ruleset": "tutorial"}

    for name, now_ms in (("w", BEGAN_MS), ("v", BEGAN_MS + 60_000), ("u", BEGAN_MS - 60_000)):
        await running.client.commit(Create("world", {"name": name, "now_ms": now_ms, **values}))
    async with ticking(running) as watch:
        await trio.sleep(0.5)
    assert watch.counts == [7, 8, 9]
    assert watch.seen[0][1].now_ms == BEGAN_MS + 60_000


async def test_ticker_cancelled_between_store_and_publish_loses_nothing(
    running: Running, autojump_clock: MockClock
) -> None:
    """A tick that was stored but not seen is what the next run begins with."""
    async with ticking(running) as first:
        await trio.sleep(0.3)
    await running.client.commit(
        Update("world", {"name": "w"}, {"tick": 2, "now_ms": BEGAN_MS + 2 * TICK_MS}, 2)
    )
    async with ticking(running) as second:
        await trio.sleep(0.3)
    assert first.counts == [0, 1]
    assert second.counts == [2, 3]


class SlowEngine(FlakyEngine):
    """A database with slow commits."""

    delay_s = 0.0

    async def commit(self, units: Sequence[Unit]) -> list[StorageError | None]:
        """Commit after a while."""
        await trio.sleep(self.delay_s)
        return await super().commit(units)


async def test_ticker_catches_up_tick_by_tick_after_a_stall(autojump_clock: MockClock) -> None:
    """After a stall every missed tick is made up for; none is skipped."""
    engine = SlowEngine()
    async with running_storage(engine) as running, ticking(running) as watch:
        began = trio.current_time()
        await trio.sleep(1.1)
        engine.delay_s = 2.0
        await trio.sleep(0.2)
        engine.delay_s = 0.0
        await trio.sleep(0.8)
        assert watch.counts == [0, 1, 2, 3, 4, 5]
        await trio.sleep(2.0)
        elapsed = trio.current_time() - began
        assert watch.ticker.statistics().lag_seconds == 0
    assert watch.counts == list(range(int(elapsed / 0.2 + 0.01) + 1))


async def test_ticker_tells_how_far_it_is_behind(autojump_clock: MockClock) -> None:
    """A world that cannot keep its pace reports its lag."""
    engine = SlowEngine()
    async with running_storage(engine) as running, ticking(running) as watch:
        engine.delay_s = 0.4
        await trio.sleep(4.1)
        assert watch.ticker.statistics().lag_seconds == pytest.approx(2.0, abs=0.2)
        assert watch.counts == list(range(len(watch.counts)))
        assert len(watch.counts) == pytest.approx(10, abs=1)


async def test_ticker_statistics_tell_the_clock_and_its_lag(
    running: Running, engine: FlakyEngine, autojump_clock: MockClock
) -> None:
    """The lag is that of the next tick at this moment, even while nothing can be stored."""
    watch = Watch(running, TICK_MS)
    before = watch.ticker.statistics()
    assert (before.tick, before.now_ms, before.lag_seconds) == (0, 0, 0.0)
    async with trio.open_nursery() as nursery:
        await nursery.start(watch.ticker.run)
        await trio.sleep(1.1)
        after = watch.ticker.statistics()
        assert (after.tick, after.now_ms, after.lag_seconds) == (5, BEGAN_MS + 5 * TICK_MS, 0.0)
        engine.away = True
        await trio.sleep(10)
        assert watch.ticker.statistics().lag_seconds == pytest.approx(9.9)
        nursery.cancel_scope.cancel()


async def test_ticker_survives_a_database_that_is_away(
    running: Running, engine: FlakyEngine, autojump_clock: MockClock
) -> None:
    """During an outage the clock waits; then it catches up without skipping or repeating."""
    async with ticking(running) as watch:
        began = trio.current_time()
        await trio.sleep(1.1)
        engine.away = True
        await trio.sleep(30)
        engine.away = False
        await trio.sleep(10)
        elapsed = trio.current_time() - began
    assert watch.counts == list(range(int(elapsed / 0.2) + 1))
    assert "tick_delayed" in watch.events()
    assert "world_unreadable" in watch.events()


class DevouringEngine(FlakyEngine):
    """A database that reports success without doing its work."""

    async def commit(self, units: Sequence[Unit]) -> list[StorageError | None]:
        """Commit nothing."""
        await trio.lowlevel.checkpoint()
        return [None for _ in units]


class ForgetfulEngine(FlakyEngine):
    """A database that does its work and then reports failure."""

    lies = 0

    async def commit(self, units: Sequence[Unit]) -> list[StorageError | None]:
        """Commit, and deny it."""
        outcomes = await super().commit(units)
        if self.lies:
            self.lies -= 1
            return [Conflict("world") for _ in units]
        return outcomes


async def test_ticker_keeps_its_pace_when_a_store_was_done_after_all(
    autojump_clock: MockClock,
) -> None:
    """A tick stored despite a reported error counts once, and costs no extra one."""
    engine = ForgetfulEngine()
    async with running_storage(engine) as running, ticking(running) as watch:
        began = trio.current_time()
        await trio.sleep(1.1)
        engine.lies = 3
        await trio.sleep(10)
        elapsed = trio.current_time() - began
        stored = await watch.stored()
    assert watch.counts == list(range(int(elapsed / 0.2) + 1))
    assert stored["tick"] == watch.counts[-1]
    assert stored["now_ms"] == BEGAN_MS + TICK_MS * watch.counts[-1]


async def test_ticker_never_goes_back_nor_skips_in_what_it_publishes(
    running: Running, engine: FlakyEngine, autojump_clock: MockClock
) -> None:
    """However often the database comes and goes, ticks are seen one by one."""
    async with ticking(running) as watch:
        for seconds in (0.15, 1.3, 0.4, 2.2, 0.05, 3.7, 0.6):
            engine.away = not engine.away
            await trio.sleep(seconds)
        engine.away = False
        await trio.sleep(5)
    assert watch.counts[0] == 0
    assert {after - before for before, after in pairwise(watch.counts)} == {1}


async def test_ticker_of_a_world_that_was_erased_keeps_trying(
    running: Running, autojump_clock: MockClock
) -> None:
    """An erased world stops the clock, not the server."""
    async with ticking(running) as watch:
        await trio.sleep(0.3)
        await running.client.commit(Delete("world", {"name": "w"}))
        await trio.sleep(5)
        assert watch.counts == [0, 1]
        assert watch.events().count("tick_delayed") > 5


async def test_ticker_answers_what_the_world_is(
    running: Running, autojump_clock: MockClock
) -> None:
    """GetWorld returns the world's id, tick, time and pace."""
    async with ticking(running, tick_ms=1000) as watch:
        await trio.sleep(2.5)
        world = await watch.world()
        stored = await watch.stored()
    assert world == World(stored["world_id"], 2, 1000, BEGAN_MS + 2000)


async def test_ticker_answers_while_the_database_is_away(
    running: Running, engine: FlakyEngine, autojump_clock: MockClock
) -> None:
    """A request for the world needs no database."""
    async with ticking(running) as watch:
        engine.away = True
        await trio.sleep(5)
        began = trio.current_time()
        assert (await watch.world()).tick == 0
        assert trio.current_time() == began


async def test_ticker_drops_what_it_does_not_understand(
    running: Running, autojump_clock: MockClock
) -> None:
    """The caller of a message unknown to the Ticker learns so at once; a reply is optional."""
    async with ticking(running) as watch:
        with pytest.raises(ActorStopped):
            await running.bus.ask(Topic.TASK, "what?", key=TICKER_KEY, timeout_s=5)
        for body in ("what?", GetWorld()):
            running.bus.send_nowait(Message(Topic.TASK, body, TICKER_KEY))
        await trio.sleep(0.5)
        assert watch.counts == [0, 1, 2]
        assert watch.events().count("message_not_understood") == 2


@pytest.mark.parametrize("phase", [Phase.WORLD, Phase.STORAGE, Phase.DATABASE])
async def test_ticker_stops_at_its_phase_or_a_later_one(
    running: Running, autojump_clock: MockClock, phase: Phase
) -> None:
    """When the clock's phase comes, the ticker returns, and later callers learn so at once."""
    watch = Watch(running, TICK_MS)
    async with trio.open_nursery() as nursery:
        await nursery.start(watch.ticker.run)
        await trio.sleep(1.1)
        await running.shut_down(phase)
    with pytest.raises(ActorStopped):
        await watch.world()


async def test_ticker_stops_when_the_bus_ends(running: Running, autojump_clock: MockClock) -> None:
    """A ticker whose subscription is closed has nothing more to do."""
    watch = Watch(running, TICK_MS)
    async with trio.open_nursery() as nursery:
        await nursery.start(watch.ticker.run)
        await trio.sleep(0.3)
        watch.subscription.close()
    assert (await watch.stored())["tick"] == 1


async def test_ticker_of_a_world_that_vanishes_while_it_loads_is_not_ready(
    autojump_clock: MockClock,
) -> None:
    """A world that was created but is missing is an error, not a clock without a world."""
    async with running_storage(DevouringEngine()) as running:
        watch = Watch(running, TICK_MS)
        async with trio.open_nursery() as nursery:
            with pytest.raises(LookupError, match="'w'"):
                await nursery.start(watch.ticker.run)


async def test_ticker_ticks_on_while_the_edge_closes(
    running: Running, autojump_clock: MockClock
) -> None:
    """Requests in flight still see time pass."""
    async with ticking(running) as watch:
        await running.shut_down(Phase.EDGE)
        await trio.sleep(1.1)
        assert watch.counts == [0, 1, 2, 3, 4, 5]


async def test_ticker_stops_at_once_though_the_database_is_away(
    running: Running, engine: FlakyEngine, autojump_clock: MockClock
) -> None:
    """A hanging store does not delay the shutdown."""
    watch = Watch(running, TICK_MS)
    async with trio.open_nursery() as nursery:
        await nursery.start(watch.ticker.run)
        engine.away = True
        await trio.sleep(1.1)
        began = trio.current_time()
        await running.shut_down(Phase.WORLD)
        await wait_all_tasks_blocked()
    assert trio.current_time() == began


async def test_ticker_does_not_start_without_its_world(
    engine: FlakyEngine, running: Running, autojump_clock: MockClock
) -> None:
    """A ticker that cannot load its world is not ready: the cause is raised."""
    engine.away = True
    watch = Watch(running, TICK_MS)
    async with trio.open_nursery() as nursery:
        with pytest.raises(Exception, match="the database is away"):
            await nursery.start(watch.ticker.run)
    assert watch.counts == []


@pytest.mark.parametrize("stored", [2, 3], ids=["all known", "the last one unknown"])
async def test_ticker_restarts_while_the_database_is_away(
    engine: FlakyEngine, running: Running, autojump_clock: MockClock, stored: int
) -> None:
    """It is ready at once, tells the time, and counts on from what is stored, one by one."""
    watch = Watch(running, TICK_MS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.watch)
        async with life_of(watch):
            await trio.sleep(0.5)
        if stored > 2:
            values = {"tick": stored, "now_ms": BEGAN_MS + stored * TICK_MS}
            await running.client.commit(Update("world", {"name": "w"}, values, stored))
        engine.away = True
        with trio.fail_after(0.1):
            await nursery.start(watch.ticker.run)
        assert (await watch.world()).tick == 2
        await trio.sleep(5)
        engine.away = False
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    assert watch.counts[:4] == [0, 1, 2, 2]
    assert watch.counts[3:] == list(range(2, watch.counts[-1] + 1))
    assert watch.counts[-1] >= 2 + 5 / (TICK_MS / 1000)


async def test_ticker_that_restarts_does_not_wait_for_ticks_that_came_without_it(
    engine: FlakyEngine, running: Running, autojump_clock: MockClock
) -> None:
    """Another server ticked while this one had lost the database: it goes on where that ended."""
    watch = Watch(running, TICK_MS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.watch)
        async with life_of(watch):
            await trio.sleep(0.5)
            engine.away = True
            await trio.sleep(100)
        engine.away = False
        values = {"tick": 502, "now_ms": BEGAN_MS + 502 * TICK_MS}
        await running.client.commit(Update("world", {"name": "w"}, values, 3))
        await nursery.start(watch.ticker.run)
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    assert watch.counts[:5] == [0, 1, 2, 2, 502]
    assert watch.counts[4:] == list(range(502, watch.counts[-1] + 1))
    assert 508 <= watch.counts[-1] <= 513


async def test_ticker_answers_many_in_one_turn_of_the_loop(
    running: Running, autojump_clock: MockClock
) -> None:
    """In a busy loop a turn takes long, and every opened page asks."""
    async with ticking(running) as watch:
        asked = [running.bus.open_reply() for _ in range(16)]
        for reply, _ in asked:
            running.bus.send_nowait(Message(Topic.TASK, GetWorld(), TICKER_KEY, reply))
        for _ in range(3):
            await trio.lowlevel.checkpoint()
        assert all(reply.settled for reply, _ in asked)
        assert watch.counts == [0]
