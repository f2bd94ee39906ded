"""How another actor talks to Storage: over the bus, like everyone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors.storage.operations import Acknowledged, Barrier, Operation, Query, Read, Row, Write
from bus import Message, Topic

if TYPE_CHECKING:
    from bus import Bus, PendingReply

STORAGE_KEY: Final = "storage"
"""The key of Storage's messages on topic ``task``."""


class StorageClient:
    """Asks Storage and waits; ``timeout_s`` is a backstop if Storage cannot answer in time."""

    __slots__ = ("_bus", "_timeout_s")

    def __init__(self, bus: Bus, *, timeout_s: float) -> None:
        self._bus = bus
        self._timeout_s = timeout_s

    async def commit(self, *operations: Operation) -> None:
        """Commit one unit; returns when it is durable.

        Raises:
            StorageError: the unit changed nothing; see `actors.storage.errors`.
            Overloaded: the queue is full or the database is away; nothing was done.
            ActorStopped: Storage failed while it had the unit: its outcome is unknown.
            ReplyTimeout: likewise.
        """
        await self._bus.ask(
            Topic.TASK, Write(operations), key=STORAGE_KEY, timeout_s=self._timeout_s
        )

    async def wait_settled(self) -> None:
        """Wait until no unit handed over before can take effect any more.

        For a caller that was told a unit's outcome is unknown, and continues from what is stored.

        Raises:
            Overloaded: the queue is full or the database is away: they may still be in flight.
            ActorStopped: Storage failed meanwhile: likewise.
            ReplyTimeout: likewise.
        """
        await self._bus.ask(Topic.TASK, Barrier(), key=STORAGE_KEY, timeout_s=self._timeout_s)

    async def read(self, *reads: Read) -> list[list[Row]]:
        """Read; returns one list of rows for each read.

        Raises:
            Refused: a read is malformed.
            Overloaded: the queue is full or the database is away.
            ActorStopped: Storage failed meanwhile.
            ReplyTimeout: no answer in time.
        """
        rows: list[list[Row]] = await self._bus.ask(
            Topic.TASK, Query(reads), key=STORAGE_KEY, timeout_s=self._timeout_s
        )
        return rows

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
