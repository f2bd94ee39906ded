"""Whoever observes the bus follows each question from its sending to its outcome."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from bus import ActorStopped, Interest, Message, Topic, open_broadcast_channel

if TYPE_CHECKING:
    from collections.abc import Generator

    import trio


class Notes:
    """An observer that notes what it sees."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    @contextmanager
    def asking(self, topic: Topic, key: str | None, body: object) -> Generator[object]:
        """Note a question, and how it came out."""
        self.seen.append((topic, key, body))
        try:
            yield f"trace of {body}"
        except BaseException as error:
            self.seen.append(type(error))
            raise
        else:
            self.seen.append("answered")


async def test_observer_surrounds_a_question_and_sends_its_trace_along(
    nursery: trio.Nursery,
) -> None:
    """The observer sees topic, key and body; the actor sees the trace with the message."""
    notes = Notes()
    bus = open_broadcast_channel(observer=notes)
    mailbox = bus.subscribe(Interest(Topic.TASK, "k"), buffer=1)
    traces: list[object] = []

    async def answer() -> None:
        message = await mailbox.receive()
        assert notes.seen == [(Topic.TASK, "k", "question")]
        traces.append(message.trace)
        assert message.reply is not None
        message.reply.send_nowait(42)

    nursery.start_soon(answer)
    assert await bus.clone().ask(Topic.TASK, "question", key="k", timeout_s=5) == 42
    assert traces == ["trace of question"]
    assert notes.seen[1:] == ["answered"]


async def test_observer_sees_the_error_that_the_asker_sees() -> None:
    """A question that fails leaves the observer's context with its error."""
    notes = Notes()
    bus = open_broadcast_channel(observer=notes)
    with pytest.raises(ActorStopped):
        await bus.ask(Topic.TASK, "nobody", timeout_s=5)
    assert notes.seen == [(Topic.TASK, None, "nobody"), ActorStopped]


async def test_observer_is_not_asked_about_what_is_only_sent() -> None:
    """A message that nobody waits for is no question, and has the trace that its sender gave."""
    notes = Notes()
    bus = open_broadcast_channel(observer=notes)
    mailbox = bus.subscribe(Interest(Topic.TASK), buffer=2)
    bus.send_nowait(Message(Topic.TASK, 1))
    await bus.send(Message(Topic.TASK, 2, trace="own"))
    assert [mailbox.receive_nowait().trace for _ in range(2)] == [None, "own"]
    assert notes.seen == []
