"""Receiving: waiting, cancelling, closing, and the guard over messages in progress."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from bus import ActorStopped, Interest, Message, Subscription, Topic, open_broadcast_channel
from tests.bus.test_broadcast import drained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bus import PendingReply


async def receiving(
    nursery: trio.Nursery, subscription: Subscription, scope: trio.CancelScope | None = None
) -> list[object]:
    """Have a task wait for one message; return where its body will be."""
    received: list[object] = []

    async def receive() -> None:
        with scope or trio.CancelScope():
            received.append((await subscription.receive()).body)

    nursery.start_soon(receive)
    await wait_all_tasks_blocked()
    return received


async def test_receive_waits_for_the_next_message(nursery: trio.Nursery) -> None:
    """A receiver sleeps until a message comes and then has it."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(Interest(Topic.TASK), buffer=1)
    received = await receiving(nursery, subscription)
    assert received == []
    bus.send_nowait(Message(Topic.TASK, "work"))
    await wait_all_tasks_blocked()
    assert received == ["work"]


async def test_receive_refuses_a_second_waiting_task(nursery: trio.Nursery) -> None:
    """Two tasks cannot wait on one subscription; the first one goes on waiting."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(Interest(Topic.TASK), buffer=1)
    received = await receiving(nursery, subscription)
    with pytest.raises(trio.BusyResourceError):
        await subscription.receive()
    bus.send_nowait(Message(Topic.TASK, 1))
    await wait_all_tasks_blocked()
    assert received == [1]


async def test_receive_when_another_task_took_the_message_waits_on(nursery: trio.Nursery) -> None:
    """A receiver woken for a message that another has taken waits for the next one."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(Interest(Topic.TASK), buffer=2)
    received = await receiving(nursery, subscription)
    bus.send_nowait(Message(Topic.TASK, "taken"))
    assert subscription.receive_nowait().body == "taken"
    await wait_all_tasks_blocked()
    assert received == []
    bus.send_nowait(Message(Topic.TASK, "left"))
    await wait_all_tasks_blocked()
    assert received == ["left"]


async def test_receive_nowait_would_block_on_an_empty_buffer() -> None:
    """receive_nowait never waits."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(Interest(Topic.TASK), buffer=1)
    with pytest.raises(trio.WouldBlock):
        subscription.receive_nowait()


async def test_receive_is_a_checkpoint_even_when_a_message_waits() -> None:
    """An actor with a full mailbox still lets others run, and obeys a cancellation."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(Interest(Topic.TASK), buffer=1)
    bus.send_nowait(Message(Topic.TASK, 1))
    with trio.testing.assert_checkpoints():
        await subscription.receive()


async def test_receive_cancelled_before_leaves_the_message() -> None:
    """A receive in a cancelled scope takes nothing."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(Interest(Topic.TASK), buffer=1)
    bus.send_nowait(Message(Topic.TASK, "kept"))
    with trio.CancelScope() as scope:
        scope.cancel()
        await subscription.receive()
    assert scope.cancelled_caught
    assert drained(subscription) == ["kept"]


@given(order=st.lists(st.sampled_from(["send", "cancel", "run"]), min_size=1, max_size=12))
async def test_receive_never_loses_a_message_to_a_cancellation(order: Sequence[str]) -> None:
    """However sends and cancellations interleave, each message is received or still waits."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(Interest(Topic.TASK), buffer=100)
    received: list[object] = []
    sent = 0

    async def receive(scope: trio.CancelScope) -> None:
        with scope:
            while True:
                received.append((await subscription.receive()).body)

    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()
        nursery.start_soon(receive, scope)
        for step in order:
            if step == "send":
                bus.send_nowait(Message(Topic.TASK, sent))
                sent += 1
            elif step == "cancel":
                scope.cancel()
                await wait_all_tasks_blocked()
                scope = trio.CancelScope()
                nursery.start_soon(receive, scope)
            else:
                await trio.lowlevel.checkpoint()
        scope.cancel()

    assert [*received, *drained(subscription)] == list(range(sent))


