"""One-shot replies: a memory channel for a single value, and exactly one outcome per question.

The outcome is a value, the actor's error, `ActorStopped`, or `ReplyTimeout`. The sending half
travels with the message; the receiving half stays with the asker and is closed by it, so that
an answer that comes too late is noticed, dropped and counted. Two halves in Trio's manner, with
room for one value and for one use: an ask makes one of these, and a channel for many values
would cost it twice as much.
"""

from __future__ import annotations

from contextlib import suppress
from enum import Enum, auto
from typing import Any, Generic, TypeVar, cast

import trio

from bus.deadlines import Deadlines
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


class Replies:
    """What the questions over one bus share: how they came out, and by when they must."""

    __slots__ = ("answered", "deadlines", "failed", "late", "stopped", "timed_out")

    def __init__(self) -> None:
        self.answered = self.failed = self.stopped = self.timed_out = self.late = 0
        self.deadlines = Deadlines()

    def open(self) -> tuple[Reply[Any], PendingReply[Any]]:
        """Make both halves of a one-shot reply.

        Raises:
            RuntimeError: called from outside Trio.
        """
        pending: PendingReply[Any] = PendingReply(self)
        return Reply(pending, trio.lowlevel.current_trio_token()), pending


class Reply(Generic[T]):
    """The sending half: the actor that holds the message answers through it, once.

    A message that reached several subscriptions is held by each; it counts as stopped when the
    last of them has dropped it. An actor that sends the message on, or its reply in another
    message, holds it no more: those whom that reaches do. A reply that is garbage-collected
    unanswered counts as dropped.
    """

    __slots__ = ("__weakref__", "_holders", "_pending", "_token", "sendings")

    def __init__(self, pending: PendingReply[T], token: trio.lowlevel.TrioToken) -> None:
        self._pending: PendingReply[T] | None = pending
        self._holders = 1
        self._token = token
        self.sendings = 0
        """How often it was sent: who holds it from an earlier time holds it no more."""

    @property
    def settled(self) -> bool:
        """Whether the question has its outcome already."""
        return self._pending is None

    @property
    def awaited(self) -> bool:
        """Whether an answer that is sent now will reach the asker: it is neither settled nor late.

        Where an answer costs much, or must not be lost, look before.
        """
        return self._pending is not None and not self._pending.given_up

    def send_nowait(self, value: T) -> bool:
        """Answer with a value; False where the question was settled or given up before."""
        pending, self._pending = self._pending, None
        return pending is not None and pending.settle(_VALUE, value)

    def fail(self, error: Exception) -> bool:
        """Answer with an error, which is raised in the asker, its traceback beginning there.

        The same error may be the answer to several. False as for `send_nowait`.
        """
        pending, self._pending = self._pending, None
        return pending is not None and pending.settle(_ERROR, error)

    def sent_to(self, holders: int) -> int:
        """Say how many subscriptions hold the message now, and nobody else (called by the bus).

        Gives the number of this sending, by which each of them drops it.
        """
        self._holders = holders
        self.sendings += 1
        return self.sendings

    def drop(self, sending: int) -> None:
        """Give the message up unanswered on behalf of one of its holders (called by the bus).

        Who has it by an earlier sending is no holder, and changes nothing.
        """
        if sending != self.sendings:
            return
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

    __slots__ = ("_answer", "_outcome", "_replies", "_waiter")

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self._outcome = _NONE
        self._answer: Any = None
        self._waiter: trio.lowlevel.Task | None = None

    async def wait(self, timeout_s: float) -> T:
        """Wait for the outcome, at most ``timeout_s`` seconds of Trio's clock.

        Cancellation gives the question up: the answer, if it comes, is dropped and counted.

        Raises:
            ActorStopped: the message was dropped unanswered, or reached nobody.
            ReplyTimeout: no outcome in time.
            Exception: whatever error the actor answered with.
            trio.BusyResourceError: another task is waiting here, and has not been answered yet.
            trio.ClosedResourceError: it was waited for before, or given up.
        """
        if self._outcome is _GIVEN_UP:
            raise trio.ClosedResourceError
        if self._waiter is not None:
            msg = "another task is waiting for this reply"
            raise trio.BusyResourceError(msg)
        if self._outcome is _NONE:
            await self._park(timeout_s)
            # One that was sent before this task ran is in time: `settle` has told the actor so.
            outcome, self._outcome = self._outcome, _GIVEN_UP
        else:
            # This one is in time as well: no cancellation may lose it.
            outcome, self._outcome = self._outcome, _GIVEN_UP
            await trio.lowlevel.cancel_shielded_checkpoint()
        if outcome is _VALUE:
            self._replies.answered += 1
            answer: T = self._answer
            self._answer = None
            return answer
        raise self._failure(outcome, timeout_s)

    @property
    def given_up(self) -> bool:
        """Whether nobody waits for the outcome, nor will."""
        return self._outcome is _GIVEN_UP

    def close(self) -> None:
        """Give the question up without waiting."""
        self._outcome = _GIVEN_UP

    def settle(self, outcome: _Outcome, answer: object) -> bool:
        """Take the answer, a value or an error; False where nobody waits for it any more."""
        if self._outcome is _GIVEN_UP:
            self._replies.late += 1
            return False
        self._outcome = outcome
        self._answer = answer
        self.look_again()
        return True

    def stop(self) -> None:
        """Learn that there will be no answer."""
        if self._outcome is _NONE:
            self._outcome = _STOPPED
            self.look_again()

    def time_out(self) -> None:
        """Learn that the deadline has passed: what comes from now on is late."""
        if self._outcome is _NONE:
            self._outcome = _GIVEN_UP
            self.look_again()

    def look_again(self) -> None:
        """Wake whoever waits here, to see what there is to see."""
        task, self._waiter = self._waiter, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    async def _park(self, timeout_s: float) -> None:
        """Wait until there is an outcome, or there can be none in time."""
        deadlines = self._replies.deadlines
        deadline = trio.current_time() + timeout_s
        # More than once only where the keeper of the deadlines ends meanwhile.
        while self._outcome is _NONE:
            lane = deadlines.enter(self, timeout_s, deadline)
            self._waiter = trio.lowlevel.current_task()
            if lane is None:
                with trio.CancelScope(deadline=deadline):
                    await trio.lowlevel.wait_task_rescheduled(self._abort)
                return
            try:
                await trio.lowlevel.wait_task_rescheduled(self._abort)
            finally:
                del lane[self]

    def _abort(self, _raise_cancel: Any) -> trio.lowlevel.Abort:
        # Given up now, not when the task runs next: an answer that is sent in between would be
        # accepted, and lost.
        self._outcome = _GIVEN_UP
        self._waiter = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _failure(self, outcome: _Outcome, timeout_s: float) -> Exception:
        """Count an outcome that is no value, and make of it what the asker is to see."""
        if outcome is _ERROR:
            self._replies.failed += 1
            # Kept nowhere: its traceback will hold the asker, who holds this. One error may be
            # the answer to many: none of them is to carry the tracebacks of all.
            error, self._answer = cast("Exception", self._answer), None
            return error.with_traceback(None)
        if outcome is _STOPPED:
            self._replies.stopped += 1
            return ActorStopped()
        self._replies.timed_out += 1
        return ReplyTimeout(f"no answer within {timeout_s:g} s")
