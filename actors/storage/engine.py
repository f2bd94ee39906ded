"""The engine of Storage: PostgreSQL, or its in-memory twin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.storage.errors import StorageError
    from actors.storage.operations import Operation, Read, Row

Unit = tuple["Operation", ...]


class EngineUnavailable(Exception):
    """The database cannot be reached now; ``in_doubt`` if a commit's outcome is unknown.

    A batch in doubt must be passed again unchanged until its outcome is known: what was committed
    is not done twice. Otherwise nothing was done, and any batch may follow.
    """

    def __init__(self, reason: str, *, in_doubt: bool = False) -> None:
        super().__init__(reason)
        self.in_doubt = in_doubt


class Engine(Protocol):
    """Carries out validated units and reads."""

    async def open(self) -> None:
        """Connect unless it is connected, so that the first commit need not.

        Raises whatever prevents that.
        """

    def forget(self) -> None:
        """Forget a commit in doubt: an earlier run of Storage left it, and its callers know."""

    async def commit(self, units: Sequence[Unit]) -> list[StorageError | None]:
        """Make the units durable, each entirely or not at all; return one outcome for each.

        Raises:
            EngineUnavailable: nothing is known to have been done.
        """
        ...

    async def read(self, reads: Sequence[Read]) -> list[list[Row]]:
        """Answer the reads, each with its rows.

        Raises:
            EngineUnavailable: the database is away.
        """
        ...

    async def aclose(self) -> None:
        """Disconnect; bounded, and never raises if the database is away."""
