"""Who receives what: topics, keys, the unclaimed, handles, and the ends of the channel."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from bus import (
    ActorStopped,
    Bus,
    Interest,
    Message,
    Overloaded,
    Subscription,
    Topic,
    open_broadcast_channel,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


def drained(subscription: Subscription) -> list[object]:
    """Receive everything that waits in a subscription; return the bodies."""
    bodies: list[object] = []
    while not subscription.is_empty():
        bodies.append(subscription.receive_nowait().body)
    return bodies


def opcodes_of(work: Callable[[], object]) -> int:
    """Count the bytecodes that Python executes for a piece of work: its cost without a clock."""
    count = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


# --------------------------------------------------------------------- who receives


async def test_broadcast_reaches_every_subscription_of_the_topic() -> None:
    """A message without a key is copied to every subscription of its topic and to no other."""
    bus = open_broadcast_channel()
    first = bus.subscribe(Interest(Topic.TASK), buffer=1)
    second = bus.subscribe(Interest(Topic.TASK), Interest(Topic.AUTH), buffer=1)
    other = bus.subscribe(Interest(Topic.AUTH), buffer=1)

    assert bus.send_nowait(Message(Topic.TASK, "work")) == 2

    assert drained(first) == drained(second) == ["work"]
    assert drained(other) == []


async def test_broadcast_keyed_message_reaches_its_key_and_the_wide_once_each() -> None:
    """A key narrows a message to those that declared it, plus those that want everything."""
    bus = open_broadcast_channel()
    a = bus.subscribe(Interest(Topic.TASK, "a"), buffer=4)
    also_a = bus.subscribe(Interest(Topic.TASK, "a"), Interest(Topic.TASK, "b"), buffer=4)
    wide = bus.subscribe(Interest(Topic.TASK), Interest(Topic.TASK, "a"), buffer=4)

    assert bus.send_nowait(Message(Topic.TASK, 1, "a")) == 3
    assert bus.send_nowait(Message(Topic.TASK, 2, "b")) == 2
    assert bus.send_nowait(Message(Topic.TASK, 3)) == 1

    assert drained(a) == [1]
    assert drained(also_a) == [1, 2]
    assert drained(wide) == [1, 2, 3]


async def test_broadcast_interest_declared_twice_is_one() -> None:
    """A subscription receives a message once, however often it declared its interest."""
    bus = open_broadcast_channel()
    keyed = bus.subscribe(Interest(Topic.TASK, "a"), Interest(Topic.TASK, "a"), buffer=4)

    assert bus.send_nowait(Message(Topic.TASK, "once", "a")) == 1

    assert drained(keyed) == ["once"]
    keyed.close()
    assert bus.statistics().subscriptions == 0


async def test_broadcast_key_of_one_topic_is_not_of_another() -> None:
    """The same key on another topic is another interest."""
    bus = open_broadcast_channel()
    task = bus.subscribe(Interest(Topic.TASK, "a"), buffer=1)

    assert bus.send_nowait(Message(Topic.AUTH, "hello", "a")) == 0

    assert task.is_empty()


async def test_unclaimed_interest_receives_keys_that_nobody_declared() -> None:
    """A key goes to the spare subscription while nobody else has declared it."""
    bus = open_broadcast_channel()
    spare = bus.subscribe(Interest(Topic.TASK, unclaimed=True), buffer=4)
    bus.send_nowait(Message(Topic.TASK, 1, "a"))
    owner = bus.subscribe(Interest(Topic.TASK, "a"), buffer=4)
    bus.send_nowait(Message(Topic.TASK, 2, "a"))
    owner.close()
    bus.send_nowait(Message(Topic.TASK, 3, "a"))
    bus.send_nowait(Message(Topic.TASK, "keyless"))

    assert drained(spare) == [1, 3]
    assert bus.statistics().topics[Topic.TASK].unclaimed == 2


def test_interest_in_unclaimed_keys_refuses_a_key() -> None:
    """An interest that contradicts itself cannot be made."""
    with pytest.raises(ValueError, match="has no key"):
        Interest(Topic.TASK, "a", unclaimed=True)


@pytest.mark.parametrize(("interests", "buffer"), [((), 1), ((Interest(Topic.TASK),), 0)])
async def test_subscribe_refuses_nothing_to_receive_or_no_room(
    interests: tuple[Interest, ...], buffer: int
) -> None:
    """A subscription needs an interest and a buffer."""
    bus = open_broadcast_channel()
    with pytest.raises(ValueError, match="at least one"):
        bus.subscribe(*interests, buffer=buffer)
    assert bus.statistics().subscriptions == 0


# --------------------------------------------------------------------- what it costs


@pytest.mark.parametrize("wide", [False, True])
async def test_broadcast_cost_of_a_keyed_send_ignores_how_many_subscriptions_exist(
    wide: bool,
) -> None:
    """Sending to one of 20,000 keys runs exactly the bytecodes of sending to one of 10."""
    costs: list[int] = []
    for existing in (10, 20_000):
        bus = open_broadcast_channel()
        owners = [
            bus.subscribe(Interest(Topic.TASK, f"key-{n}"), buffer=4) for n in range(existing)
        ]
        if wide:
            bus.subscribe(Interest(Topic.TASK), buffer=4)
        message = Message(Topic.TASK, "work", "key-7")
        send = partial(bus.send_nowait, message)
        send()  # the first one makes the buffers
        opcodes_of(send)  # and the first counted one warms up the code, in Python 3.12
        costs.append(opcodes_of(send))
        assert owners[7].statistics().current_buffer_used == 3
        assert all(owner.is_empty() for owner in owners if owner is not owners[7])

    assert costs[0] == costs[1]


async def test_broadcast_cost_of_leaving_ignores_how_many_subscriptions_exist() -> None:
    """Closing one of 20,000 keyed subscriptions costs what closing one of 10 costs."""
    costs: list[int] = []
    for existing in (10, 20_000):
        bus = open_broadcast_channel()
        owners = [bus.subscribe(Interest(Topic.TASK, f"{n}"), buffer=4) for n in range(existing)]
        costs.append(opcodes_of(owners[7].close))
    assert costs[0] == costs[1]


# --------------------------------------------------------------------- handles and ends


async def test_bus_closed_handle_refuses_everything_and_its_clone_goes_on() -> None:
    """Each handle is closed on its own; a closed one raises ClosedResourceError."""
    bus = open_broadcast_channel()
    clone = bus.clone()
    subscription = bus.subscribe(Interest(Topic.TASK), buffer=1)
    await bus.aclose()
    bus.close()  # closing again does no harm

    for use in (
        bus.clone,
        lambda: bus.subscribe(Interest(Topic.TASK), buffer=1),
        lambda: bus.send_nowait(Message(Topic.TASK, 1)),
    ):
        with pytest.raises(trio.ClosedResourceError):
            use()
    with pytest.raises(trio.ClosedResourceError):
        await bus.send(Message(Topic.TASK, 1))
    with pytest.raises(trio.ClosedResourceError):
        await bus.ask(Topic.TASK, 1, timeout_s=1)

    assert clone.statistics().open_send_handles == 1
    await clone.send(Message(Topic.TASK, "still"))
    assert drained(subscription) == ["still"]


async def test_bus_as_context_closes_the_handle() -> None:
    """Leaving the context closes this handle."""
    with open_broadcast_channel() as bus:
        assert isinstance(bus, Bus)
    with pytest.raises(trio.ClosedResourceError):
        bus.clone()


async def test_bus_without_any_subscription_is_broken() -> None:
    """A send with no receiver left raises BrokenResourceError, as Trio's channels do."""
    bus = open_broadcast_channel()
    with pytest.raises(trio.BrokenResourceError):
        bus.send_nowait(Message(Topic.TASK, 1))
    subscription = bus.subscribe(Interest(Topic.AUTH), buffer=1)
    assert bus.send_nowait(Message(Topic.TASK, 1)) == 0
    await subscription.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await bus.send(Message(Topic.AUTH, 1))


