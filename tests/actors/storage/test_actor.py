"""The Storage actor: acknowledging, grouping, reading, bounds, and unusable messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.storage import (
    STORAGE_KEY,
    Acknowledged,
    Create,
    Delete,
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
    GatedEngine,
    make_storage,
    new_world,
    outcome_of,
    running_storage,
    submit,
    world_ticks,
)

if TYPE_CHECKING:
    from trio.testing import MockClock

    from bus import PendingReply


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


async def test_commit_takes_half_of_many_so_that_the_others_are_prepared_meanwhile() -> None:
    """Clients that wait for answers form two groups, and one works while the other is committed."""
    engine = GatedEngine()
    async with running_storage(engine) as running, trio.open_nursery() as nursery:

        async def client(name: str) -> None:
            for number in range(4):
                await running.client.commit(new_world(f"{name}-{number}"))

        for number in range(100):
            nursery.start_soon(client, f"{number}")
        await wait_all_tasks_blocked()
        assert [len(batch) for batch in engine.batches] == [50]
        engine.gate.set()
    assert [len(batch) for batch in engine.batches] == [50] * 8


async def test_commit_is_not_divided_below_a_number() -> None:
    """What is committed together at no great cost is committed together."""
    engine = GatedEngine()
    async with running_storage(engine) as running:
        pending = [submit(running, new_world("first"))]
        await wait_all_tasks_blocked()
        pending += [submit(running, new_world(f"{number}")) for number in range(31)]
        await wait_all_tasks_blocked()
        engine.gate.set()
        for each in pending:
            await each.wait(FOREVER_S)
    assert [len(batch) for batch in engine.batches] == [1, 31]


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
    """Units that arrive turn after turn share commits; a lone one starts without time passing."""
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
    # Units of one turn may be seen two turns later, or three, by chance.
    assert (sum(shared), lone) == (20, 1)
    assert len(shared) <= 5


async def test_commit_waits_for_others_a_bounded_time(mock_clock: MockClock) -> None:
    """If units never cease to come, the commit still begins."""
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
    # Units that come within a second, plus those that came during the previous commit.
    assert 7 <= max(sizes) <= 14


async def test_commit_is_answered_only_after_the_engine_has_confirmed_it() -> None:
    """No result leaves during the commit."""
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
    """A caller's cancellation takes no unit back: Storage never cancels a commit for it."""
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
    """A read with nowhere to send its values is malformed."""
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
    """While one worker reads, another takes the next queries."""
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
    """A message that does not even fit into Storage's buffer on the bus fails at its sender."""
    made = make_storage(GatedEngine(), mailbox=1)
    made.client.submit(new_world("waits"))
    with pytest.raises(Overloaded):
        made.client.submit(new_world("does not"))


async def test_submit_to_nobody_is_stopped_in_both_replies() -> None:
    """If Storage has left the bus, both replies say so at once."""
    made = make_storage(GatedEngine())
    other = make_storage(GatedEngine())
    made.subscription.close()
    made.bus.subscribe(*other.subscription.interests[1:], buffer=1)
    for pending in made.client.submit(new_world("nobody")):
        assert await outcome_of(pending) is ActorStopped


# --------------------------------------------------------------------- messages that are no work


async def test_message_not_understood_is_dropped_and_logged() -> None:
    """A message Storage cannot use fails its caller at once, and Storage lives on."""
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


@pytest.mark.parametrize(
    "poison",
    [
        Write((cast("Operation", None),)),
        Write((cast("Operation", Read("world")),)),
        Write(cast("tuple[Operation, ...]", None)),
        Write((Create("world", cast("dict[str, object]", None)),)),
        Write((Delete(cast("str", ["world"]), {"name": "a"}),)),
        Query((Read("world", limit=cast("int", "1")),)),
        Query((Read("world", within={"tick": cast("tuple[int]", 1)}),)),
        Query(cast("tuple[Read]", None)),
    ],
)
async def test_message_of_no_operations_is_refused_and_harms_nobody_else(
    poison: Write | Query,
) -> None:
    """Its sender learns so; waiting units and reads, and those that came with it, are served."""
    engine = GatedEngine()
    async with running_storage(engine) as running:
        pending = [submit(running, new_world("waits"))]
        await wait_all_tasks_blocked()
        pending.append(submit(running, new_world("before")))
        reply, poisoned = running.bus.open_reply()
        running.bus.send_nowait(Message(Topic.TASK, poison, STORAGE_KEY, reply))
        pending.append(submit(running, new_world("after")))
        with pytest.raises(Refused, match="cannot be read"):
            await poisoned.wait(FOREVER_S)
        engine.gate.set()
        assert [await outcome_of(each) for each in pending] == [None] * 3