async def test_receive_cancelled_together_with_a_send_returns_the_message(
    nursery: trio.Nursery,
) -> None:
    """A receiver woken by a message gets it, even if a cancellation came meanwhile."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(Interest(Topic.TASK), buffer=1)
    scope = trio.CancelScope()
    received = await receiving(nursery, subscription, scope)
    bus.send_nowait(Message(Topic.TASK, "work"))
    scope.cancel()
    await wait_all_tasks_blocked()
    assert received == ["work"]
    assert subscription.is_empty()


# --------------------------------------------------------------------- closing


async def test_close_wakes_the_receiver_and_leaves_the_bus(nursery: trio.Nursery) -> None:
    """A closed subscription receives nothing more, and its receiver is told so."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(
        Interest(Topic.TASK),
        Interest(Topic.AUTH, "a"),
        Interest(Topic.TICK, unclaimed=True),
        buffer=1,
    )
    bus.subscribe(Interest(Topic.SHUTDOWN), buffer=1)
    closed = trio.Event()

    async def receive() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await subscription.receive()
        closed.set()

    nursery.start_soon(receive)
    await wait_all_tasks_blocked()
    subscription.close()
    subscription.close()
    await wait_all_tasks_blocked()
    assert closed.is_set()
    with pytest.raises(trio.ClosedResourceError):
        subscription.receive_nowait()
    assert bus.send_nowait(Message(Topic.TASK, 1)) == 0
    assert bus.send_nowait(Message(Topic.AUTH, 1, "a")) == 0
    assert bus.send_nowait(Message(Topic.TICK, 1, "b")) == 0
    assert bus.statistics().subscriptions == 1


async def test_close_keeps_others_with_the_same_key() -> None:
    """Closing one of two subscriptions with the same key leaves the other its messages."""
    bus = open_broadcast_channel()
    first = bus.subscribe(Interest(Topic.TASK, "a"), buffer=1)
    second = bus.subscribe(Interest(Topic.TASK, "a"), buffer=1)
    await first.aclose()
    assert bus.send_nowait(Message(Topic.TASK, 1, "a")) == 1
    assert drained(second) == [1]


async def test_close_tells_everyone_whose_message_waits() -> None:
    """Callers whose queued, latest or urgent messages a close drops learn so at once."""
    bus = open_broadcast_channel()
    topics = (Topic.TASK, Topic.AUTH, Topic.TICK, Topic.SHUTDOWN)
    subscription = bus.subscribe(*map(Interest, topics), buffer=4)
    pending: list[PendingReply[object]] = []
    for topic in topics:
        reply, waits = bus.open_reply()
        bus.send_nowait(Message(topic, 0, reply=reply))
        pending.append(waits)
    subscription.close()
    for waits in pending:
        with pytest.raises(ActorStopped):
            await waits.wait(5)
    assert bus.statistics().replies.stopped == 4


async def test_iteration_ends_when_the_subscription_is_closed() -> None:
    """An actor's loop ends when its subscription is closed."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(Interest(Topic.TASK), buffer=2)
    bus.send_nowait(Message(Topic.TASK, 1))
    seen: list[object] = []
    async for message in subscription:
        seen.append(message.body)
        subscription.close()
    assert seen == [1]


async def test_what_a_later_message_took_the_place_of_is_counted() -> None:
    """Of ticks and events only the newest waits; the count of replaced ones is visible."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(Interest(Topic.TICK), Interest(Topic.EVENT), buffer=1)
    for number in range(3):
        bus.send_nowait(Message(Topic.EVENT, number))
    bus.send_nowait(Message(Topic.TICK, 7))
    assert subscription.replaced == 2
    assert [message.body for message in subscription.receive_some_nowait(9)] == [7, 2]


# --------------------------------------------------------------------- in hand


async def _crash(subscription: Subscription) -> None:
    with subscription.answering():
        message = await subscription.receive()
        raise RuntimeError(message.body)


async def test_answering_drops_what_a_crash_left_in_hand_and_keeps_what_waits() -> None:
    """The caller of the message in progress learns of the crash; the next message survives it."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(Interest(Topic.TASK), buffer=2)
    (first, first_pending), (second, second_pending) = bus.open_reply(), bus.open_reply()
    bus.send_nowait(Message(Topic.TASK, "first", reply=first))
    bus.send_nowait(Message(Topic.TASK, "second", reply=second))

    with pytest.raises(RuntimeError, match="first"):
        await _crash(subscription)

    with pytest.raises(ActorStopped):
        await first_pending.wait(5)
    with subscription.answering():
        message = await subscription.receive()
        assert message.reply is not None
        message.reply.send_nowait("done")
    assert await second_pending.wait(1) == "done"


async def test_answering_leaves_an_answered_message_alone() -> None:
    """An answered message keeps its answer when the actor ends."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(Interest(Topic.TASK), buffer=2)
    reply, pending = bus.open_reply()
    bus.send_nowait(Message(Topic.TASK, 0, reply=reply))
    with subscription.answering():
        subscription.receive_nowait()
        reply.send_nowait("answer")
    assert await pending.wait(1) == "answer"


