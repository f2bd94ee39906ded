"""A transaction that sees the database as it was at one moment, for reading it in many steps."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from actors.database.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.database.driver import Connection

_BEGIN: Final = "begin transaction isolation level repeatable read read only"


@asynccontextmanager
async def one_moment(connection: Connection) -> AsyncGenerator[None]:
    """Show ``connection``, which is the block's alone, the database as it was at its beginning.

    Raises:
        DatabaseError: the database is away or fails.
    """
    await connection.run(lambda session: session.execute(_BEGIN))
    try:
        yield
    finally:
        # A lost connection has rolled back already.
        with suppress(DatabaseError):
            await connection.run(lambda session: session.execute("rollback"))