async def test_bus_question_to_nobody_at_all_is_answered_at_once() -> None:
    """A question on a bus without listeners fails with ActorStopped, whatever the timeout."""
    bus = open_broadcast_channel()
    with pytest.raises(ActorStopped):
        await bus.ask(Topic.TASK, 1, timeout_s=5)


async def test_bus_end_of_channel_comes_after_the_buffer_is_drained() -> None:
    """When the last handle closes, waiting messages are still received; then comes the end."""
    bus = open_broadcast_channel()
    clone = bus.clone()
    subscription = bus.subscribe(Interest(Topic.TASK), buffer=4)
    bus.send_nowait(Message(Topic.TASK, 1))
    bus.send_nowait(Message(Topic.TASK, 2))
    bus.close()
    with pytest.raises(trio.WouldBlock):
        await _received_then_would_block(subscription, 2)
    clone.send_nowait(Message(Topic.TASK, 3))
    clone.close()

    assert (await subscription.receive()).body == 3
    with pytest.raises(trio.EndOfChannel):
        await subscription.receive()
    with pytest.raises(trio.EndOfChannel):
        subscription.receive_nowait()


async def _received_then_would_block(subscription: Subscription, count: int) -> None:
    for _ in range(count):
        await subscription.receive()
    subscription.receive_nowait()


