"""How another actor talks to Storage: over the bus, like everyone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from actors.storage.operations import Acknowledged, Barrier, Operation, Query, Read, Row, Write
from bus import Message, Topic

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bus import Bus, PendingReply

STORAGE_KEY: Final = "storage"
"""The key of Storage's messages on topic ``task``."""


class StorageClient:
    """Asks Storage and waits; ``timeout_s`` is a backstop if Storage cannot answer in time.

    Except for `submit`, nothing is sent or raised before the result of a method is awaited.
    """

    __slots__ = ("_bus", "_timeout_s")

    def __init__(self, bus: Bus, *, timeout_s: float) -> None:
        self._bus = bus
        self._timeout_s = timeout_s

    def commit(self, *operations: Operation) -> Coroutine[Any, Any, None]:
        """Commit one unit; returns when it is durable.

        Raises:
            StorageError: the unit changed nothing; see `actors.storage.errors`.
            Overloaded: the queue is full or the database is away; nothing was done.
            ActorStopped: Storage failed while it had the unit: its outcome is unknown.
            ReplyTimeout: likewise.
        """
        return self._bus.ask(
            Topic.TASK, Write(operations), key=STORAGE_KEY, timeout_s=self._timeout_s
        )

    def wait_settled(self) -> Coroutine[Any, Any, None]:
        """Wait until no unit handed over before can take effect any more.

        For a caller that was told a unit's outcome is unknown, and continues from what is stored.

        Raises:
            Overloaded: the queue is full or the database is away: they may still be in flight.
            ActorStopped: Storage failed meanwhile: likewise.
            ReplyTimeout: likewise.
        """
        return self._bus.ask(Topic.TASK, Barrier(), key=STORAGE_KEY, timeout_s=self._timeout_s)

    def read(self, *reads: Read) -> Coroutine[Any, Any, list[list[Row]]]:
        """Read; returns one list of rows for each read.

        Raises:
            Refused: a read is malformed.
            Overloaded: the queue is full or the database is away.
            ActorStopped: Storage failed meanwhile.
            ReplyTimeout: no answer in time.
        """
        return self._bus.ask(Topic.TASK, Query(reads), key=STORAGE_KEY, timeout_s=self._timeout_s)

    def submit(
        self, *operations: Operation
    ) -> tuple[PendingReply[Acknowledged], PendingReply[None]]:
        """Hand over one unit; return its two pending replies, the instant one first.

        Raises:
            Overloaded: Storage's buffer is full.
        """
        ack, pending_ack = self._bus.open_reply()
        result, pending_result = self._bus.open_reply()
        message = Message(Topic.TASK, Write(operations, ack), STORAGE_KEY, result)
        if not self._bus.send_nowait(message):
            ack.close()
            result.close()
        return pending_ack, pending_result
