"""One task keeps the deadlines of everyone awaiting a reply: only the cost shows it."""

from __future__ import annotations

import gc
import math
import weakref
from typing import TYPE_CHECKING, NamedTuple

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from bus import ActorStopped, Interest, ReplyTimeout, Topic, open_broadcast_channel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bus import Bus, PendingReply, Reply


class Answer:
    """An answer whose disappearance can be observed."""


@pytest.fixture
async def bus(nursery: trio.Nursery) -> Bus:
    """Open a bus whose deadlines are kept."""
    bus = open_broadcast_channel()
    nursery.start_soon(bus.keep_deadlines)
    await wait_all_tasks_blocked()
    return bus


async def timed_out_at(pending: PendingReply[object], timeout_s: float, at: list[float]) -> None:
    """Wait for an answer that does not come, and note when the wait was over."""
    with pytest.raises(ReplyTimeout):
        await pending.wait(timeout_s)
    at.append(trio.current_time())


async def answered_once(bus: Bus, timeout_s: float) -> weakref.ref[Answer]:
    """Wait for an answer that comes; return a reference that shows whether it is gone."""
    reply, pending = bus.open_reply()
    answer = Answer()
    gone = weakref.ref(answer)
    trio.lowlevel.current_trio_token().run_sync_soon(reply.send_nowait, answer)
    del answer
    await pending.wait(timeout_s)
    await wait_all_tasks_blocked()
    return gone


# --------------------------------------------------------------------- waiting


