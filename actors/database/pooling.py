"""Finds out whether a session is ours alone, or a pooler lends its server to others in between.

Hosted databases often offer the address of such a pooler first (``pool_mode = transaction`` of
PgBouncer and the like). Locks, settings and prepared statements, which belong to a session, then
come and go.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from actors.database.errors import DatabaseError, DatabaseUnavailable, StatementError
from actors.database.sqlstates import DIVISION_BY_ZERO

if TYPE_CHECKING:
    from actors.database.driver import Connection, Database

# Without arguments, so that nothing is prepared: that would fail before the cause is known.
_MARK: Final = "set holdfast.session = '{mark}'"
_FAIL_UNLESS_MARKED: Final = """
select 1 / (coalesce(current_setting('holdfast.session', true), '') = '{mark}')::int
"""

_SHARED: Final = (
    "database.dsn leads to a pooler in transaction mode: Holdfast needs PostgreSQL itself, or a "
    "pooler in session mode"
)


async def check_pooling(database: Database) -> None:
    """Refuse a pooler in transaction mode; briefly takes two connections.

    Raises:
        DatabaseUnavailable: there is one on the way to PostgreSQL; or no connection is possible.
        DatabaseError: the database fails.
    """
    first = await database.connect(name="check")
    try:
        second = await database.connect(name="check")
        try:
            await check_own_session(first, second)
        finally:
            await second.aclose()
    finally:
        await first.aclose()


async def check_own_session(connection: Connection, other: Connection) -> None:
    """Refuse a pooler that lends a server to another connection between two transactions.

    ``other`` is a second connection to the same database. It begins a transaction, for which such
    a pooler lends it the most recently used server, so that ``connection`` meets another one. A
    pooler that lends them in rotation may go unnoticed.

    Raises:
        DatabaseUnavailable: there is such a pooler.
        DatabaseError: the database is away or fails.
    """
    mark = secrets.token_hex(8)
    await connection.run(lambda session: session.execute(_MARK.format(mark=mark)))
    try:
        await other.run(lambda session: session.execute("begin; select 1"))
        await connection.run(lambda session: session.execute(_FAIL_UNLESS_MARKED.format(mark=mark)))
    except StatementError as error:
        if error.sqlstate != DIVISION_BY_ZERO:
            raise
        raise DatabaseUnavailable(_SHARED) from None
    finally:
        with suppress(DatabaseError):
            await other.run(lambda session: session.execute("rollback"))
