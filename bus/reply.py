"""One-shot replies: a memory channel for a single value, and exactly one outcome per question.

The outcome is a value, the actor's error, `ActorStopped`, or `ReplyTimeout`. The sending half
travels with the message; the receiving half stays with the caller, who closes it, so that a late
answer is noticed, dropped and counted. Like Trio's channels it has two halves, but holds one
value and serves once: every ask makes one, and a channel for many values would cost twice as much.
"""

from __future__ import annotations

from contextlib import suppress
from enum import Enum, auto
from typing import Any, Generic, TypeVar, cast

import trio

from bus.deadlines import Deadlines
from bus.errors import ActorStopped, ReplyTimeout
from bus.waking import NOTHING

T = TypeVar("T")


class _Outcome(Enum):
    """The outcome of a question."""

    NONE = auto()
    VALUE = auto()
    ERROR = auto()
    STOPPED = auto()
    GIVEN_UP = auto()


# Module names: a lookup as class members would cost several times as much.
_NONE, _VALUE, _ERROR, _STOPPED, _GIVEN_UP = _Outcome


class Replies:
    """The state that questions over one bus share: counts of outcomes, and deadlines."""

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

    If a message reached several subscriptions, each holds it; it counts as stopped when the last
    of them has dropped it. An actor that forwards the message, or its reply in another message,
    no longer holds it: the new receivers do. A reply garbage-collected unanswered counts as
    dropped.
    """

    __slots__ = ("__weakref__", "_holders", "_pending", "_token", "sendings")

    def __init__(self, pending: PendingReply[T], token: trio.lowlevel.TrioToken) -> None:
        self._pending: PendingReply[T] | None = pending
        self._holders = 1
        self._token = token
        self.sendings = 0
        """How often it was sent: only holders from the latest sending count."""

    @property
    def settled(self) -> bool:
        """Whether the question already has its outcome."""
        return self._pending is None

    @property
    def awaited(self) -> bool:
        """Whether an answer sent now will reach the caller: neither settled nor late.

        Check this first where an answer is expensive or must not be lost.
        """
        return self._pending is not None and not self._pending.given_up

    def send_nowait(self, value: T) -> bool:
        """Answer with a value; False if the question was already settled or abandoned."""
        pending, self._pending = self._pending, None
        return pending is not None and pending.settle(_VALUE, value)

    def fail(self, error: Exception) -> bool:
        """Answer with an error, raised in the caller with a traceback that begins there.

        One error may answer several questions. False as for `send_nowait`.
        """
        pending, self._pending = self._pending, None
        return pending is not None and pending.settle(_ERROR, error)

    def sent_to(self, holders: int) -> int:
        """Record how many subscriptions, and nobody else, hold the message now (called by the bus).

        Returns the number of this sending; each of them passes it to `drop`.
        """
        self._holders = holders
        self.sendings += 1
        return self.sendings

    def drop(self, sending: int) -> None:
        """Give up the message unanswered on behalf of one of its holders (called by the bus).

        A drop from an earlier sending has no effect.
        """
        if sending != self.sendings:
            return
        self._holders -= 1
        if self._holders <= 0:
            self.close()

    def close(self) -> None:
        """Settle as `ActorStopped` unless already settled; never raises."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.stop()

    def __del__(self) -> None:
        """Wake the caller if nobody can answer the message any more."""
        pending, self._pending = self._pending, None
        if pending is not None:
            # Garbage collection can run in any thread, and in the middle of Trio's own loop:
            # only the token is safe to use there. Once the run is over, no caller is left.
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(pending.stop)


class PendingReply(Generic[T]):
    """The receiving half: the caller waits on it, once."""

    __slots__ = ("_answer", "_outcome", "_replies", "_waiter")

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self._outcome = _NONE
        self._answer: Any = None
        self._waiter: trio.lowlevel.Task | None = None

    async def wait(self, timeout_s: float) -> T:
        """Wait for the outcome, at most ``timeout_s`` seconds of Trio's clock.

        Cancellation abandons the question: the answer, if it comes, is dropped and counted.

        Raises:
            ActorStopped: the message was dropped unanswered, or reached nobody.
            ReplyTimeout: no outcome in time.
            Exception: the error that the actor answered with.
            trio.BusyResourceError: another task is waiting here, and has not been answered yet.
            trio.ClosedResourceError: the outcome was already awaited, or the question abandoned.
        """
        if self._outcome is _NONE:
            if self._waiter is not None:
                msg = "another task is waiting for this reply"
                raise trio.BusyResourceError(msg)
            deadline = trio.current_time() + timeout_s
            lane = self._replies.deadlines.enter(self, timeout_s, deadline)
            if lane is not None:
                self._waiter = trio.lowlevel.current_task()
                try:
                    await trio.lowlevel.wait_task_rescheduled(self._abort)
                finally:
                    del lane[self]
            # There is no keeper of the deadlines, or it has ended meanwhile.
            if self._outcome is _NONE:
                await self._wait_alone(deadline)
            # An answer sent before this task ran is in time: `settle` has told the actor so.
            outcome, self._outcome = self._outcome, _GIVEN_UP
        elif self._outcome is _GIVEN_UP:
            raise trio.ClosedResourceError
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
        """Whether nobody waits, or will wait, for the outcome."""
        return self._outcome is _GIVEN_UP

    def close(self) -> None:
        """Abandon the question without waiting."""
        self._outcome = _GIVEN_UP

    def settle(self, outcome: _Outcome, answer: object) -> bool:
        """Take the answer, a value or an error; False if the question was abandoned."""
        if self._outcome is _GIVEN_UP:
            self._replies.late += 1
            return False
        self._outcome = outcome
        self._answer = answer
        self.look_again()
        return True

    def stop(self) -> None:
        """Settle with no answer, since none will come."""
        if self._outcome is _NONE:
            self._outcome = _STOPPED
            self.look_again()

    def time_out(self) -> None:
        """Abandon the question at its deadline: any answer from now on is late."""
        if self._outcome is _NONE:
            self._outcome = _GIVEN_UP
            self.look_again()

    def look_again(self) -> None:
        """Wake the waiting task, if any, to check for an outcome."""
        task, self._waiter = self._waiter, None
        if task is not None:
            trio.lowlevel.reschedule(task, NOTHING)

    async def _wait_alone(self, deadline: float) -> None:
        """Wait until there is an outcome, or the deadline has passed; nobody else keeps it."""
        self._waiter = trio.lowlevel.current_task()
        with trio.CancelScope(deadline=deadline):
            await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _raise_cancel: Any) -> trio.lowlevel.Abort:
        # Give up now, not when the task next runs: an answer sent in between would be accepted,
        # then lost.
        self._outcome = _GIVEN_UP
        self._waiter = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _failure(self, outcome: _Outcome, timeout_s: float) -> Exception:
        """Count an outcome that is not a value, and return the error to raise in the caller."""
        if outcome is _ERROR:
            self._replies.failed += 1
            # Do not keep it: its traceback will refer to the caller, which refers to this. One
            # error may answer many questions: none should carry the tracebacks of all.
            error, self._answer = cast("Exception", self._answer), None
            return error.with_traceback(None)
        if outcome is _STOPPED:
            self._replies.stopped += 1
            return ActorStopped()
        self._replies.timed_out += 1
        return ReplyTimeout(f"no answer within {timeout_s:g} s")