async def test_each_timeout_passes_at_its_own_time(
    bus: Bus, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """A later caller with a shorter timeout is woken earlier; nobody waits for another."""
    began, at = trio.current_time(), list[float]()
    kept: list[Reply[object]] = []
    async with trio.open_nursery() as waiting:
        for timeout_s in (5.0, 1.0, 3.0, 1.0, 0.0):
            reply, pending = bus.open_reply()
            kept.append(reply)
            waiting.start_soon(timed_out_at, pending, timeout_s, at)
            await trio.sleep(0.25)
    assert [moment - began for moment in at] == pytest.approx([1.0, 1.25, 1.75, 3.5, 5.0])
    assert bus.statistics().replies.timed_out == 5
    assert not any(reply.send_nowait("late") for reply in kept)
    assert bus.statistics().replies.late == 5


async def test_wait_without_an_end_is_never_timed_out(
    bus: Bus, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """An infinite timeout never passes, even beside others that do."""
    reply, pending = bus.open_reply()
    silent, given_up = bus.open_reply()
    at: list[float] = []
    nursery.start_soon(timed_out_at, given_up, 1.0, at)

    async def answer() -> None:
        await trio.sleep(1_000)
        reply.send_nowait("at last")

    nursery.start_soon(answer)
    assert await pending.wait(math.inf) == "at last"
    assert len(at) == 1
    assert silent.send_nowait("late") is False


@pytest.mark.parametrize("kept", [True, False])
async def test_answer_given_as_the_deadline_passes_is_the_outcome_or_is_late(
    bus: Bus, nursery: trio.Nursery, autojump_clock: MockClock, *, kept: bool
) -> None:
    """At the same moment either may be first, and both sides see the same."""
    bus = bus if kept else open_broadcast_channel()
    for _ in range(20):
        reply, pending = bus.open_reply()
        taken: list[bool] = []

        async def answer(reply: Reply[str] = reply, taken: list[bool] = taken) -> None:
            await trio.sleep(2)
            taken.append(reply.send_nowait("just now"))

        async with trio.open_nursery() as waiting:
            waiting.start_soon(answer)
            try:
                outcome = await pending.wait(2)
            except ReplyTimeout:
                outcome = None
        assert taken == [outcome == "just now"]


@pytest.mark.parametrize("kept", [True, False])
async def test_answer_given_after_the_cancellation_is_late(bus: Bus, *, kept: bool) -> None:
    """It is late at once, even before the caller runs: no answer is taken and then lost."""
    bus = bus if kept else open_broadcast_channel()
    reply, pending = bus.open_reply()
    async with trio.open_nursery() as asking:
        asking.start_soon(pending.wait, 5.0)
        await wait_all_tasks_blocked()
        asking.cancel_scope.cancel()
        assert reply.send_nowait("too late") is False
    assert bus.statistics().replies.late == 1


async def test_cancelled_asker_is_forgotten_and_its_answer_late(
    bus: Bus, autojump_clock: MockClock
) -> None:
    """Cancellation gives the question up; its deadline passes unnoticed."""
    reply, pending = bus.open_reply()
    with trio.move_on_after(1) as scope:
        await pending.wait(5)
    assert scope.cancelled_caught
    assert reply.send_nowait(1) is False
    await trio.sleep(10)
    counts = bus.statistics().replies
    assert (counts.late, counts.timed_out) == (1, 0)


async def test_dropped_question_wakes_its_asker_before_the_deadline(
    bus: Bus, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """If its holder stops, the caller gets ActorStopped at once."""
    mailbox = bus.subscribe(Interest(Topic.TASK), buffer=1)

    async def stop() -> None:
        await trio.sleep(1)
        mailbox.close()

    nursery.start_soon(stop)
    with pytest.raises(ActorStopped):
        await bus.ask(Topic.TASK, "?", timeout_s=5)
    assert trio.current_time() < 2


async def test_nothing_is_kept_of_a_question_that_is_over(
    bus: Bus, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Neither pending replies nor answers pile up until deadlines they did not need."""
    gc.collect()
    gc.disable()
    try:
        gone = [await answered_once(bus, 1_000) for _ in range(100)]
        assert not any(each() for each in gone)
        lanes = bus._state.replies.deadlines._lanes
        assert not any(lanes.values())
        # Including a timeout that is no longer needed.
        await trio.sleep(2_000)
        assert not lanes
    finally:
        gc.enable()


# --------------------------------------------------------------------- the keeper


async def test_deadlines_have_one_keeper_at_a_time(bus: Bus) -> None:
    """A second one is refused and disturbs nothing; after the first, another may take over."""
    with pytest.raises(trio.BusyResourceError):
        await bus.keep_deadlines()
    other = open_broadcast_channel()
    for _ in range(2):
        with trio.CancelScope() as scope:
            scope.cancel()
            await other.keep_deadlines()
        assert scope.cancelled_caught


async def test_keeper_that_ends_leaves_every_deadline_in_force(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Callers waiting when it ends keep waiting: for the answer, or for their own deadline."""
    bus = open_broadcast_channel()
    keeping = trio.CancelScope()

    async def keep() -> None:
        with keeping:
            await bus.keep_deadlines()

    nursery.start_soon(keep)
    await wait_all_tasks_blocked()
    (silent, slow), (reply, pending) = bus.open_reply(), bus.open_reply()
    began, at, got = trio.current_time(), list[float](), list[object]()

    async def wait() -> None:
        got.append(await pending.wait(5))

    async with trio.open_nursery() as waiting:
        waiting.start_soon(timed_out_at, slow, 3.0, at)
        waiting.start_soon(wait)
        await trio.sleep(1)
        keeping.cancel()
        await trio.sleep(1)
        reply.send_nowait("an answer")
    assert got == ["an answer"]
    assert at == pytest.approx([began + 3])
    assert silent.send_nowait("late") is False


async def test_keeper_that_begins_later_disturbs_nobody(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """A caller that already waits has a cancel scope of its own, and keeps it."""
    bus = open_broadcast_channel()
    first, second = bus.open_reply(), bus.open_reply()
    began, at = trio.current_time(), list[float]()
    async with trio.open_nursery() as waiting:
        waiting.start_soon(timed_out_at, first[1], 2.0, at)
        await trio.sleep(1)
        nursery.start_soon(bus.keep_deadlines)
        await wait_all_tasks_blocked()
        waiting.start_soon(timed_out_at, second[1], 2.0, at)
    assert at == pytest.approx([began + 2, began + 3])


# --------------------------------------------------------------------- any sequence


class Question(NamedTuple):
    """A question: when it is asked, for how long, and when it gets which outcome."""

    asked: int
    timeout: int
    then: float
    end: str


# Whole seconds for beginnings and deadlines, halves for answers: no two that matter coincide.
QUESTIONS = st.lists(
    st.builds(
        Question,
        asked=st.integers(0, 6),
        timeout=st.sampled_from([0, 1, 2, 5]),
        then=st.integers(0, 12).map(lambda second: second + 0.5),
        end=st.sampled_from(["answered", "stopped", "cancelled"]),
    ),
    min_size=1,
    max_size=12,
)


def outcomes(questions: Sequence[Question], kept: tuple[float, float]) -> list[tuple[str, float]]:
    """Ask them all while the deadlines are kept for a time; return how and when each came out."""
    out: list[tuple[str, float]] = [("", 0.0)] * len(questions)

    async def ask(bus: Bus, number: int, question: Question) -> None:
        await trio.sleep(question.asked)
        reply, pending = bus.open_reply()
        async with trio.open_nursery() as both:

            async def finish() -> None:
                await trio.sleep(question.then - question.asked)
                if question.end == "answered":
                    reply.send_nowait("answer")
                elif question.end == "stopped":
                    reply.close()
                else:
                    both.cancel_scope.cancel()

            outcome = "cancelled"
            if question.then > question.asked:
                both.start_soon(finish)
            try:
                await pending.wait(question.timeout)
                outcome = "answered"
            except ReplyTimeout:
                outcome = "timed out"
            except ActorStopped:
                outcome = "stopped"
            finally:
                out[number] = outcome, trio.current_time()
            both.cancel_scope.cancel()

    async def keep(bus: Bus) -> None:
        begin, length = kept
        await trio.sleep(begin)
        with trio.move_on_after(length):
            await bus.keep_deadlines()

    async def main() -> None:
        with open_broadcast_channel() as bus:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(keep, bus)
                for number, question in enumerate(questions):
                    nursery.start_soon(ask, bus, number, question)
            assert not any(bus._state.replies.deadlines._lanes.values())

    trio.run(main, clock=MockClock(autojump_threshold=0))
    return out


def expected(question: Question) -> tuple[str, float]:
    """Return the outcome that a question must have."""
    deadline = question.asked + question.timeout
    if question.asked < question.then < deadline:
        return question.end, question.then
    return "timed out", deadline


@given(
    questions=QUESTIONS,
    kept=st.tuples(
        st.integers(0, 8).map(lambda second: second + 0.25), st.integers(0, 12).map(float)
    ),
)
def test_questions_come_out_alike_whenever_their_deadlines_are_kept(
    questions: list[Question], kept: tuple[float, float]
) -> None:
    """Each has the one outcome that comes first, at its time, through any coming and going."""
    came_out = outcomes(questions, kept)
    assert [end for end, _ in came_out] == [expected(each)[0] for each in questions]
    assert [at for _, at in came_out] == pytest.approx([expected(each)[1] for each in questions])