async def test_answering_remembers_all_that_are_owed() -> None:
    """However many are taken and answered, none of those still owed is forgotten."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(Interest(Topic.TASK), buffer=100)
    held = [bus.open_reply() for _ in range(100)]
    for reply, _ in held:
        bus.send_nowait(Message(Topic.TASK, 0, reply=reply))
    with subscription.answering():
        for number in range(100):
            message = subscription.receive_nowait()
            assert message.reply is not None
            if number % 10:
                message.reply.send_nowait(number)
        assert subscription.statistics().in_hand == 10
    assert subscription.statistics().in_hand == 0
    for number, (_, pending) in enumerate(held):
        if number % 10:
            assert await pending.wait(1) == number
        else:
            with pytest.raises(ActorStopped):
                await pending.wait(5)


async def test_answering_keeps_no_trace_of_what_was_answered() -> None:
    """An actor's memory does not grow with its messages, whatever else it holds."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(Interest(Topic.TASK), buffer=1)
    last = None
    with subscription.answering():
        for number in range(1000):
            reply, pending = bus.open_reply()
            bus.send_nowait(Message(Topic.TASK, number, reply=reply))
            # A loop holds the previous message until it has the next.
            last = subscription.receive_nowait()
            reply.send_nowait(number)
            assert await pending.wait(1) == number
        assert len(subscription._in_hand) < 20
    assert last is not None


async def test_answering_holds_no_reply_alive() -> None:
    """If an actor drops a message unanswered, the caller learns so before the actor ends."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(Interest(Topic.TASK), buffer=1)
    reply, pending = bus.open_reply()
    bus.send_nowait(Message(Topic.TASK, 0, reply=reply))
    del reply
    with subscription.answering():
        subscription.receive_nowait()
        with pytest.raises(ActorStopped):
            await pending.wait(5)


class _Cycle:
    """Holds a message until garbage is collected."""

    def __init__(self, message: Message) -> None:
        self.message, self.itself = message, self


@pytest.fixture
def collecting() -> Iterator[Callable[[int], None]]:
    """Have garbage collected only after so many more allocations."""
    thresholds = gc.get_threshold()

    def collect_after(allocations: int) -> None:
        gc.set_threshold(gc.get_count()[0] + allocations)
        gc.enable()

    gc.disable()
    yield collect_after
    gc.set_threshold(*thresholds)
    gc.enable()


@pytest.mark.parametrize("settled_by", ["answering", "statistics"])
async def test_messages_in_hand_may_be_collected_while_they_are_gone_through(
    settled_by: str, collecting: Callable[[int], None]
) -> None:
    """Garbage may be collected at any moment: all callers are told, and nothing fails."""
    for allocations in range(3, 60):
        gc.disable()
        bus = open_broadcast_channel()
        subscription = bus.subscribe(Interest(Topic.TASK), buffer=1)
        pending: list[PendingReply[object]] = []
        with subscription.answering():
            for _ in range(30):
                reply, its_pending = bus.open_reply()
                bus.send_nowait(Message(Topic.TASK, 0, reply=reply))
                _Cycle(subscription.receive_nowait())
                pending.append(its_pending)
                del reply
            collecting(allocations)
            if settled_by == "statistics":
                subscription.statistics()
                gc.disable()
        gc.disable()
        for each in pending:
            with pytest.raises(ActorStopped):
                await each.wait(5)


async def test_receive_leaves_the_message_in_sight_until_it_returns_it() -> None:
    """Meanwhile nobody mistakes a receiver with a message for an idle one."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(Interest(Topic.TASK), buffer=1)
    received: list[object] = []

    async def receive() -> None:
        received.append((await subscription.receive()).body)

    async def watch() -> None:
        while not received:
            assert not subscription.is_empty()
            await trio.lowlevel.checkpoint()

    # Which of the two runs first is chance.
    for _ in range(32):
        received.clear()
        bus.send_nowait(Message(Topic.TASK, "work"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            nursery.start_soon(watch)


async def test_receive_some_nowait_takes_what_waits() -> None:
    """Messages come in order, up to a limit; none if none waits or ever will."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(Interest(Topic.TASK), Interest(Topic.SHUTDOWN), buffer=8)
    assert subscription.receive_some_nowait(4) == []
    for number in range(6):
        bus.send_nowait(Message(Topic.TASK, number))
    bus.send_nowait(Message(Topic.SHUTDOWN, "now"))
    taken = [message.body for message in subscription.receive_some_nowait(4)]
    assert taken == ["now", 0, 1, 2]
    bus.close()
    assert [message.body for message in subscription.receive_some_nowait(9)] == [3, 4, 5]
    assert subscription.receive_some_nowait(9) == []
    subscription.close()
    assert subscription.receive_some_nowait(9) == []
