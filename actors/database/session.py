"""A script's interface to the database: one connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractAsyncContextManager

T = TypeVar("T")


class Record(Protocol):
    """One row of a result: values by column name or position, read-only."""

    def __getitem__(self, key: str | int, /) -> Any:
        """Return the value of a column."""
        ...

    def __len__(self) -> int:
        """Count the columns."""
        ...

    def keys(self) -> Iterator[str]:
        """Iterate over the names of the columns."""
        ...

    def values(self) -> Iterator[Any]:
        """Iterate over the values, in the order of the columns."""
        ...

    def items(self) -> Iterator[tuple[str, Any]]:
        """Iterate over pairs of name and value."""
        ...


class Session(Protocol):
    """SQL on one connection, to be awaited only inside a script given to `Connection.run`.

    Arguments replace ``$1``, ``$2``, ...; ``uuid`` and ``jsonb`` are ``str`` in both directions,
    integral ``numeric`` reads as ``int``, ``timestamptz`` as an aware ``datetime`` in UTC.

    Raises (each method): `ConnectionLost`, `TransientError`, `UniqueViolation`,
    `ForeignKeyViolation`, `CheckViolation`, `StatementError`. After one of the last five an open
    transaction can only be rolled back, to the last savepoint if there is one.
    """

    async def fetch(self, sql: str, *args: object) -> list[Record]:
        """Run a statement and return all its rows."""
        ...

    async def fetchrow(self, sql: str, *args: object) -> Record | None:
        """Run a statement and return its first row, None if there is none."""
        ...

    async def fetchval(self, sql: str, *args: object) -> Any:
        """Run a statement and return the first value of its first row, None if there is none."""
        ...

    async def execute(self, sql: str, *args: object) -> str:
        """Run a statement, or several without arguments; return its tag (``INSERT 0 3``)."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """Open a transaction, or a savepoint inside one: commit at the end, rollback on error."""
        ...


Script: TypeAlias = Callable[[Session], Awaitable[T]]
"""Work on one connection; awaiting anything but its session holds up the connection."""
