"""What actors count for observers: restarts, setbacks, lag, logins, batches, traces."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import trio
from structlog.testing import LogCapture
from trio.testing import wait_all_tasks_blocked

from actors.authx.errors import InvalidCredentials, TooManyAttempts
from actors.authx.messages import Login
from actors.authx.statistics import LoginCounters, LoginStatistics
from actors.database.errors import DatabaseUnavailable
from actors.meter import NO_METER
from actors.storage import STORAGE_KEY, Query, Read, Storage, StorageSettings, Write
from actors.storage.schema import declared_tables
from actors.supervisor import Restart, RestartLimits, Supervisor
from actors.tracing import NO_TRACER
from bus import ActorStopped, Interest, Message, Overloaded, Topic, open_broadcast_channel
from tests.actors.authx.harness import running_authx
from tests.actors.authx.support import CHEAP
from tests.actors.inventory.world import a_world, account
from tests.actors.storage.support import FlakyEngine, new_world, outcome_of, running_storage
from tests.actors.ticker.test_ticker import TICK_MS, ticking
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from trio.testing import MockClock

    from actors.storage import Row
    from actors.tracing import Traced
    from bus import Bus, PendingReply

ANN = account(1)


class Recorder:
    """A meter and a tracer that keep everything they receive."""

    def __init__(self) -> None:
        self.commits: list[tuple[int, float]] = []
        self.reads: list[tuple[int, float]] = []
        self.work_done: list[tuple[str, list[object], dict[str, str | int]]] = []

    def committed(self, units: int, seconds: float) -> None:
        """Keep a commit."""
        self.commits.append((units, seconds))

    def read(self, queries: int, seconds: float) -> None:
        """Keep a read."""
        self.reads.append((queries, seconds))

    @contextmanager
    def work(
        self, name: str, carriers: Sequence[Traced], **attributes: str | int
    ) -> Generator[None]:
        """Keep a piece of work."""
        self.work_done.append((name, [each.trace for each in carriers], attributes))
        yield


class SlowEngine(FlakyEngine):
    """An engine that takes a while over everything."""

    async def commit(self, units: Sequence[Any]) -> list[Any]:
        """Commit after a while."""
        await trio.sleep(0.25)
        return await super().commit(units)

    async def read(self, reads: Sequence[Read]) -> list[list[Row]]:
        """Read after a while."""
        await trio.sleep(0.125)
        return await super().read(reads)


async def test_storage_tells_its_meter_of_each_batch_and_its_tracer_whose_it_is(
    autojump_clock: MockClock,
) -> None:
    """Units that waited are one batch, timed by the database's share, traced by message."""
    recorder = Recorder()
    with open_broadcast_channel() as bus:
        storage = Storage(
            bus.subscribe(Interest(Topic.TASK, STORAGE_KEY), buffer=100),
            SlowEngine(),
            declared_tables(),
            StorageSettings(),
            rng=random.Random(1),
            log=quiet_log(LogCapture()),
            meter=recorder,
            tracer=recorder,
        )

        def ask(body: object, trace: object) -> PendingReply[Any]:
            reply, pending = bus.open_reply()
            bus.send_nowait(Message(Topic.TASK, body, STORAGE_KEY, reply, trace))
            return pending

        async with trio.open_nursery() as nursery:
            await nursery.start(storage.run)
            writes = [ask(Write((new_world(f"w{n}"),)), f"trace {n}") for n in range(3)]
            for pending in writes:
                assert await outcome_of(pending) is None
            await outcome_of(ask(Query((Read("world"),)), None))
            nursery.cancel_scope.cancel()
    assert sum(units for units, _ in recorder.commits) == 3
    assert all(seconds == pytest.approx(0.25) for _, seconds in recorder.commits)
    assert recorder.reads == [(1, pytest.approx(0.125))]
    assert [trace for _, traces, _ in recorder.work_done for trace in traces] == [
        "trace 0",
        "trace 1",
        "trace 2",
    ]
    assert [(name, told["units"]) for name, _, told in recorder.work_done] == [
        ("commit", units) for units, _ in recorder.commits
    ]
    assert storage.statistics().commits == len(recorder.commits)


async def test_storage_counts_how_often_the_database_was_away(autojump_clock: MockClock) -> None:
    """Each attempt that finds it away is one setback, for commits and reads; a success is none."""
    engine = FlakyEngine()
    async with running_storage(engine, StorageSettings(wait_seconds_max=60)) as running:
        await running.client.commit(new_world("w"))
        await running.client.read(Read("world"))
        assert running.storage.statistics().setbacks == 0
        engine.away = True
        engine.attempts.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.client.commit, new_world("v"))
            nursery.start_soon(running.client.read, Read("world"))
            await trio.sleep(5)
            engine.away = False
        assert running.storage.statistics().setbacks == len(engine.attempts) - 2 > 2


