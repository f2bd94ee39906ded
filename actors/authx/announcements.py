"""Announces on the bus that sessions may have ended, so that those serving one check again."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from bus import Message, Topic

if TYPE_CHECKING:
    from bus import Bus


@dataclass(frozen=True, slots=True)
class SessionsChanged:
    """Published on topic ``event`` when a session, or all of an account, may have ended.

    Its key is the id of the session or of the account. It is a reason to check the token again,
    not an answer: most often nothing has ended.
    """


class Announcer:
    """Publishes `SessionsChanged`."""

    __slots__ = ("_bus",)

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def changed(self, subject_id: str) -> None:
        """Announce a change of the session or account of this id; never waits, never raises.

        It may be missed if more follow it than one send reaches, or if the bus is closing: anyone
        serving a long-lived session rechecks it periodically anyway.
        """
        message = Message(Topic.EVENT, SessionsChanged(), subject_id)
        with suppress(trio.WouldBlock, trio.ClosedResourceError, trio.BrokenResourceError):
            self._bus.send_nowait(message)
