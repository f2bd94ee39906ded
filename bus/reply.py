"""One-shot replies on Trio memory channels: exactly one outcome for every question.

The outcome is a value, the actor's error, `ActorStopped`, or `ReplyTimeout`. The sending half
travels with the message; the receiving half stays with the asker and is closed by it, so that
an answer that comes too late is noticed, dropped and counted.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import trio
from outcome import Error, Value

from bus.errors import ActorStopped, ReplyTimeout

if TYPE_CHECKING:
    from outcome import Outcome

T = TypeVar("T")


@dataclass(slots=True)
class ReplyCounters:
    """How the questions asked so far came out."""

    answered: int = 0
    failed: int = 0
    stopped: int = 0
    timed_out: int = 0
    late: int = 0


class Reply(Generic[T]):
    """The sending half: the actor that holds the message answers through it, once.

    A message that reached several subscriptions is held by each; it counts as stopped when the
    last of them has dropped it. A reply that is garbage-collected unanswered counts as dropped.
    """

    __slots__ = ("__weakref__", "_channel", "_counters", "_holders", "_token")

    def __init__(
        self,
        channel: trio.MemorySendChannel[Outcome[T]],
        counters: ReplyCounters,
        token: trio.lowlevel.TrioToken,
    ) -> None:
        self._channel: trio.MemorySendChannel[Outcome[T]] | None = channel
        self._counters = counters
        self._holders = 1
        self._token = token

    @property
    def settled(self) -> bool:
        """Whether the question has its outcome already."""
        return self._channel is None

    def send_nowait(self, value: T) -> bool:
        """Answer with a value; False where the question was settled or given up before."""
        return self._settle(Value(value))

    def fail(self, error: Exception) -> bool:
        """Answer with an error, which is raised in the asker; False as for `send_nowait`."""
        return self._settle(Error(error))

    def held_by(self, holders: int) -> None:
        """Say how many subscriptions hold the message now (called by the bus)."""
        self._holders = holders

    def drop(self) -> None:
        """Give the message up unanswered on behalf of one of its holders."""
        self._holders -= 1
        if self._holders <= 0:
            self.close()

    def close(self) -> None:
        """Settle as `ActorStopped` unless it is settled; never raises."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _settle(self, outcome: Outcome[T]) -> bool:
        channel, self._channel = self._channel, None
        if channel is None:
            return False
        try:
            channel.send_nowait(outcome)
        except trio.BrokenResourceError:
            self._counters.late += 1
            return False
        finally:
            channel.close()
        return True

    def __del__(self) -> None:
        """Wake the asker of a message that nobody will ever answer."""
        channel, self._channel = self._channel, None
        if channel is not None:
            # Garbage is collected in any thread, and in the middle of Trio's own loop: only
            # the token may be used from there. No asker is left where its run is over.
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(channel.close)


class PendingReply(Generic[T]):
    """The receiving half: the asker waits on it, once."""

    __slots__ = ("_channel", "_counters")

    def __init__(
        self, channel: trio.MemoryReceiveChannel[Outcome[T]], counters: ReplyCounters
    ) -> None:
        self._channel = channel
        self._counters = counters

    async def wait(self, timeout_s: float) -> T:
        """Wait for the outcome, at most ``timeout_s`` seconds of Trio's clock.

        Cancellation gives the question up: the answer, if it comes, is dropped and counted.

        Raises:
            ActorStopped: the message was dropped unanswered, or reached nobody.
            ReplyTimeout: no outcome in time.
            Exception: whatever error the actor answered with.
        """
        outcome: Outcome[T] | None = None
        with self._channel as channel:
            try:
                with trio.move_on_after(timeout_s):
                    outcome = await channel.receive()
                if outcome is None:
                    # What the actor could still send without being told "late" was in time.
                    outcome = channel.receive_nowait()
            except trio.WouldBlock:
                self._counters.timed_out += 1
                msg = f"no answer within {timeout_s:g} s"
                raise ReplyTimeout(msg) from None
            except trio.EndOfChannel:
                self._counters.stopped += 1
                raise ActorStopped from None
        if isinstance(outcome, Error):
            self._counters.failed += 1
        else:
            self._counters.answered += 1
        return outcome.unwrap()

    def close(self) -> None:
        """Give the question up without waiting."""
        self._channel.close()


def open_reply(counters: ReplyCounters) -> tuple[Reply[T], PendingReply[T]]:
    """Make both halves of a one-shot reply; its outcome is counted in ``counters``.

    Raises:
        RuntimeError: called from outside Trio.
    """
    token = trio.lowlevel.current_trio_token()
    # Written out as a subscript of the function, the type would cost more than the channel.
    send: trio.MemorySendChannel[Outcome[T]]
    receive: trio.MemoryReceiveChannel[Outcome[T]]
    send, receive = trio.open_memory_channel(1)
    return Reply(send, counters, token), PendingReply(receive, counters)