def test_work_that_nobody_traces_is_done_all_the_same() -> None:
    """The stand-in for a tracer can be entered repeatedly, even inside itself."""
    with NO_TRACER.work("x", (), units=1), NO_TRACER.work("y", ()), NO_TRACER.work("z", ()):
        NO_METER.committed(1, 0.1)
        NO_METER.read(1, 0.1)


async def test_ticker_tells_the_clock_and_how_late_it_is(autojump_clock: MockClock) -> None:
    """Lag is available at any time, even while a tick is stuck, and gone once it has caught up."""
    engine = FlakyEngine()
    async with (
        running_storage(engine, StorageSettings(wait_seconds_max=1)) as running,
        ticking(running) as watch,
    ):
        assert watch.ticker.statistics().lag_seconds == 0
        await trio.sleep(5 * TICK_MS / 1000 + 0.01)
        told = watch.ticker.statistics()
        assert (told.tick, told.now_ms) == (5, watch.seen[-1][1].now_ms)
        assert told.lag_seconds == 0
        engine.away = True
        await trio.sleep(10)
        late = watch.ticker.statistics()
        assert (late.tick, late.lag_seconds) == (5, pytest.approx(10 - 0.19, abs=0.01))
        engine.away = False
        await trio.sleep(5)
        caught_up = watch.ticker.statistics()
        assert caught_up.lag_seconds == 0
        assert caught_up.tick > 60


class Failing:
    """An actor that becomes ready and fails, a given number of times."""

    def __init__(self, failures: int) -> None:
        self._left = failures

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Fail, or end."""
        task_status.started()
        await trio.lowlevel.checkpoint()
        if self._left:
            self._left -= 1
            raise ZeroDivisionError


async def test_supervisor_remembers_the_restarts_of_actors_that_are_gone(
    autojump_clock: MockClock,
) -> None:
    """The total only rises, whichever of many short-lived actors restarted."""
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(
            nursery,
            RestartLimits(restarts_max=3),
            rng=random.Random(1),
            log=quiet_log(LogCapture()),
            on_failed=lambda _: None,
        )
        for name, failures in (("a", 2), ("b", 0), ("c", 9)):
            supervisor.start_soon(name, Failing(failures), Restart.TRANSIENT)
        await trio.sleep(60)
        await wait_all_tasks_blocked()
    assert supervisor.states() == {}
    assert supervisor.restarts == 2 + 3


async def test_inventories_count_the_restarts_of_all_accounts(autojump_clock: MockClock) -> None:
    """A failure in one account shows in the total."""
    async with a_world() as world:
        await world.look(ANN)
        await trio.sleep(61)
        assert world.inventories.statistics().restarts == 0
        world.engine.row("inventories", ANN)["state"] = "{}"
        with pytest.raises(ActorStopped):
            await world.look(ANN)
        await trio.sleep(1)
        assert world.inventories.statistics().restarts == 1


async def test_logins_are_counted_by_how_they_come_out(database_dsn: str) -> None:
    """Accepted, refused, throttled or overloaded: each login is counted once, as its outcome."""
    settings = replace(CHEAP, attempts_per_user=2, hash_workers=1, hash_queue=1)
    async with running_authx(database_dsn, settings=settings) as running:
        someone = await running.register()
        await running.login(someone.username)
        for _ in range(2):
            with pytest.raises(InvalidCredentials):
                await running.login(someone.username, "not it, no")
        with pytest.raises(TooManyAttempts):
            await running.login(someone.username)
        with pytest.raises(InvalidCredentials):
            await running.login("no such user at all, is there")
        flood = [_ask(running.bus, Login(f"nobody{n}", "not it, no")) for n in range(10)]
        outcomes = Counter([await outcome_of(pending) for pending in flood])
        assert set(outcomes) == {InvalidCredentials, Overloaded}
        assert running.authx.logins() == LoginStatistics(
            accepted=1,
            refused=3 + outcomes[InvalidCredentials],
            throttled=1,
            overloaded=outcomes[Overloaded],
            failed=0,
        )


def _ask(bus: Bus, body: object) -> PendingReply[Any]:
    """Ask Authx without waiting for the answer."""
    reply, pending = bus.open_reply()
    bus.send_nowait(Message(Topic.AUTH, body, None, reply))
    return pending


def test_login_that_the_database_fails_is_counted_as_such() -> None:
    """A login that fails in an unforeseen way has no outcome to count."""
    counters = LoginCounters()
    with pytest.raises(DatabaseUnavailable), counters.counted():
        raise DatabaseUnavailable("away")
    with pytest.raises(ZeroDivisionError), counters.counted():
        raise ZeroDivisionError
    assert counters.statistics() == LoginStatistics(0, 0, 0, 0, 1)
