"""The Storage actor: acknowledging, grouping, waiting for a database, draining, dying."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.shutdown import Phase
from actors.storage import (
    STORAGE_KEY,
    Acknowledged,
    Operation,
    Query,
    Read,
    Refused,
    StorageSettings,
    Update,
    Write,
)
from bus import ActorStopped, Message, Overloaded, Topic
from tests.actors.storage.support import (
    FOREVER_S,
    FlakyEngine,
    GatedEngine,
    Running,
    make_storage,
    new_id,
    new_world,
    outcome_of,
    running_storage,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock

    from actors.storage.engine import Unit
    from actors.storage.errors import StorageError
    from bus import PendingReply


def submit(running: Running, *operations: Operation) -> PendingReply[None]:
    """Submit a unit; give its result's pending reply."""
    return running.client.submit(*operations)[1]


async def world_ticks(running: Running, *names: str) -> list[int]:
    """Read the ticks of some worlds."""
    [rows] = await running.client.read(Read("world", ("name", "tick"), within={"name": names}))
    ticks = {row["name"]: row["tick"] for row in rows}
    return [ticks[name] for name in names]


# --------------------------------------------------------------------- group commit


async def test_commit_of_a_lone_unit_begins_at_once(autojump_clock: MockClock) -> None:
    """An idle Storage has no timer: a lone unit is committed without any delay."""
    began = trio.current_time()
    engine = GatedEngine()
    engine.gate.set()
    async with running_storage(engine) as running:
        await running.client.commit(new_world("lone"))
    assert trio.current_time() == began
    assert [len(batch) for batch in engine.batches] == [1]


async def test_commit_takes_all_that_came_during_the_one_before() -> None:
    """Units that arrive while a commit is in flight form exactly one next commit, in order."""
    engine = GatedEngine()
    async with running_storage(engine) as running:
        pending = [submit(running, new_world("first"))]
        await wait_all_tasks_blocked()
        for number in range(20):
            pending.append(submit(running, new_world(f"{number}")))
            await wait_all_tasks_blocked()
        engine.gate.set()
        for each in pending:
            await each.wait(FOREVER_S)
        statistics = running.storage.statistics()
    assert [len(batch) for batch in engine.batches] == [1, 20]
    assert [unit[0].values["name"] for unit in engine.batches[1]] == [f"{n}" for n in range(20)]  # type: ignore[union-attr]
    assert (statistics.commits, statistics.units_committed) == (2, 21)
    assert statistics.units_failed == 0
    assert (statistics.units_waiting, statistics.queries_waiting) == (0, 0)


async def test_commit_takes_no_more_than_its_limit() -> None:
    """A commit takes up to batch_units_max units; the rest form the next ones."""
    engine = GatedEngine()
    async with running_storage(engine, StorageSettings(batch_units_max=3)) as running:
        pending = [submit(running, new_world(f"{number}")) for number in range(8)]
        await wait_all_tasks_blocked()
        engine.gate.set()
        for each in pending:
            await each.wait(FOREVER_S)
    assert sum(map(len, engine.batches)) == 8
    assert max(map(len, engine.batches)) == 3


async def test_commit_waits_for_units_that_are_on_their_way(autojump_clock: MockClock) -> None:
    """Units that come turn after turn share commits; a lone one starts without time passing."""
    engine = GatedEngine()
    engine.gate.set()
    async with running_storage(engine) as running:
        begun = trio.current_time()
        pending: list[PendingReply[None]] = []
        for number in range(20):
            pending.append(submit(running, new_world(f"{number}")))
            await trio.lowlevel.checkpoint()
        for each in pending:
            await each.wait(FOREVER_S)
        await submit(running, new_world("lone")).wait(FOREVER_S)
        assert trio.current_time() == begun
    *shared, lone = map(len, engine.batches)
    # What comes in one turn may be seen two turns later, or three: chance.
    assert (sum(shared), lone) == (20, 1)
    assert len(shared) <= 5


