"""A fan-out to many goes in slices and lets others run in between."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import pairwise

import pytest
import trio

from bus import (
    FAN_OUT_SLICE,
    ActorStopped,
    Interest,
    Message,
    Overloaded,
    Topic,
    open_broadcast_channel,
)

MANY = 10 * FAN_OUT_SLICE


async def test_fan_out_yields_between_slices() -> None:
    """While a message goes to many, a task beside it runs between the slices."""
    bus = open_broadcast_channel()
    crowd = [bus.subscribe(Interest(Topic.TICK), buffer=1) for _ in range(MANY)]
    reached: list[int] = []

    async def watch() -> None:
        while True:
            reached.append(sum(not each.is_empty() for each in crowd))
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        assert await bus.send(Message(Topic.TICK, 1)) == MANY
        nursery.cancel_scope.cancel()

    # Trio runs the two tasks in any order within a turn: at most two slices between two looks.
    assert max(after - before for before, after in pairwise(reached)) <= 2 * FAN_OUT_SLICE
    assert len({count for count in reached if 0 < count < MANY}) >= 3


async def test_fan_out_needs_send_not_send_nowait() -> None:
    """send_nowait delivers to at most one slice, and to nobody if there are more."""
    bus = open_broadcast_channel()
    crowd = [bus.subscribe(Interest(Topic.TICK), buffer=1) for _ in range(FAN_OUT_SLICE)]
    assert bus.send_nowait(Message(Topic.TICK, 1)) == FAN_OUT_SLICE
    crowd.append(bus.subscribe(Interest(Topic.TICK), buffer=1))
    with pytest.raises(trio.WouldBlock):
        bus.send_nowait(Message(Topic.TICK, 2))
    assert crowd[-1].is_empty()
    assert crowd[0].receive_nowait().body == 1
    assert bus.statistics().topics[Topic.TICK].sent == 1


async def test_fan_out_passes_over_a_subscription_that_closes_meanwhile() -> None:
    """A subscriber that leaves between two slices gets nothing; all the others get theirs."""
    bus = open_broadcast_channel()
    crowd = [bus.subscribe(Interest(Topic.TICK), buffer=1) for _ in range(MANY)]

    async def leave() -> None:
        crowd[0].close()
        crowd[-1].close()
        await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
        # The checkpoint before the first slice is skipped: the message is already on its way.
        delivered = await bus._send_in_slices(Message(Topic.TICK, 1))

    assert delivered == MANY - 1
    assert all(not each.is_empty() for each in crowd[1:-1])
    assert bus.statistics().topics[Topic.TICK].delivered == MANY - 1


async def test_fan_out_question_stops_when_all_holders_have_left() -> None:
    """A question to many, some of whom leave before it comes, ends with the last holder."""
    bus = open_broadcast_channel()
    crowd = [bus.subscribe(Interest(Topic.TASK), buffer=1) for _ in range(MANY)]

    async def leave() -> None:
        for each in crowd[-FAN_OUT_SLICE:]:
            each.close()
        await trio.testing.wait_all_tasks_blocked()
        for each in crowd:
            each.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
        with pytest.raises(ActorStopped):
            await bus.ask(Topic.TASK, "anyone?", timeout_s=5)


async def test_fan_out_question_is_answered_by_one_of_many() -> None:
    """A question may reach more than one slice; the first answer counts."""
    bus = open_broadcast_channel()
    crowd = [bus.subscribe(Interest(Topic.TASK), buffer=1) for _ in range(MANY)]

    async def answer() -> None:
        message = await crowd[-1].receive()
        assert message.reply is not None
        message.reply.send_nowait("here")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        assert await bus.ask(Topic.TASK, "anyone?", timeout_s=5) == "here"


async def test_fan_out_tells_of_the_buffers_that_were_full() -> None:
    """Past one slice, a full buffer refuses only for itself, and the sender learns of it."""
    bus = open_broadcast_channel()
    crowd = [bus.subscribe(Interest(Topic.TASK), buffer=1) for _ in range(MANY)]
    crowd[3].put(Message(Topic.TASK, "old"), Topic.TASK.delivery)
    with pytest.raises(Overloaded, match=f"1 of {MANY}"):
        await bus.send(Message(Topic.TASK, "new"))
    assert crowd[3].receive_nowait().body == "old"
    assert crowd[-1].receive_nowait().body == "new"
    counts = bus.statistics().topics[Topic.TASK]
    assert (counts.delivered, counts.refused) == (MANY - 1, 1)


async def test_fan_out_cancelled_leaves_the_rest_and_gives_up_their_share() -> None:
    """Cancelled between two slices, a send skips the rest, and they do not hold the question."""
    bus = open_broadcast_channel()
    crowd = [bus.subscribe(Interest(Topic.TASK), buffer=1) for _ in range(MANY)]
    reply, pending = bus.open_reply()
    with trio.CancelScope() as scope:
        scope.cancel()
        await bus._send_in_slices(Message(Topic.TASK, "work", reply=reply))
    assert scope.cancelled_caught
    reached = [each for each in crowd if not each.is_empty()]
    assert len(reached) == FAN_OUT_SLICE
    assert bus.statistics().topics[Topic.TASK].delivered == FAN_OUT_SLICE
    for each in reached:
        each.close()
    with pytest.raises(ActorStopped):
        await pending.wait(5)


async def test_fan_out_counts_an_unclaimed_key_once() -> None:
    """A message sent in slices is one message in the statistics."""
    bus = open_broadcast_channel()
    for _ in range(MANY):
        bus.subscribe(Interest(Topic.TASK, unclaimed=True), buffer=1)
    await bus.send(Message(Topic.TASK, 1, "nobody's"))
    counts = bus.statistics().topics[Topic.TASK]
    assert (counts.sent, counts.unclaimed, counts.delivered) == (1, 1, MANY)


@pytest.mark.parametrize("room", [True, False])
async def test_fan_out_question_that_is_sent_on_meanwhile_is_held_by_whom_that_reaches(
    *, room: bool
) -> None:
    """Whether or not the rest of the first send arrives, it can no longer end the question."""
    bus = open_broadcast_channel()
    crowd = [bus.subscribe(Interest(Topic.TASK), buffer=1) for _ in range(MANY)]
    last = bus.subscribe(Interest(Topic.AUTH), buffer=1)
    if not room:
        crowd[-1].put(Message(Topic.TASK, "old"), Topic.TASK.delivery)
    reply, pending = bus.open_reply()

    async def send_on() -> None:
        message = await crowd[0].receive()
        bus.send_nowait(Message(Topic.AUTH, message.body, reply=message.reply))
        assert crowd[-1].is_empty() is room

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_on)
        await trio.testing.wait_all_tasks_blocked()
        with nullcontext() if room else pytest.raises(Overloaded):
            await bus.send(Message(Topic.TASK, "question", reply=reply))
    for each in crowd:
        each.close()
    assert not reply.settled
    last.close()
    with pytest.raises(ActorStopped):
        await pending.wait(5)
