"""What the bus raises beyond Trio's own channel errors.

::

    BusError
    ├── Overloaded      a buffer that the message would reach is full
    ├── ActorStopped    every holder of the message stopped or dropped it unanswered
    └── ReplyTimeout    nobody answered in time; a late answer is dropped and counted

`trio.ClosedResourceError` and `trio.BrokenResourceError` mean the same as for Trio's memory
channels: this handle was closed; nobody is left to receive.
"""

from __future__ import annotations


class BusError(Exception):
    """Base class of what can go wrong between sending a message and its answer."""


class Overloaded(BusError):
    """A buffer that the message would reach is full; the sender may try again later.

    ``retry_after_s`` is how much later, in whole seconds, as far as the refuser can tell.
    """

    def __init__(self, message: str = "", *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ActorStopped(BusError):
    """The message was dropped unanswered: the caller does not know whether it had any effect."""


class ReplyTimeout(BusError):
    """No answer came in time: the caller does not know whether the message had any effect."""