async def test_commit_waits_for_others_a_bounded_time(mock_clock: MockClock) -> None:
    """Where units never cease to come, the commit begins all the same."""
    engine = GatedEngine()
    engine.gate.set()
    settings = StorageSettings(gather_seconds_max=1)
    async with running_storage(engine, settings) as running:
        pending: list[PendingReply[None]] = []
        for number in range(60):
            pending.append(submit(running, new_world(f"{number}")))
            await trio.lowlevel.checkpoint()
            mock_clock.jump(0.15)
        for each in pending:
            await each.wait(FOREVER_S)
    sizes = list(map(len, engine.batches))
    assert sum(sizes) == 60
    # What comes within a second, and what came while the commit before was under way.
    assert 7 <= max(sizes) <= 14


async def test_commit_is_answered_only_after_the_engine_has_confirmed_it() -> None:
    """No result leaves while the commit is under way."""
    engine = GatedEngine()
    outcomes: list[object] = []
    async with running_storage(engine) as running:

        async def commit() -> None:
            outcomes.append(await outcome_of(submit(running, new_world("unit"))))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(commit)
            await wait_all_tasks_blocked()
            assert len(engine.batches) == 1
            assert outcomes == []
            engine.gate.set()
    assert outcomes == [None]


async def test_commit_whose_asker_is_gone_is_done_all_the_same() -> None:
    """A cancelled asker takes no unit back: Storage never cancels a commit for it."""
    engine = GatedEngine()
    async with running_storage(engine) as running:
        with trio.CancelScope() as scope:
            scope.cancel()
            await running.client.commit(new_world("left", 4))
        engine.gate.set()
        await wait_all_tasks_blocked()
        assert await world_ticks(running, "left") == [4]


async def test_write_without_any_reply_is_done() -> None:
    """Both replies of a write are optional."""
    engine = GatedEngine()
    engine.gate.set()
    async with running_storage(engine) as running:
        running.bus.send_nowait(Message(Topic.TASK, Write((new_world("a", 1),)), STORAGE_KEY))
        running.bus.send_nowait(Message(Topic.TASK, Write(()), STORAGE_KEY))
        running.bus.send_nowait(Message(Topic.TASK, Write((new_world("a", 2),)), STORAGE_KEY))
        await running.client.commit(new_world("b", 3))
        assert await world_ticks(running, "a", "b") == [1, 3]
        assert running.storage.statistics().units_failed == 1


# --------------------------------------------------------------------- reads


async def test_read_without_a_reply_is_refused_in_the_ack() -> None:
    """A read that has nowhere to send its values is malformed."""
    engine = GatedEngine()
    async with running_storage(engine) as running:
        ack, pending = running.bus.open_reply()
        query = Query((Read("world"),), ack)
        running.bus.send_nowait(Message(Topic.TASK, query, STORAGE_KEY))
        with pytest.raises(Refused, match="reply"):
            await pending.wait(FOREVER_S)
    assert engine.read_batches == []


async def test_read_is_acknowledged_before_its_values_come() -> None:
    """A query, too, has two replies."""
    engine = GatedEngine()
    async with running_storage(engine) as running:
        (ack, acked), (reply, values) = running.bus.open_reply(), running.bus.open_reply()
        query = Query((Read("world"),), ack)
        running.bus.send_nowait(Message(Topic.TASK, query, STORAGE_KEY, reply))
        assert await acked.wait(FOREVER_S) == Acknowledged()
        assert not reply.settled
        engine.gate.set()
        assert await values.wait(FOREVER_S) == [[]]


async def test_read_malformed_is_refused_and_reaches_no_engine() -> None:
    """A malformed read is refused whole, before any I/O."""
    engine = GatedEngine()
    async with running_storage(engine) as running:
        with pytest.raises(Refused) as caught:
            await running.client.read(Read("world"), Read("wrld"), Read("world", ("nme",)))
    assert caught.value.faults == (
        ("wrld", "unknown table"),
        ("world.nme", "unknown column"),
    )
    assert engine.read_batches == []


