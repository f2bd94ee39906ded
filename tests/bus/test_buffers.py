"""What a buffer without room does with each topic, and what overtakes what."""

from __future__ import annotations

import pytest

from bus import (
    ActorStopped,
    Delivery,
    Interest,
    Message,
    Overloaded,
    Topic,
    open_broadcast_channel,
)
from tests.bus.test_broadcast import drained

EVERYTHING = tuple(Interest(topic) for topic in Topic)


@pytest.mark.parametrize(
    ("topic", "delivery"),
    [
        (Topic.SHUTDOWN, Delivery.URGENT),
        (Topic.AUTH, Delivery.QUEUED),
        (Topic.TASK, Delivery.QUEUED),
        (Topic.TICK, Delivery.LATEST),
        (Topic.EVENT, Delivery.LATEST),
    ],
)
def test_topic_has_the_policy_of_the_design(topic: Topic, delivery: Delivery) -> None:
    """Each topic has the buffer policy its design gives it."""
    assert topic.delivery is delivery


@pytest.mark.parametrize("topic", [Topic.AUTH, Topic.TASK])
async def test_buffer_full_refuses_at_once_and_delivers_to_nobody(topic: Topic) -> None:
    """One full buffer in reach makes the send fail at once, and nobody gets the message."""
    bus = open_broadcast_channel()
    before = bus.subscribe(Interest(topic), buffer=9)
    full = bus.subscribe(Interest(topic), buffer=1)
    after = bus.subscribe(Interest(topic), buffer=9)
    bus.send_nowait(Message(topic, 1))

    with pytest.raises(Overloaded, match=topic.value):
        bus.send_nowait(Message(topic, 2))
    with pytest.raises(Overloaded):
        await bus.send(Message(topic, 3))
    with pytest.raises(Overloaded):
        await bus.ask(topic, 4, timeout_s=5)

    assert drained(before) == drained(full) == drained(after) == [1]
    assert bus.statistics().topics[topic].refused == 3


async def test_buffer_out_of_reach_may_be_full() -> None:
    """A full buffer of another key refuses nothing to anybody else."""
    bus = open_broadcast_channel()
    bus.subscribe(Interest(Topic.TASK, "full"), buffer=1)
    free = bus.subscribe(Interest(Topic.TASK, "free"), buffer=1)
    bus.send_nowait(Message(Topic.TASK, 1, "full"))
    bus.send_nowait(Message(Topic.TASK, 2, "free"))
    assert drained(free) == [2]


async def test_buffer_takes_again_after_one_was_received() -> None:
    """Receiving makes room for exactly one more."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(Interest(Topic.TASK), buffer=2)
    bus.send_nowait(Message(Topic.TASK, 1))
    bus.send_nowait(Message(Topic.TASK, 2))
    assert subscription.receive_nowait().body == 1
    bus.send_nowait(Message(Topic.TASK, 3))
    with pytest.raises(Overloaded):
        bus.send_nowait(Message(Topic.TASK, 4))
    assert drained(subscription) == [2, 3]


async def test_buffer_shutdown_is_never_dropped_and_overtakes_everything() -> None:
    """Shutdown comes through a full buffer and is received before a tick and the queue."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(*EVERYTHING, buffer=1)
    bus.send_nowait(Message(Topic.TASK, "task"))
    bus.send_nowait(Message(Topic.TICK, "tick"))
    bus.send_nowait(Message(Topic.SHUTDOWN, "shutdown"))
    assert drained(subscription) == ["shutdown", "tick", "task"]


async def test_buffer_repeated_shutdown_replaces_the_waiting_one() -> None:
    """Of two shutdown phases that wait, the later one is the one the actor obeys."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(*EVERYTHING, buffer=1)
    bus.send_nowait(Message(Topic.SHUTDOWN, "phase 1"))
    bus.send_nowait(Message(Topic.SHUTDOWN, "phase 2"))
    assert drained(subscription) == ["phase 2"]


async def test_buffer_keeps_the_latest_tick_only_and_beside_a_full_queue() -> None:
    """Ticks take no room in the queue; a slow actor sees the newest."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(*EVERYTHING, buffer=1)
    bus.send_nowait(Message(Topic.TASK, "task"))
    for tick in range(5):
        assert bus.send_nowait(Message(Topic.TICK, tick)) == 1
    assert drained(subscription) == [4, "task"]


@pytest.mark.parametrize("topic", [Topic.TICK, Topic.SHUTDOWN])
async def test_buffer_replaced_message_tells_its_asker(topic: Topic) -> None:
    """If a newer message replaces one, the older one's caller learns so at once."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(Interest(topic), buffer=1)
    reply, pending = bus.open_reply()
    bus.send_nowait(Message(topic, "old", reply=reply))
    bus.send_nowait(Message(topic, "new"))
    with pytest.raises(ActorStopped):
        await pending.wait(5)
    assert drained(subscription) == ["new"]


async def test_buffer_keeps_the_order_of_sending() -> None:
    """Queued messages are received in the order in which they were sent, whatever their topic."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(*EVERYTHING, buffer=10)
    for number in range(10):
        bus.send_nowait(Message((Topic.AUTH, Topic.TASK)[number % 2], number))
    assert drained(subscription) == list(range(10))


async def test_buffer_statistics_tell_use_limit_peak_and_what_is_in_hand() -> None:
    """A subscription reports its fill, limit and peak, and how many answers it owes."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(*EVERYTHING, buffer=5)
    replies = [bus.open_reply() for _ in range(3)]
    for reply, _ in replies:
        bus.send_nowait(Message(Topic.TASK, 0, reply=reply))
    first = subscription.receive_nowait()
    second = subscription.receive_nowait()

    statistics = subscription.statistics()
    assert statistics.current_buffer_used == 1
    assert statistics.max_buffer_size == 5
    assert statistics.peak_buffer_used == 3
    assert statistics.in_hand == 2

    assert first.reply is not None
    first.reply.send_nowait(None)
    assert subscription.statistics().in_hand == 1
    assert second.reply is not None


async def test_buffer_keeps_the_latest_of_each_topic() -> None:
    """A tick and an event wait side by side: neither replaces the other."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(*EVERYTHING, buffer=9)
    for number, topic in enumerate((Topic.TASK, Topic.EVENT, Topic.TICK, Topic.TICK, Topic.EVENT)):
        bus.send_nowait(Message(topic, number))
    assert not subscription.is_empty()
    assert drained(subscription) == [3, 4, 0]
    assert subscription.is_empty()
