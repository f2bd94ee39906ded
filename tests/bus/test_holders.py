"""Each recipient of a message may owe its answer: one, several, or those it is forwarded to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from bus import ActorStopped, Interest, Message, Overloaded, Topic, open_broadcast_channel

if TYPE_CHECKING:
    from bus import Bus, PendingReply


@pytest.fixture
async def bus() -> Bus:
    """Open a bus."""
    return open_broadcast_channel()


async def test_reply_of_several_holders_stops_with_the_last_of_them(bus: Bus) -> None:
    """A question that reached three is given up when the third drops it, not before."""
    holders = [bus.subscribe(Interest(Topic.TASK), buffer=1) for _ in range(3)]
    reply, pending = bus.open_reply()
    assert bus.send_nowait(Message(Topic.TASK, 0, reply=reply)) == 3
    holders[0].close()
    with holders[1].answering():
        holders[1].receive_nowait()
    assert not reply.settled
    holders[2].close()
    assert reply.settled
    with pytest.raises(ActorStopped):
        await pending.wait(5)


async def test_reply_of_several_holders_takes_the_first_answer(bus: Bus) -> None:
    """Two holders may drop a question that the third has answered."""
    holders = [bus.subscribe(Interest(Topic.TASK), buffer=1) for _ in range(3)]
    reply, pending = bus.open_reply()
    bus.send_nowait(Message(Topic.TASK, 0, reply=reply))
    holders[0].close()
    reply.send_nowait("first")
    holders[1].close()
    assert reply.send_nowait("second") is False
    assert await pending.wait(1) == "first"


async def test_reply_refused_by_a_full_buffer_counts_no_holder(bus: Bus) -> None:
    """A question refused because of one full buffer is held by nobody."""
    free = bus.subscribe(Interest(Topic.TASK), buffer=2)
    bus.subscribe(Interest(Topic.TASK), buffer=1)
    bus.send_nowait(Message(Topic.TASK, 0))
    with pytest.raises(Overloaded):
        await bus.ask(Topic.TASK, 1, timeout_s=5)
    assert free.statistics().current_buffer_used == 1
    counts = bus.statistics().replies
    assert (counts.answered, counts.stopped, counts.timed_out, counts.late) == (0, 0, 0, 0)


async def test_reply_of_several_holders_outlives_one_that_drops_it_and_leaves(bus: Bus) -> None:
    """A holder that drops a question, and then ends, speaks only for itself."""
    one, other = (bus.subscribe(Interest(Topic.TASK), buffer=1) for _ in range(2))
    reply, pending = bus.open_reply()
    bus.send_nowait(Message(Topic.TASK, 0, reply=reply))
    with one.answering():
        message = one.receive_nowait()
        one.drop(message)
        one.drop(message)
    assert not reply.settled
    other.drop(other.receive_nowait())
    with pytest.raises(ActorStopped):
        await pending.wait(5)


async def test_reply_that_was_sent_on_is_held_by_those_whom_it_reached(bus: Bus) -> None:
    """A holder that forwards a question may end, and no longer owes it; the new holder does."""
    first = bus.subscribe(Interest(Topic.TASK, key="first"), buffer=1)
    second = bus.subscribe(Interest(Topic.TASK, key="second"), buffer=1)
    reply, pending = bus.open_reply()
    bus.send_nowait(Message(Topic.TASK, 0, "first", reply))
    with first.answering():
        first.receive_nowait()
        assert first.statistics().in_hand == 1
        bus.send_nowait(Message(Topic.TASK, 0, "second", reply))
        assert first.statistics().in_hand == 0
    assert not reply.settled
    with second.answering():
        second.receive_nowait()
    with pytest.raises(ActorStopped):
        await pending.wait(5)


async def test_reply_that_was_sent_on_to_nobody_is_still_held(bus: Bus) -> None:
    """If forwarding a question reaches nobody, the forwarder still holds it."""
    mailbox = bus.subscribe(Interest(Topic.TASK, key="here"), buffer=1)
    reply, pending = bus.open_reply()
    bus.send_nowait(Message(Topic.TASK, 0, "here", reply))
    with mailbox.answering():
        mailbox.receive_nowait()
        assert bus.send_nowait(Message(Topic.TASK, 0, "nowhere", reply)) == 0
        assert not reply.settled
    with pytest.raises(ActorStopped):
        await pending.wait(5)


@pytest.mark.parametrize("end", ["leaves", "drops", "closes", "is overtaken"])
async def test_reply_that_was_sent_on_is_not_held_by_who_has_it_from_before(
    bus: Bus, end: str
) -> None:
    """Once one of several forwards a question, the others' copies can no longer end it."""
    topic = Topic.EVENT if end == "is overtaken" else Topic.TASK
    first, late = (bus.subscribe(Interest(topic, key="all"), buffer=1) for _ in range(2))
    last = bus.subscribe(Interest(topic, key="last"), buffer=1)
    reply, pending = bus.open_reply()
    bus.send_nowait(Message(topic, 0, "all", reply))
    first.receive_nowait()
    bus.send_nowait(Message(topic, 0, "last", reply))
    if end == "leaves":
        with late.answering():
            late.receive_nowait()
    elif end == "drops":
        late.drop(late.receive_nowait())
    elif end == "closes":
        late.close()
    else:
        bus.send_nowait(Message(topic, 1, "all"))
    assert late.statistics().in_hand == 0
    assert not reply.settled
    last.close()
    with pytest.raises(ActorStopped):
        await pending.wait(5)


async def test_holder_that_drops_all_keeps_its_keys(
    bus: Bus, autojump_clock: trio.testing.MockClock
) -> None:
    """What waits and what comes is given up at once, and no other subscription gets it."""
    gone = bus.subscribe(Interest(Topic.TASK, "a"), buffer=200)
    spare = bus.subscribe(Interest(Topic.TASK, unclaimed=True), buffer=1)
    waiting: list[PendingReply[Any]] = []
    for _ in range(150):
        reply, pending = bus.open_reply()
        bus.send_nowait(Message(Topic.TASK, 0, "a", reply))
        waiting.append(pending)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gone.drop_all)
        for pending in waiting:
            with pytest.raises(ActorStopped):
                await pending.wait(1)
        with pytest.raises(ActorStopped):
            await bus.ask(Topic.TASK, 1, key="a", timeout_s=1)
        assert trio.current_time() < 1
        assert spare.is_empty()
        # With the bus it ends.
        bus.close()