async def test_read_takes_all_that_waits_and_answers_each_its_own() -> None:
    """Queries that arrive while all workers read are answered together, each with its rows."""
    engine = GatedEngine()
    engine.gate.set()
    answers: dict[str, list[int]] = {}
    async with running_storage(engine, StorageSettings(read_workers=1)) as running:
        await running.client.commit(*(new_world(f"{n}", n) for n in range(10)))
        engine.shut()

        async def ask(name: str) -> None:
            [rows] = await running.client.read(Read("world", where={"name": name}))
            answers[name] = [row["tick"] for row in rows]

        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(ask, f"{number}")
                await wait_all_tasks_blocked()
            engine.gate.set()
    assert answers == {f"{n}": [n] for n in range(10)}
    assert [len(batch) for batch in engine.read_batches] == [1, 9]


async def test_read_workers_read_at_the_same_time() -> None:
    """While one worker reads, another one takes what comes next."""
    engine = GatedEngine()
    async with (
        running_storage(engine, StorageSettings(read_workers=2)) as running,
        trio.open_nursery() as nursery,
    ):
        for _ in range(2):
            nursery.start_soon(running.client.read, Read("world"))
            await wait_all_tasks_blocked()
        assert [len(batch) for batch in engine.read_batches] == [1, 1]
        engine.gate.set()


# --------------------------------------------------------------------- bounds


async def test_queue_full_is_overloaded_at_once_and_takes_nothing_more() -> None:
    """Past queue_max waiting units a unit is refused as Overloaded, in both replies."""
    engine = GatedEngine()
    async with running_storage(engine, StorageSettings(queue_max=2)) as running:
        in_flight = submit(running, new_world("flying"))
        await wait_all_tasks_blocked()
        waiting = [submit(running, new_world(f"{n}")) for n in range(2)]
        await wait_all_tasks_blocked()
        ack, result = running.client.submit(new_world("too many"))
        assert await outcome_of(ack) is Overloaded
        assert await outcome_of(result) is Overloaded
        assert running.storage.statistics().units_waiting == 2
        engine.gate.set()
        for each in (in_flight, *waiting):
            await each.wait(FOREVER_S)
        await running.client.commit(new_world("room again"))
        [rows] = await running.client.read(Read("world", ("name",)))
    assert {row["name"] for row in rows} == {"flying", "0", "1", "room again"}


async def test_queue_of_queries_is_bounded_like_the_units() -> None:
    """Past queue_max waiting queries a query is Overloaded; units have room of their own."""
    engine = GatedEngine()
    settings = StorageSettings(queue_max=1, read_workers=1)
    outcomes: list[str] = []
    async with running_storage(engine, settings) as running:

        async def ask() -> None:
            try:
                await running.client.read(Read("world"))
                outcomes.append("read")
            except Overloaded:
                outcomes.append("overloaded")

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(ask)
                await wait_all_tasks_blocked()
            assert outcomes == ["overloaded"]
            pending = submit(running, new_world("unit"))
            engine.gate.set()
            await pending.wait(FOREVER_S)
    assert outcomes == ["overloaded", "read", "read"]


async def test_mailbox_full_is_overloaded_in_the_sender() -> None:
    """What does not even fit into Storage's buffer on the bus fails at its sender."""
    made = make_storage(GatedEngine(), mailbox=1)
    made.client.submit(new_world("waits"))
    with pytest.raises(Overloaded):
        made.client.submit(new_world("does not"))


async def test_submit_to_nobody_is_stopped_in_both_replies() -> None:
    """Where Storage has left the bus, both replies say so at once."""
    made = make_storage(GatedEngine())
    other = make_storage(GatedEngine())
    made.subscription.close()
    made.bus.subscribe(*other.subscription.interests[1:], buffer=1)
    for pending in made.client.submit(new_world("nobody")):
        assert await outcome_of(pending) is ActorStopped


