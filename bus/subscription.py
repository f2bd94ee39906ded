"""The receiving end of the bus: a bounded buffer for one actor.

Trio's memory channels hand each value to one receiver; a broadcast reaches all of them. So every
subscription has its own buffer, and the bus puts messages into it directly.
"""

from __future__ import annotations

import weakref
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import trio

from bus.statistics import SubscriptionStatistics
from bus.topics import Delivery, Topic
from bus.waking import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from bus.message import Interest, Message
    from bus.reply import Reply

# A module name: a lookup as a class member would cost several times as much.
_QUEUED = Delivery.QUEUED

_DROPPED_MAX = 64
"""How many messages are dropped before other tasks get their turn."""

_Waiting = tuple["Message", int]
"""A message, and which sending of its reply brought it here."""


class Subscription:
    """A bounded buffer of messages, received by one task at a time.

    It outlives the task that reads it: messages waiting in it survive a restart of the actor,
    and the replacement reads on.
    """

    __slots__ = (
        "_closed",
        "_event",
        "_in_hand",
        "_max",
        "_on_close",
        "_overtaken",
        "_peak",
        "_queue",
        "_sending_over",
        "_tick",
        "_urgent",
        "_waiter",
        "interests",
        "replaced",
    )

    def __init__(
        self,
        interests: tuple[Interest, ...],
        max_buffer_size: int,
        on_close: Callable[[Subscription], None],
    ) -> None:
        self.interests = interests
        self._max = max_buffer_size
        self._on_close = on_close
        self._queue: deque[_Waiting] | None = None
        self._urgent: _Waiting | None = None
        self._tick: _Waiting | None = None
        self._event: _Waiting | None = None
        # Whether any of the three is set, so that the queue's path makes only one check.
        self._overtaken = False
        self._waiter: trio.lowlevel.Task | None = None
        # The replies of received messages, and which sending of each brought it here. Weak
        # references: a reply that the actor lets go of settles when it is collected, and leaves.
        self._in_hand: dict[weakref.ref[Reply[Any]], int] = {}
        self._peak = 0
        self._closed = False
        self._sending_over = False
        self.replaced = 0
        """How many messages were replaced by a later one before they were received."""

    # ------------------------------------------------------------- the bus's side

    def has_room(self) -> bool:
        """Whether a queued message would be accepted now."""
        return self._queue is None or len(self._queue) < self._max

    def put(self, message: Message, delivery: Delivery, sending: int = 0) -> None:
        """Accept a message under its topic's policy; the caller has checked `has_room`.

        ``sending`` is the number that `Reply.sent_to` returned, if the message has a reply.
        """
        if delivery is _QUEUED:
            queue = self._queue
            if queue is None:
                queue = self._queue = deque()
            queue.append((message, sending))
            waiting = len(queue)
            if waiting > self._peak:  # noqa: PLR1730 - a call of max() costs several times as much
                self._peak = waiting
        else:
            self._overtake((message, sending), delivery)
        self._wake()

    def end(self) -> None:
        """Announce that nothing more will come: receivers drain the buffer, then see the end."""
        self._sending_over = True
        self._wake()

    # ----------------------------------------------------------- the actor's side

    def receive_nowait(self) -> Message:
        """Take the next message if there is one.

        Raises:
            trio.WouldBlock: there is none now.
            trio.EndOfChannel: there is none, and none will come.
            trio.ClosedResourceError: this subscription was closed.
        """
        message = self._pop()
        if message is None:
            raise trio.WouldBlock
        return message

    def receive_some_nowait(self, most: int) -> list[Message]:
        """Take up to ``most`` messages that wait now; an empty list if none does or ever will."""
        messages: list[Message] = []
        while (self._queue or self._overtaken) and len(messages) < most:
            messages.append(self.receive_nowait())
        return messages

    async def receive(self) -> Message:
        """Wait for the next message; `shutdown` overtakes, then `tick`, `event`, the queue.

        Atomic under cancellation: a message is taken and returned, or stays in the buffer.

        Raises:
            trio.BusyResourceError: another task is waiting here.
            trio.EndOfChannel: there is none, and none will come.
            trio.ClosedResourceError: this subscription was closed, before or meanwhile.
        """
        if self._queue or self._overtaken:
            await trio.lowlevel.checkpoint_if_cancelled()
            # Before taking it: until then `is_empty` must not say that nothing waits here.
            await trio.lowlevel.cancel_shielded_checkpoint()
        elif self._closed or self._sending_over:
            # Only where nothing is waited for below: waiting notices a cancellation by itself.
            await trio.lowlevel.checkpoint_if_cancelled()
        message = self._pop()
        while message is None:
            if self._waiter is not None:
                msg = "another task is receiving from this subscription"
                raise trio.BusyResourceError(msg)
            self._waiter = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)
            message = self._pop()
        return message

    def __aiter__(self) -> Subscription:
        """Iterate over the messages until the end of the channel."""
        return self

    async def __anext__(self) -> Message:
        """Return the next message; iteration ends when `receive` meets the end or a close."""
        try:
            return await self.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise StopAsyncIteration from None

    @contextmanager
    def answering(self) -> Generator[None]:
        """Guard the messages taken inside: leaving drops those not answered.

        An actor's loop runs inside it, so that callers learn at once when the actor fails or
        ends.
        """
        try:
            yield
        finally:
            in_hand, self._in_hand = self._in_hand, {}
            # A copy: each reply that is collected meanwhile leaves. Made by `copy`, during which
            # none can be: Python 3.11 may collect garbage while it makes a list of the items.
            for held, sending in in_hand.copy().items():
                reply = held()
                if reply is not None:
                    reply.drop(sending)

    def drop(self, message: Message) -> None:
        """Give up, unanswered, a message received here: others may still hold it."""
        reply = message.reply
        if reply is None:
            return
        held = weakref.ref(reply)
        if self._in_hand.get(held) == reply.sendings:
            del self._in_hand[held]
            reply.drop(reply.sendings)

    async def drop_all(self) -> None:
        """Drop what waits and whatever comes, until cancelled or the end: nobody acts on it.

        Unlike after `close`, the keys stay claimed: no other subscription gets these messages.
        """
        async for first in self:
            for message in (first, *self.receive_some_nowait(_DROPPED_MAX)):
                self.drop(message)

    def is_empty(self) -> bool:
        """Whether nothing waits in the buffer."""
        return not self._queue and not self._overtaken

    def close(self) -> None:
        """Leave the bus: waiting messages are dropped, and their callers learn so at once."""
        if self._closed:
            return
        self._closed = True
        self._on_close(self)
        waiting = [*(self._queue or ()), self._event, self._tick, self._urgent]
        self._queue = self._event = self._tick = self._urgent = None
        self._overtaken = False
        for each in waiting:
            _give_up(each)
        self._wake()

    async def aclose(self) -> None:
        """Close, then execute a checkpoint."""
        self.close()
        await trio.lowlevel.checkpoint()

    def statistics(self) -> SubscriptionStatistics:
        """Measure how full the buffer is, has been, and may be."""
        return SubscriptionStatistics(
            current_buffer_used=len(self._queue or ()),
            max_buffer_size=self._max,
            peak_buffer_used=self._peak,
            in_hand=sum(_is_held(*each) for each in self._in_hand.copy().items()),
        )

    def _pop(self) -> Message | None:
        if self._overtaken:
            message, sending = self._pop_overtaking()
        elif self._queue:
            message, sending = self._queue.popleft()
        elif self._closed:
            raise trio.ClosedResourceError
        elif self._sending_over:
            raise trio.EndOfChannel
        else:
            return None
        if message.reply is not None:
            self._in_hand[weakref.ref(message.reply, self._in_hand.pop)] = sending
        return message

    def _overtake(self, new: _Waiting, delivery: Delivery) -> None:
        """Put a message into its topic's single slot."""
        self._overtaken = True
        if delivery is Delivery.URGENT:
            old, self._urgent = self._urgent, new
        elif new[0].topic is Topic.TICK:
            old, self._tick = self._tick, new
        else:
            old, self._event = self._event, new
        if old is not None:
            self.replaced += 1
            _give_up(old)

    def _pop_overtaking(self) -> _Waiting:
        """Take the message that overtakes the queue; there is one."""
        if self._urgent is not None:
            taken, self._urgent = self._urgent, None
        elif self._tick is not None:
            taken, self._tick = self._tick, None
        else:
            taken, self._event = cast("_Waiting", self._event), None
        self._overtaken = not (self._urgent is self._tick is self._event is None)
        return taken

    def _abort(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._waiter = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _wake(self) -> None:
        if self._waiter is not None:
            task, self._waiter = self._waiter, None
            trio.lowlevel.reschedule(task, NOTHING)


def _give_up(waiting: _Waiting | None) -> None:
    """Drop a message that nobody here will receive."""
    if waiting is not None:
        message, sending = waiting
        if message.reply is not None:
            message.reply.drop(sending)


def _is_held(held: weakref.ref[Reply[Any]], sending: int) -> bool:
    """Whether a received reply is neither settled, nor let go of, nor sent on."""
    reply = held()
    return reply is not None and not reply.settled and reply.sendings == sending
