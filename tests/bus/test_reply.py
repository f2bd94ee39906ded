"""One-shot replies: every question has exactly one outcome."""

from __future__ import annotations

import gc
import traceback
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from bus import (
    ActorStopped,
    Interest,
    ReplyTimeout,
    Topic,
    open_broadcast_channel,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from bus import Bus, PendingReply, Reply, ReplyStatistics, Subscription


class Refusal(Exception):
    """An error that an actor may answer with."""


def replies(bus: Bus) -> ReplyStatistics:
    """Return the bus's counts of questions."""
    return bus.statistics().replies


@pytest.fixture(params=["own scopes", "kept deadlines"])
async def bus(request: pytest.FixtureRequest, nursery: trio.Nursery) -> Bus:
    """Open a bus; every promise holds with and without a task that keeps its deadlines."""
    bus = open_broadcast_channel()
    if request.param == "kept deadlines":
        nursery.start_soon(bus.keep_deadlines)
        await wait_all_tasks_blocked()
    return bus


@pytest.fixture
async def mailbox(bus: Bus) -> Subscription:
    """Subscribe to every task."""
    return bus.subscribe(Interest(Topic.TASK), buffer=8)


async def answered_by(mailbox: Subscription, answer: Callable[[Reply[Any]], bool]) -> None:
    """Answer the next message."""
    message = await mailbox.receive()
    assert message.reply is not None
    assert answer(message.reply)


def give_42(reply: Reply[Any]) -> bool:
    """Answer with a value."""
    return reply.send_nowait(42)


def fail(reply: Reply[Any]) -> bool:
    """Answer with an error."""
    return reply.fail(LookupError("no such thing"))


async def test_ask_returns_the_value(
    bus: Bus, mailbox: Subscription, nursery: trio.Nursery
) -> None:
    """The value the actor sends reaches the caller, once."""
    nursery.start_soon(answered_by, mailbox, give_42)
    assert await bus.ask(Topic.TASK, "question", timeout_s=1) == 42
    assert replies(bus).answered == 1


async def test_ask_raises_the_actors_error(
    bus: Bus, mailbox: Subscription, nursery: trio.Nursery
) -> None:
    """An error the actor answers with is raised in the caller."""
    nursery.start_soon(answered_by, mailbox, fail)
    with pytest.raises(LookupError, match="no such thing"):
        await bus.ask(Topic.TASK, "question", timeout_s=1)
    assert replies(bus).failed == 1


async def test_ask_with_nobody_interested_learns_at_once(
    bus: Bus, mailbox: Subscription, autojump_clock: trio.testing.MockClock
) -> None:
    """A question that reaches nobody is ActorStopped at once, never by timeout."""
    with pytest.raises(ActorStopped):
        await bus.ask(Topic.AUTH, "question", timeout_s=5)
    assert trio.current_time() < 1
    assert replies(bus).stopped == 1


async def test_ask_times_out_and_the_late_answer_is_counted(
    bus: Bus, mailbox: Subscription, autojump_clock: trio.testing.MockClock
) -> None:
    """After the timeout the caller is gone: the answer is dropped, counted, and its sender told."""
    began = trio.current_time()
    with pytest.raises(ReplyTimeout, match="2 s"):
        await bus.ask(Topic.TASK, "question", timeout_s=2)
    assert trio.current_time() - began == pytest.approx(2)
    message = mailbox.receive_nowait()
    assert message.reply is not None
    assert message.reply.send_nowait("late") is False
    assert message.reply.settled
    counts = replies(bus)
    assert (counts.timed_out, counts.late, counts.answered) == (1, 1, 0)


async def test_wait_takes_an_answer_that_was_sent_in_time(bus: Bus) -> None:
    """An answer whose sender was not told "late" reaches the caller at any timeout."""
    reply, pending = bus.open_reply()
    assert reply.send_nowait("there") is True
    assert await pending.wait(0) == "there"
    counts = replies(bus)
    assert (counts.answered, counts.timed_out, counts.late) == (1, 0, 0)


async def test_wait_at_its_deadline_prefers_the_actors_silence_to_a_timeout(bus: Bus) -> None:
    """A reply closed before the deadline is ActorStopped, even if seen at the deadline."""
    reply, pending = bus.open_reply()
    reply.close()
    with pytest.raises(ActorStopped):
        await pending.wait(0)


async def test_wait_cancelled_gives_the_question_up(bus: Bus, mailbox: Subscription) -> None:
    """A cancelled caller takes nothing back; the answer is dropped and counted as late."""
    with trio.CancelScope() as scope:
        scope.cancel()
        await bus.ask(Topic.TASK, "question", timeout_s=5)
    assert scope.cancelled_caught
    message = mailbox.receive_nowait()
    assert message.reply is not None
    assert not message.reply.send_nowait(1)
    assert replies(bus).late == 1


async def test_reply_takes_only_its_first_outcome(bus: Bus) -> None:
    """A second answer of any kind changes nothing and says so."""
    reply, pending = bus.open_reply()
    assert reply.send_nowait(1) is True
    assert reply.send_nowait(2) is False
    assert reply.fail(ValueError()) is False
    reply.drop(0)
    reply.close()
    assert await pending.wait(1) == 1
    counts = replies(bus)
    assert (counts.answered, counts.failed, counts.stopped, counts.late) == (1, 0, 0, 0)


async def test_reply_closed_is_actor_stopped_and_takes_no_answer(bus: Bus) -> None:
    """After close the caller has ActorStopped, and nothing else can come."""
    reply, pending = bus.open_reply()
    reply.close()
    assert reply.send_nowait(1) is False
    with pytest.raises(ActorStopped):
        await pending.wait(1)


async def test_pending_closed_makes_every_answer_late(bus: Bus) -> None:
    """A caller that closes its half gives the question up."""
    reply, pending = bus.open_reply()
    pending.close()
    assert reply.send_nowait(1) is False
    assert replies(bus).late == 1


async def test_pending_is_waited_for_by_one_task_once(bus: Bus, nursery: trio.Nursery) -> None:
    """A second waiter is refused and disturbs nothing; afterwards there is nothing to wait for."""
    reply, pending = bus.open_reply()
    got: list[object] = []

    async def wait() -> None:
        got.append(await pending.wait(5))

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    with pytest.raises(trio.BusyResourceError):
        await pending.wait(5)
    assert reply.send_nowait(1) is True
    await wait_all_tasks_blocked()
    assert got == [1]
    with pytest.raises(trio.ClosedResourceError):
        await pending.wait(5)


async def test_answer_that_was_told_to_be_in_time_is_not_lost_to_a_cancellation(bus: Bus) -> None:
    """A later cancellation of the caller cancels whatever it does next."""
    reply, pending = bus.open_reply()
    assert reply.send_nowait("in time") is True
    with trio.CancelScope() as scope:
        scope.cancel()
        assert await pending.wait(5) == "in time"
    assert bus.statistics().replies.answered == 1


async def test_answer_that_is_there_is_taken_once(bus: Bus, nursery: trio.Nursery) -> None:
    """Of two takers of an answer that is already there, the second is refused."""
    reply, pending = bus.open_reply()
    reply.send_nowait("there")
    got: list[object] = []

    async def take() -> None:
        try:
            got.append(await pending.wait(5))
        except trio.ClosedResourceError as error:
            got.append(type(error))

    nursery.start_soon(take)
    nursery.start_soon(take)
    await wait_all_tasks_blocked()
    assert sorted(map(str, got)) == [str(trio.ClosedResourceError), "there"]
    assert bus.statistics().replies.timed_out == 0


async def test_errors_leave_no_garbage_in_a_circle(bus: Bus) -> None:
    """An error raised in the caller is freed as soon as nothing refers to it."""
    gc.collect()
    gc.disable()
    try:
        reply, pending = bus.open_reply()
        error = Refusal()
        gone = weakref.ref(error)
        reply.fail(error)
        del error
        with suppress(Refusal):
            await pending.wait(1)
        assert gone() is None
    finally:
        gc.enable()


async def test_error_for_many_has_the_traceback_of_none(bus: Bus, nursery: trio.Nursery) -> None:
    """One error may answer any number of questions: no caller sees the others' frames."""
    frames: list[int] = []

    async def ask(pending: PendingReply[Any]) -> None:
        try:
            await pending.wait(5)
        except Refusal as error:
            frames.append(len(traceback.extract_tb(error.__traceback__)))

    error = Refusal()
    for reply, pending in [bus.open_reply() for _ in range(10)]:
        nursery.start_soon(ask, pending)
        reply.fail(error)
    await wait_all_tasks_blocked()
    assert len(frames) == 10
    assert max(frames) == min(frames)


# --------------------------------------------------------------------- dropped


async def test_reply_garbage_collected_wakes_its_asker(
    bus: Bus, mailbox: Subscription, nursery: trio.Nursery
) -> None:
    """If a message is dropped and collected, its caller gets ActorStopped at once."""
    learned = trio.Event()

    async def ask() -> None:
        with pytest.raises(ActorStopped):
            await bus.ask(Topic.TASK, "question", timeout_s=5)
        learned.set()

    nursery.start_soon(ask)
    await wait_all_tasks_blocked()
    mailbox.receive_nowait()
    with trio.fail_after(5):
        await learned.wait()


async def test_reply_collected_in_a_cycle_wakes_its_asker(bus: Bus) -> None:
    """A reply in a reference cycle is collected by the collector, with the same outcome."""
    reply, pending = bus.open_reply()
    cycle: list[object] = [reply]
    cycle.append(cycle)
    del reply, cycle
    gc.collect()
    with pytest.raises(ActorStopped):
        await pending.wait(5)


async def test_reply_collected_in_another_thread_wakes_its_asker(
    bus: Bus, nursery: trio.Nursery
) -> None:
    """Garbage may be collected in any thread; a caller that is already waiting still learns."""
    reply, pending = bus.open_reply()
    garbage: list[Reply[object]] = [reply]
    del reply
    learned = trio.Event()

    async def wait() -> None:
        with pytest.raises(ActorStopped):
            await pending.wait(60)
        learned.set()

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    await trio.to_thread.run_sync(garbage.clear)
    with trio.fail_after(5):
        await learned.wait()


def test_reply_collected_after_the_run_is_silent() -> None:
    """A reply that outlives Trio's run does nothing when it is collected."""
    kept: list[object] = []

    async def main() -> None:
        await trio.lowlevel.checkpoint()
        kept.append(open_broadcast_channel().open_reply())

    trio.run(main)
    kept.clear()
    gc.collect()
    assert not kept


async def test_reply_is_settled_by_its_first_outcome_only(bus: Bus) -> None:
    """`settled` says whether an outcome was given."""
    reply, pending = bus.open_reply()
    assert not reply.settled
    reply.fail(ValueError("no"))
    assert reply.settled
    with pytest.raises(ValueError, match="no"):
        await pending.wait(1)