# --------------------------------------------------------------------- a database that is away


async def test_away_database_units_wait_and_are_committed_when_it_is_back(
    autojump_clock: MockClock,
) -> None:
    """A short absence costs time and nothing else."""
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
    """Reads that come while it is away do not have it asked more often, nor fill the log."""
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
    """A worker that had nothing to do between two absences takes them for two."""
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
    """The pauses between attempts grow to a second, with jitter, and never run hot."""
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
    """A unit waits wait_seconds_max and at most one pause longer, in flight or in the queue."""
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
    """While a commit's outcome is unknown the same batch is asked again, however long it takes."""
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


# --------------------------------------------------------------------- shutdown


@pytest.mark.parametrize("phase", [Phase.EDGE, Phase.WORLD])
async def test_shutdown_of_others_does_not_stop_storage(phase: Phase) -> None:
    """Before its own phase Storage serves on: others finish their work through it."""
    engine = GatedEngine()
    engine.gate.set()
    async with running_storage(engine) as running:
        await running.shut_down(phase)
        await running.client.commit(new_world("after"))
        assert await world_ticks(running, "after") == [0]


@pytest.mark.parametrize("phase", [Phase.STORAGE, Phase.DATABASE])
async def test_shutdown_drains_what_was_handed_over(phase: Phase, nursery: trio.Nursery) -> None:
    """In its phase, or a later one, Storage commits all that came before, then returns."""
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
    """When the last handle of the bus closes, Storage finishes what it has and returns."""
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
    """An engine with a bug: its second commit raises what no engine may raise."""

    async def commit(self, units: Sequence[Unit]) -> list[StorageError | None]:
        """Commit the first batch, then die."""
        outcomes = await super().commit(units)
        if len(self.batches) == 2:
            raise RuntimeError("a bug")
        return outcomes


async def test_crash_stops_what_is_in_hand_and_a_restart_serves_on(
    autojump_clock: MockClock,
) -> None:
    """Askers of all that Storage had taken learn at once; what waits on the bus survives."""
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
    # What the crashed run had not begun was dropped, not done behind its askers' backs.
    assert [len(batch) for batch in engine.batches] == [1, 2, 1]


async def test_cancel_stops_what_waits_at_once_and_closes_the_engine() -> None:
    """The last phase of a shutdown: whoever still waits learns at once."""
    engine = GatedEngine()
    pending: list[PendingReply[Any]] = []
    async with running_storage(engine) as running:
        pending += [submit(running, new_world(f"{n}")) for n in range(3)]
        await wait_all_tasks_blocked()
    assert [await outcome_of(each) for each in pending] == [ActorStopped] * 3
    assert engine.closed == 1


async def test_message_not_understood_is_dropped_and_logged() -> None:
    """A message that is no work for Storage tells its asker at once, and Storage lives on."""
    engine = GatedEngine()
    engine.gate.set()
    async with running_storage(engine) as running:
        with pytest.raises(ActorStopped):
            await running.bus.ask(Topic.TASK, "what?", key=STORAGE_KEY, timeout_s=5)
        running.bus.send_nowait(Message(Topic.TASK, "what?", STORAGE_KEY))
        await running.client.commit(new_world("lives"))
        assert running.events().count("message_not_understood") == 2


@pytest.mark.parametrize(
    "poison",
    [
        Update("world", {"name": ["unhashable"]}, {"tick": 1}),
        Update("world", {"name": "a"}, {"tick": {}}),
        Update("world", {}, {}),
        new_world({"k": []}),
    ],
)
async def test_malformed_message_never_harms_storage(poison: Operation) -> None:
    """Whatever an operation holds, its unit is refused and Storage lives on."""
    engine = GatedEngine()
    engine.gate.set()
    async with running_storage(engine) as running:
        with pytest.raises(Refused):
            await running.client.commit(new_world("fine"), poison)
        await running.client.commit(new_world("lives"))
    assert len(engine.batches) == 1