async def test_bus_end_wakes_a_waiting_receiver(nursery: trio.Nursery) -> None:
    """A receiver that is waiting when the last handle closes sees the end; its iteration ends."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(Interest(Topic.TASK), buffer=4)
    ended = trio.Event()

    async def iterate() -> None:
        async for message in subscription:
            pytest.fail(f"nothing was sent, and {message} came")
        ended.set()

    nursery.start_soon(iterate)
    await wait_all_tasks_blocked()
    bus.close()
    await wait_all_tasks_blocked()
    assert ended.is_set()


async def test_bus_tells_whether_a_message_would_reach_anybody() -> None:
    """Every recipient in reach counts, by topic and key; the query itself sends no message."""
    bus = open_broadcast_channel()
    follower = bus.subscribe(Interest(Topic.EVENT, "a"), buffer=1)
    assert bus.reaches(Topic.EVENT, "a")
    assert not bus.reaches(Topic.EVENT, "b")
    assert not bus.reaches(Topic.EVENT)
    assert bus.statistics().topics[Topic.EVENT].sent == 0
    follower.close()
    assert not bus.reaches(Topic.EVENT, "a")


# --------------------------------------------------------------------- statistics


async def test_bus_statistics_count_what_was_done() -> None:
    """The bus counts messages sent, delivered, refused, unclaimed and unheard, by topic."""
    bus = open_broadcast_channel()
    bus.subscribe(Interest(Topic.TASK), buffer=2)
    bus.subscribe(Interest(Topic.TASK, unclaimed=True), buffer=2)
    bus.send_nowait(Message(Topic.TASK, 1))
    bus.send_nowait(Message(Topic.TASK, 2, "a"))
    bus.send_nowait(Message(Topic.AUTH, 3))
    with pytest.raises(Overloaded):
        bus.send_nowait(Message(Topic.TASK, 4, "a"))

    statistics = bus.statistics()
    task, auth = statistics.topics[Topic.TASK], statistics.topics[Topic.AUTH]
    assert (task.sent, task.delivered, task.refused) == (2, 3, 1)
    assert (task.unclaimed, task.unheard) == (1, 0)
    assert (auth.sent, auth.delivered, auth.unheard) == (1, 0, 1)
    assert statistics.subscriptions == 2
    assert set(statistics.topics) == set(Topic)


async def test_bus_statistics_are_a_snapshot() -> None:
    """Statistics do not change after they are taken."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(Interest(Topic.TASK), buffer=2)
    before, buffer_before = bus.statistics(), subscription.statistics()
    bus.send_nowait(Message(Topic.TASK, 1))
    assert before.topics[Topic.TASK].sent == 0
    assert buffer_before.current_buffer_used == 0
    with pytest.raises(AttributeError):
        before.subscriptions = 7  # type: ignore[misc]
