"""The bus: one broadcast channel that relays messages and decides nothing.

It works like a Trio channel, except that a value reaches every subscription whose declared
interest matches, not one receiver. The cost of a send grows with the number of subscriptions it
reaches, never with how many exist; keyed interests are found by hash.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Self

import trio

from bus.errors import Overloaded
from bus.message import Interest, Message
from bus.reply import PendingReply, Replies, Reply
from bus.statistics import BusStatistics, ReplyStatistics, TopicStatistics
from bus.subscription import Subscription
from bus.topics import Delivery, Topic

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import TracebackType

    from bus.observer import Observer

FAN_OUT_SLICE = 250
"""Deliveries between two checkpoints: well under a millisecond of work."""

_NOBODY: tuple[Subscription, ...] = ()


class _Routes:
    """The subscriptions to one topic, and counts of what became of its messages."""

    __slots__ = (
        "delivered",
        "delivery",
        "keyed",
        "queued",
        "refused",
        "sent",
        "spare",
        "unclaimed",
        "unheard",
        "wide",
    )

    def __init__(self, topic: Topic) -> None:
        self.delivery = topic.delivery
        self.queued = self.delivery is Delivery.QUEUED
        self.wide: dict[Subscription, None] = {}
        self.keyed: dict[str, tuple[Subscription, ...]] = {}
        self.spare: dict[Subscription, None] = {}
        self.sent = self.delivered = self.refused = self.unclaimed = self.unheard = 0

    def add(self, interest: Interest, subscription: Subscription) -> None:
        if interest.unclaimed:
            self.spare[subscription] = None
        elif interest.key is None:
            self.wide[subscription] = None
        else:
            self.keyed[interest.key] = (*self.keyed.get(interest.key, _NOBODY), subscription)

    def remove(self, interest: Interest, subscription: Subscription) -> None:
        if interest.unclaimed:
            self.spare.pop(subscription, None)
        elif interest.key is None:
            self.wide.pop(subscription, None)
        else:
            left = tuple(s for s in self.keyed.get(interest.key, _NOBODY) if s is not subscription)
            if left:
                self.keyed[interest.key] = left
            else:
                self.keyed.pop(interest.key, None)

    def reached_by(self, key: str | None) -> Collection[Subscription]:
        """Find the subscriptions that a message with this key reaches."""
        if key is None:
            return self.wide
        claimed: Collection[Subscription] = self.keyed.get(key) or self.spare
        if not self.wide:
            return claimed
        return list(dict.fromkeys(chain(claimed, self.wide)))

    def count(self, key: str | None, delivered: int) -> None:
        """Count one relayed message."""
        self.sent += 1
        self.delivered += delivered
        if not delivered:
            self.unheard += 1
        if key not in self.keyed and key is not None and self.spare:
            self.unclaimed += 1

    def statistics(self) -> TopicStatistics:
        return TopicStatistics(
            self.sent, self.delivered, self.refused, self.unclaimed, self.unheard
        )


class _State:
    """The state that all handles of one bus share."""

    __slots__ = ("handles", "observer", "replies", "routes", "subscriptions")

    def __init__(self, observer: Observer | None) -> None:
        self.observer = observer
        self.routes = {topic: _Routes(topic) for topic in Topic}
        self.subscriptions: dict[Subscription, None] = {}
        self.replies = Replies()
        self.handles = 0

    def leave(self, subscription: Subscription) -> None:
        self.subscriptions.pop(subscription, None)
        for interest in subscription.interests:
            self.routes[interest.topic].remove(interest, subscription)


class Bus:
    """A handle for sending on the bus and for subscribing to it; see `open_broadcast_channel`."""

    __slots__ = ("_closed", "_state")

    def __init__(self, state: _State) -> None:
        self._state = state
        self._closed = False
        state.handles += 1

    def subscribe(self, *interests: Interest, buffer: int) -> Subscription:
        """Open a subscription with a buffer of ``buffer`` queued messages.

        Raises:
            ValueError: no interest was given, or ``buffer`` is below one.
            trio.ClosedResourceError: this handle is closed.
        """
        self._check_open()
        if not interests or buffer < 1:
            msg = "a subscription needs at least one interest and a buffer of at least one"
            raise ValueError(msg)
        # An interest declared twice counts once.
        interests = tuple(dict.fromkeys(interests))
        subscription = Subscription(interests, buffer, self._state.leave)
        self._state.subscriptions[subscription] = None
        for interest in interests:
            self._state.routes[interest.topic].add(interest, subscription)
        return subscription

    def reaches(self, topic: Topic, key: str | None = None) -> bool:
        """Whether a message sent now would reach anybody: if not, do not bother to build it."""
        return bool(self._state.routes[topic].reached_by(key))

    def send_nowait(self, message: Message) -> int:
        """Relay a message to all matching subscriptions, or to none; return how many got it.

        Raises:
            Overloaded: a matching subscription's buffer is full (topics `auth` and `task`).
            trio.WouldBlock: it would reach more than `FAN_OUT_SLICE` subscriptions: use `send`.
            trio.ClosedResourceError: this handle is closed.
            trio.BrokenResourceError: no subscription is left at all.
        """
        state = self._state
        if self._closed:
            raise trio.ClosedResourceError
        if not state.subscriptions:
            raise trio.BrokenResourceError
        topic, _, key, reply, _ = message
        routes = state.routes[topic]
        reached = routes.reached_by(key)
        count = len(reached)
        if count > FAN_OUT_SLICE:
            raise trio.WouldBlock
        if routes.queued:
            for subscription in reached:
                if not subscription.has_room():
                    routes.refused += 1
                    raise Overloaded(f"a buffer for topic {topic.value!r} is full")
        sending = reply.sent_to(count) if reply is not None and count else 0
        for subscription in reached:
            subscription.put(message, routes.delivery, sending)
        routes.count(key, count)
        return count

    async def send(self, message: Message) -> int:
        """Relay a message to any number of subscriptions, in slices that let I/O run in between.

        A subscription that closes meanwhile is skipped. Cancellation between two slices leaves
        the rest undelivered.

        Raises:
            Overloaded: a matching subscription's buffer is full; where more than `FAN_OUT_SLICE`
                match, all that had room have the message.
            trio.ClosedResourceError: this handle is closed.
            trio.BrokenResourceError: no subscription is left at all.
        """
        await trio.lowlevel.checkpoint()
        try:
            return self.send_nowait(message)
        except trio.WouldBlock:
            return await self._send_in_slices(message)

    def open_reply(self) -> tuple[Reply[Any], PendingReply[Any]]:
        """Make a one-shot reply, its outcome counted by this bus."""
        return self._state.replies.open()

    # The bus knows no actor: only the asking side knows the type of the answer.
    async def ask(
        self, topic: Topic, body: object, *, key: str | None = None, timeout_s: float
    ) -> Any:
        """Send a message and wait for its answer, at most ``timeout_s`` seconds.

        Cancellation abandons the question; the message itself is not withdrawn.

        Raises:
            Overloaded: a matching subscription's buffer is full.
            ActorStopped: the message reached nobody, or its receivers dropped it.
            ReplyTimeout: no answer came in time.
            Exception: the error that the actor answered with.
            trio.ClosedResourceError: this handle is closed.
        """
        observer = self._state.observer
        mark, trace = (None, None) if observer is None else observer.begin(topic, key, body)
        try:
            try:
                pending = self._put_question_nowait(topic, body, key, trace)
            except trio.WouldBlock:
                pending = await self._put_question(topic, body, key, trace)
            answer = await pending.wait(timeout_s)
        except BaseException as error:
            if observer is not None:
                observer.finish(mark, error)
            raise
        if observer is not None:
            observer.finish(mark, None)
        return answer

    async def keep_deadlines(self) -> None:
        """Enforce the deadlines of all callers waiting for a reply on this bus, until cancelled.

        A program that asks often runs one task of this beside its bus: it makes an ask and its
        answer a third cheaper. Without it, each waiting caller has its own cancel scope.

        Raises:
            trio.BusyResourceError: another task is already doing so.
        """
        await self._state.replies.deadlines.keep()

    def clone(self) -> Bus:
        """Return another handle to the same bus; each is closed separately.

        Raises:
            trio.ClosedResourceError: this handle is closed.
        """
        self._check_open()
        return Bus(self._state)

    def close(self) -> None:
        """Close this handle; after the last one, subscriptions drain and then see the end."""
        if self._closed:
            return
        self._closed = True
        self._state.handles -= 1
        if not self._state.handles:
            for subscription in tuple(self._state.subscriptions):
                subscription.end()

    async def aclose(self) -> None:
        """Close, then execute a checkpoint."""
        self.close()
        await trio.lowlevel.checkpoint()

    def __enter__(self) -> Self:
        """Use the handle as a context: leaving closes it."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the handle."""
        self.close()

    def statistics(self) -> BusStatistics:
        """Count what the bus has relayed, refused and answered."""
        counts = self._state.replies
        return BusStatistics(
            open_send_handles=self._state.handles,
            subscriptions=len(self._state.subscriptions),
            topics={topic: routes.statistics() for topic, routes in self._state.routes.items()},
            replies=ReplyStatistics(
                answered=counts.answered,
                failed=counts.failed,
                stopped=counts.stopped,
                timed_out=counts.timed_out,
                late=counts.late,
            ),
        )

    # These two are not inlined in ask(): while it waits, its frame must not refer to the reply,
    # or letting go of a message would wake nobody (`Reply.__del__`).
    def _put_question_nowait(
        self, topic: Topic, body: object, key: str | None, trace: object
    ) -> PendingReply[Any]:
        reply, pending = self._state.replies.open()
        try:
            reached = self.send_nowait(Message(topic, body, key, reply, trace))
        except trio.BrokenResourceError:
            reached = 0
        except BaseException:
            pending.close()
            reply.close()
            raise
        if not reached:
            reply.close()
        return pending

    async def _put_question(
        self, topic: Topic, body: object, key: str | None, trace: object
    ) -> PendingReply[Any]:
        reply, pending = self._state.replies.open()
        try:
            await self._send_in_slices(Message(topic, body, key, reply, trace))
        except BaseException:
            pending.close()
            reply.close()
            raise
        return pending

    async def _send_in_slices(self, message: Message) -> int:
        routes = self._state.routes[message.topic]
        reached = tuple(routes.reached_by(message.key))
        reply = message.reply
        sending = 0 if reply is None else reply.sent_to(len(reached))
        delivered = refused = 0
        try:
            for start in range(0, len(reached), FAN_OUT_SLICE):
                for subscription in reached[start : start + FAN_OUT_SLICE]:
                    if subscription not in self._state.subscriptions:
                        continue
                    if routes.queued and not subscription.has_room():
                        refused += 1
                        continue
                    subscription.put(message, routes.delivery, sending)
                    delivered += 1
                await trio.lowlevel.checkpoint()
        finally:
            routes.refused += refused
            routes.count(message.key, delivered)
            if reply is not None:
                for _ in range(len(reached) - delivered):
                    reply.drop(sending)
        if refused:
            msg = f"{refused} of {len(reached)} buffers were full"
            raise Overloaded(msg)
        return delivered

    def _check_open(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError


def open_broadcast_channel(*, observer: Observer | None = None) -> Bus:
    """Open a bus and return its first handle; ``observer`` follows each `Bus.ask`."""
    return Bus(_State(observer))
