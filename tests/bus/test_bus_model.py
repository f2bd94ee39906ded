"""The bus against a simple model of it, through any sequence of uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from bus import Interest, Message, Overloaded, Reply, Subscription, Topic, open_broadcast_channel

if TYPE_CHECKING:
    from bus import PendingReply

TOPICS = st.sampled_from(Topic)
OVERTAKING = (Topic.SHUTDOWN, Topic.TICK, Topic.EVENT)
"""The topics of which only the latest message waits, in the order they are taken."""
KEYS = st.sampled_from(["a", "b", "c"])
INTERESTS = st.one_of(
    st.builds(Interest, TOPICS),
    st.builds(Interest, TOPICS, KEYS),
    st.builds(Interest, TOPICS, unclaimed=st.just(value=True)),
)


class Question:
    """A question as the model sees it: who holds it, and its outcome."""

    def __init__(self, reply: Reply[Any], pending: PendingReply[Any]) -> None:
        self.reply = reply
        self.pending = pending
        self.holders = 0
        self.outcome: object = None

    def drop(self) -> None:
        """Let one holder drop it."""
        self.holders -= 1
        if self.holders == 0 and self.outcome is None:
            self.outcome = "stopped"

    def seen(self) -> object:
        """Check its actual outcome."""
        pending = self.pending
        return {"NONE": None, "STOPPED": "stopped"}.get(pending._outcome.name, pending._answer)


class Mailbox:
    """A subscription as the model sees it."""

    def __init__(self, real: Subscription, interests: list[Interest], room: int) -> None:
        self.real = real
        self.interests = set(interests)
        self.room = room
        self.queue: list[int] = []
        self.overtaking: dict[Topic, int] = {}

    def wants(self, topic: Topic, key: str | None, *, claimed: bool) -> bool:
        """Whether a message is for it."""
        return (
            Interest(topic) in self.interests
            or (key is not None and Interest(topic, key) in self.interests)
            or (
                key is not None
                and not claimed
                and Interest(topic, unclaimed=True) in self.interests
            )
        )

    def next(self) -> int | None:
        """Take the message that must come next."""
        for topic in OVERTAKING:
            if topic in self.overtaking:
                return self.overtaking.pop(topic)
        return self.queue.pop(0) if self.queue else None

    def waiting(self) -> list[int]:
        """Return everything that waits in it."""
        return [*self.queue, *self.overtaking.values()]


class BusMachine(RuleBasedStateMachine):
    """Uses the bus and its model alike, and compares them."""

    mailboxes: Bundle[Mailbox] = Bundle("mailboxes")
    held: Bundle[Question] = Bundle("held")

    @initialize()
    def open(self) -> None:
        """Open a bus."""
        self.bus = open_broadcast_channel()
        self.open_boxes: list[Mailbox] = []
        self.questions: dict[int, Question] = {}
        self.number = 0

    @rule(
        target=mailboxes,
        interests=st.lists(INTERESTS, min_size=1, max_size=4),
        room=st.integers(1, 3),
    )
    def subscribe(self, interests: list[Interest], room: int) -> Mailbox:
        """Subscribe with any interests, including repeated ones."""
        mailbox = Mailbox(self.bus.subscribe(*interests, buffer=room), interests, room)
        self.open_boxes.append(mailbox)
        return mailbox

    @rule(target=held, topic=TOPICS, key=st.none() | KEYS)
    def send(self, topic: Topic, key: str | None) -> Any:
        """Send with a reply, and predict who gets the message."""
        self.number += 1
        question = Question(*self.bus.open_reply())
        message = Message(topic, self.number, key, question.reply)
        claimed = any(Interest(topic, key) in box.interests for box in self.open_boxes)
        reached = [b for b in self.open_boxes if b.wants(topic, key, claimed=claimed)]
        queued = topic in {Topic.TASK, Topic.AUTH}
        if not self.open_boxes:
            expected: object = "broken"
        elif queued and any(len(box.queue) >= box.room for box in reached):
            expected = "overloaded"
        else:
            expected = len(reached)
        try:
            actual: object = self.bus.send_nowait(message)
        except Overloaded:
            actual = "overloaded"
        except trio.BrokenResourceError:
            actual = "broken"
        assert actual == expected
        if not isinstance(expected, int):
            return cast("Any", multiple())
        self.questions[self.number] = question
        question.holders = len(reached)
        for box in reached:
            self._put(box, topic, self.number)
        return question

    def _put(self, box: Mailbox, topic: Topic, number: int) -> None:
        if topic in {Topic.TASK, Topic.AUTH}:
            box.queue.append(number)
            return
        if topic in box.overtaking:
            self.questions[box.overtaking[topic]].drop()
        box.overtaking[topic] = number

    @rule(box=mailboxes)
    def receive(self, box: Mailbox) -> None:
        """Receive what must come next, or nothing."""
        expected = box.next()
        try:
            actual = box.real.receive_nowait().body
        except trio.WouldBlock:
            actual = None
        assert actual == expected

    @rule(box=consumes(mailboxes))
    def close(self, box: Mailbox) -> None:
        """Close a subscription: its waiting messages are dropped."""
        self.open_boxes.remove(box)
        box.real.close()
        for number in box.waiting():
            self.questions[number].drop()

    @rule(question=held)
    def answer(self, question: Question) -> None:
        """Answer a question that may already have its outcome."""
        assert question.reply.send_nowait("answer") is (question.outcome is None)
        if question.outcome is None:
            question.outcome = "answer"

    @invariant()
    def agrees(self) -> None:
        """Buffers are as full as the model says, and no limit is passed."""
        for box in self.open_boxes:
            assert box.real.statistics().current_buffer_used == len(box.queue) <= box.room
            assert box.real.is_empty() is (not box.waiting())
        assert self.bus.statistics().subscriptions == len(self.open_boxes)
        for question in self.questions.values():
            assert question.reply.settled is (question.outcome is not None)

    def teardown(self) -> None:
        """Check that every question came out as the model says."""
        for question in getattr(self, "questions", {}).values():
            assert question.seen() == question.outcome


async def test_bus_behaves_as_its_model() -> None:
    """Whatever is done with a bus, messages and questions come out as in the model."""
    await trio.lowlevel.checkpoint()
    run_state_machine_as_test(
        BusMachine, settings=settings(max_examples=60, stateful_step_count=40)
    )
