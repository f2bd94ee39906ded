"""An observer of a bus sees each question from beginning to end, and sends a trace along."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from bus import (
    ActorStopped,
    Interest,
    Message,
    Overloaded,
    ReplyTimeout,
    Topic,
    open_broadcast_channel,
)

if TYPE_CHECKING:
    from trio.testing import MockClock


class Notes:
    """Records the questions asked and their outcomes."""

    def __init__(self) -> None:
        self.asked: list[tuple[Topic, str | None, object]] = []
        self.outcomes: dict[int, str] = {}

    def begin(self, topic: Topic, key: str | None, body: object) -> tuple[int, object]:
        """Give each question a number, and its message another."""
        self.asked.append((topic, key, body))
        number = len(self.asked)
        return number, 100 + number

    def finish(self, mark: int, error: BaseException | None) -> None:
        """Record the outcome of the question with that number."""
        self.outcomes[mark] = "answered" if error is None else type(error).__name__


async def test_observer_sees_question_and_answer_and_its_word_travels_along() -> None:
    """The value it returns for a question is the trace of that question's message, and no other."""
    notes = Notes()
    with open_broadcast_channel(observer=notes) as bus:
        mailbox = bus.subscribe(Interest(Topic.TASK, "a"), buffer=8)
        traces: list[object] = []

        async def answer() -> None:
            async for message in mailbox:
                traces.append(message.trace)
                if message.reply is not None:
                    message.reply.send_nowait("yes")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            assert await bus.ask(Topic.TASK, "one", key="a", timeout_s=1) == "yes"
            bus.send_nowait(Message(Topic.TASK, "told", "a"))
            assert await bus.clone().ask(Topic.TASK, "two", key="a", timeout_s=1) == "yes"
            nursery.cancel_scope.cancel()
    assert notes.asked == [(Topic.TASK, "a", "one"), (Topic.TASK, "a", "two")]
    assert notes.outcomes == {1: "answered", 2: "answered"}
    assert traces == [101, None, 102]


async def test_observer_sees_every_way_in_which_a_question_fails(
    autojump_clock: MockClock,
) -> None:
    """Nobody there, no room, no answer, given up: the caller's error passes through it."""
    notes = Notes()
    with open_broadcast_channel(observer=notes) as bus:
        with pytest.raises(ActorStopped):
            await bus.ask(Topic.TASK, "?", key="a", timeout_s=1)
        mailbox = bus.subscribe(Interest(Topic.TASK, "a"), buffer=1)
        with pytest.raises(ReplyTimeout):
            await bus.ask(Topic.TASK, "?", key="a", timeout_s=1)
        with pytest.raises(Overloaded):
            await bus.ask(Topic.TASK, "?", key="a", timeout_s=1)
        mailbox.receive_nowait()
        with trio.move_on_after(0.5):
            await bus.ask(Topic.TASK, "?", key="a", timeout_s=1)
    assert notes.outcomes == {
        1: "ActorStopped",
        2: "ReplyTimeout",
        3: "Overloaded",
        4: "Cancelled",
    }


async def test_question_on_a_bus_that_nobody_observes_has_no_trace() -> None:
    """Without an observer nothing travels along."""
    with open_broadcast_channel() as bus:
        mailbox = bus.subscribe(Interest(Topic.TASK, "a"), buffer=1)
        async with trio.open_nursery() as nursery:

            async def answer() -> None:
                message = await mailbox.receive()
                assert message.reply is not None
                message.reply.send_nowait(message.trace)

            nursery.start_soon(answer)
            assert await bus.ask(Topic.TASK, "?", key="a", timeout_s=1) is None


async def test_observed_question_lets_go_of_a_dropped_message() -> None:
    """Being observed keeps no message alive: one dropped unanswered ends the wait."""
    with open_broadcast_channel(observer=Notes()) as bus:
        mailbox = bus.subscribe(Interest(Topic.TASK, "a"), buffer=1)

        async def drop() -> None:
            await mailbox.receive()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drop)
            with pytest.raises(ActorStopped):
                await bus.ask(Topic.TASK, "?", key="a", timeout_s=5)
