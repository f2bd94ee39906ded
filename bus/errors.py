"""What the bus raises beyond Trio's own channel errors.

::

    BusError
    ├── Overloaded      a buffer in reach of the message is full
    ├── ActorStopped    whoever held the message stopped or dropped it unanswered
    └── ReplyTimeout    nobody answered in time; a late answer is dropped and counted

`trio.ClosedResourceError` and `trio.BrokenResourceError` mean here what they mean for Trio's
memory channels: this handle was closed; nobody is left to receive.
"""

from __future__ import annotations


class BusError(Exception):
    """Whatever can go wrong between sending a message and its answer."""


class Overloaded(BusError):
    """A buffer in reach is full; the sender may try again later.

    ``retry_after_s`` says when, in whole seconds, as far as whoever refuses knows.
    """

    def __init__(self, message: str = "", *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ActorStopped(BusError):
    """The message was dropped unanswered: its effect, if any, is unknown to the asker."""


class ReplyTimeout(BusError):
    """The answer did not come in time: its effect, if any, is unknown to the asker."""
