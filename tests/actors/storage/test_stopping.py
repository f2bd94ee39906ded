"""How Storage ends: drained by a shutdown, cancelled, or crashed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.shutdown import Phase
from actors.storage import STORAGE_KEY, Query, Read, StorageSettings, Write
from bus import ActorStopped, Message, Overloaded, Topic
from tests.actors.storage.support import (
    FOREVER_S,
    FlakyEngine,
    GatedEngine,
    make_storage,
    new_world,
    outcome_of,
    running_storage,
    submit,
    world_ticks,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock

    from actors.storage.engine import Unit
    from actors.storage.errors import StorageError
    from bus import PendingReply


# --------------------------------------------------------------------- shutdown


@pytest.mark.parametrize("phase", [Phase.EDGE, Phase.WORLD])
async def test_shutdown_of_others_does_not_stop_storage(phase: Phase) -> None:
    """Before its own phase Storage keeps serving: others finish their work through it."""
    engine = GatedEngine()
    engine.gate.set()
    async with running_storage(engine) as running:
        await running.shut_down(phase)
        await running.client.commit(new_world("after"))
        assert await world_ticks(running, "after") == [0]


@pytest.mark.parametrize("phase", [Phase.STORAGE, Phase.DATABASE])
async def test_shutdown_drains_what_was_handed_over(phase: Phase, nursery: trio.Nursery) -> None:
    """In its phase, or a later one, Storage commits everything that came before, then returns."""
    engine = GatedEngine()
    made = make_storage(engine, StorageSettings(batch_units_max=2))
    ended = trio.Event()

    async def run(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await made.storage.run(task_status=task_status)
        ended.set()

    await nursery.start(run)
    units = [submit(made, new_world(f"{n}")) for n in range(5)]
    await wait_all_tasks_blocked()
    # These wait in the buffer when the shutdown overtakes them.
    units += [submit(made, new_world(f"{n}")) for n in range(5, 10)]
    (reply, values) = made.bus.open_reply()
    made.bus.send_nowait(Message(Topic.TASK, Query((Read("world"),)), STORAGE_KEY, reply))
    await made.shut_down(phase)
    await wait_all_tasks_blocked()
    assert not ended.is_set()
    engine.gate.set()
    for unit in units:
        await unit.wait(FOREVER_S)
    await values.wait(FOREVER_S)
    await wait_all_tasks_blocked()
    assert ended.is_set()
    assert engine.closed == 1
    assert made.storage.statistics().units_committed == 10


async def test_shutdown_tells_whoever_comes_too_late(nursery: trio.Nursery) -> None:
    """A unit that comes while Storage drains, or after, is ActorStopped at once."""
    engine = GatedEngine()
    made = make_storage(engine)
    await nursery.start(made.storage.run)
    in_flight = submit(made, new_world("early"))
    await wait_all_tasks_blocked()
    await made.shut_down()
    await wait_all_tasks_blocked()
    with pytest.raises(ActorStopped):
        await made.client.commit(new_world("late"))
    engine.gate.set()
    await in_flight.wait(FOREVER_S)


async def test_shutdown_with_the_database_away_ends_within_the_bound(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """A drain waits for a database that is away no longer than its units do."""
    engine = FlakyEngine()
    made = make_storage(engine, StorageSettings(wait_seconds_max=2))
    ended = trio.Event()

    async def run(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await made.storage.run(task_status=task_status)
        ended.set()

    await nursery.start(run)
    engine.away = True
    pending = submit(made, new_world("lost"))
    await made.shut_down()
    began = trio.current_time()
    assert await outcome_of(pending) is Overloaded
    await ended.wait()
    assert trio.current_time() - began <= 3


async def test_end_of_the_channel_drains_like_a_shutdown(nursery: trio.Nursery) -> None:
    """When the last handle of the bus closes, Storage finishes its work and returns."""
    engine = GatedEngine()
    engine.gate.set()
    made = make_storage(engine)
    pending = submit(made, new_world("last"))
    made.bus.close()
    with trio.fail_after(5):
        await made.storage.run()
    assert await outcome_of(pending) is None


# --------------------------------------------------------------------- dying


class BrokenEngine(GatedEngine):
    """An engine with a bug: its second commit raises an error no engine may raise."""

    async def commit(self, units: Sequence[Unit]) -> list[StorageError | None]:
        """Commit the first batch, then crash."""
        outcomes = await super().commit(units)
        if len(self.batches) == 2:
            raise RuntimeError("a bug")
        return outcomes


async def test_crash_stops_what_is_in_hand_and_a_restart_serves_on(
    autojump_clock: MockClock,
) -> None:
    """Callers of everything Storage had taken learn at once; messages on the bus survive."""
    engine = BrokenEngine()
    made = make_storage(engine, StorageSettings(batch_units_max=2))
    first = submit(made, new_world("first"))
    pending: list[PendingReply[Any]] = []
    with pytest.RaisesGroup(RuntimeError, flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            await nursery.start(made.storage.run)
            await wait_all_tasks_blocked()
            pending += [submit(made, new_world(f"{n}")) for n in range(5)]
            made.bus.send_nowait(Message(Topic.TASK, Write((new_world("x"),)), STORAGE_KEY))
            await wait_all_tasks_blocked()
            engine.gate.set()
    assert await outcome_of(first) is None
    assert [await outcome_of(each) for each in pending] == [ActorStopped] * 5
    assert made.storage.statistics().units_waiting == 4
    waiting = submit(made, new_world("survives"))
    async with trio.open_nursery() as nursery:
        await nursery.start(made.storage.run)
        assert await outcome_of(waiting) is None
        nursery.cancel_scope.cancel()
    # The crashed run's unstarted work was dropped, not done behind its callers' backs.
    assert [len(batch) for batch in engine.batches] == [1, 2, 1]


async def test_cancel_stops_what_waits_at_once_and_closes_the_engine() -> None:
    """In the last phase of a shutdown, everyone still waiting learns at once."""
    engine = GatedEngine()
    pending: list[PendingReply[Any]] = []
    async with running_storage(engine) as running:
        pending += [submit(running, new_world(f"{n}")) for n in range(3)]
        await wait_all_tasks_blocked()
    assert [await outcome_of(each) for each in pending] == [ActorStopped] * 3
    assert engine.closed == 1
