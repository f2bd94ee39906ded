"""One-shot replies: a memory channel for a single value, and exactly one outcome per question.

The outcome is a value, the actor's error, `ActorStopped`, or `ReplyTimeout`. The sending half
travels with the message; the receiving half stays with the asker and is closed by it, so that
an answer that comes too late is noticed, dropped and counted. Two halves in Trio's manner, with
room for one value and for one use: an ask makes one of these, and a channel for many values
would cost it twice as much.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Generic, TypeVar, cast

import trio

from bus.errors import ActorStopped, ReplyTimeout

T = TypeVar("T")


class _Outcome(Enum):
    """What has become of a question."""

    NONE = auto()
    VALUE = auto()
    ERROR = auto()
    STOPPED = auto()
    GIVEN_UP = auto()


# Looked up as members of the class they would cost several times as much.
_NONE, _VALUE, _ERROR, _STOPPED, _GIVEN_UP = _Outcome


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

    __slots__ = ("__weakref__", "_holders", "_pending", "_token")

    def __init__(self, pending: PendingReply[T], token: trio.lowlevel.TrioToken) -> None:
        self._pending: PendingReply[T] | None = pending
        self._holders = 1
        self._token = token

    @property
    def settled(self) -> bool:
        """Whether the question has its outcome already."""
        return self._pending is None

    def send_nowait(self, value: T) -> bool:
        """Answer with a value; False where the question was settled or given up before."""
        pending, self._pending = self._pending, None
        return pending is not None and pending.settle(_VALUE, value)

    def fail(self, error: Exception) -> bool:
        """Answer with an error, which is raised in the asker; False as for `send_nowait`."""
        pending, self._pending = self._pending, None
        return pending is not None and pending.settle(_ERROR, error)

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
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.stop()

    def __del__(self) -> None:
        """Wake the asker of a message that nobody will ever answer."""
        pending, self._pending = self._pending, None
        if pending is not None:
            # Garbage is collected in any thread, and in the middle of Trio's own loop: only
            # the token may be used from there. No asker is left where its run is over.
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(pending.stop)


class PendingReply(Generic[T]):
    """The receiving half: the asker waits on it, once."""

    __slots__ = ("_answer", "_counters", "_outcome", "_waiter")

    def __init__(self, counters: ReplyCounters) -> None:
        self._counters = counters
        self._outcome = _NONE
        self._answer: object = None
        self._waiter: trio.lowlevel.Task | None = None

    async def wait(self, timeout_s: float) -> T:
        """Wait for the outcome, at most ``timeout_s`` seconds of Trio's clock.

        Cancellation gives the question up: the answer, if it comes, is dropped and counted.

        Raises:
            ActorStopped: the message was dropped unanswered, or reached nobody.
            ReplyTimeout: no outcome in time.
            Exception: whatever error the actor answered with.
            trio.BusyResourceError: another task is waiting here.
            trio.ClosedResourceError: it was waited for before, or given up.
        """
        if self._outcome is _GIVEN_UP:
            raise trio.ClosedResourceError
        if self._waiter is not None:
            msg = "another task is waiting for this reply"
            raise trio.BusyResourceError(msg)
        try:
            with trio.CancelScope(deadline=trio.current_time() + timeout_s):
                if self._outcome is _NONE:
                    await self._park()
                else:
                    await trio.lowlevel.checkpoint()
        except BaseException:
            self._outcome = _GIVEN_UP
            raise
        # What the actor could still send without being told "late" was in time.
        outcome, self._outcome = self._outcome, _GIVEN_UP
        return self._unwrapped(outcome, timeout_s)

    def close(self) -> None:
        """Give the question up without waiting."""
        self._outcome = _GIVEN_UP

    def settle(self, outcome: _Outcome, answer: object) -> bool:
        """Take the answer, a value or an error; False where nobody waits for it any more."""
        if self._outcome is _GIVEN_UP:
            self._counters.late += 1
            return False
        self._outcome = outcome
        self._answer = answer
        self._wake()
        return True

    def stop(self) -> None:
        """Learn that there will be no answer."""
        if self._outcome is _NONE:
            self._outcome = _STOPPED
            self._wake()

    def _unwrapped(self, outcome: _Outcome, timeout_s: float) -> T:
        answer, self._answer = self._answer, None
        if outcome is _VALUE:
            self._counters.answered += 1
            return cast("T", answer)
        if outcome is _ERROR:
            self._counters.failed += 1
            try:
                raise cast("Exception", answer)
            finally:
                # Its traceback holds this frame: together they would be garbage in a circle.
                del answer
        if outcome is _STOPPED:
            self._counters.stopped += 1
            raise ActorStopped
        self._counters.timed_out += 1
        msg = f"no answer within {timeout_s:g} s"
        raise ReplyTimeout(msg)

    async def _park(self) -> None:
        self._waiter = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _raise_cancel: Any) -> trio.lowlevel.Abort:
        self._waiter = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _wake(self) -> None:
        task, self._waiter = self._waiter, None
        if task is not None:
            trio.lowlevel.reschedule(task)


def open_reply(counters: ReplyCounters) -> tuple[Reply[Any], PendingReply[Any]]:
    """Make both halves of a one-shot reply; its outcome is counted in ``counters``.

    Raises:
        RuntimeError: called from outside Trio.
    """
    pending: PendingReply[Any] = PendingReply(counters)
    return Reply(pending, trio.lowlevel.current_trio_token()), pending
