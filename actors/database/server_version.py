"""The PostgreSQL servers that this program works with, the embedded one or an operator's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors.database.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from actors.database.session import Session

OLDEST: Final = 17
"""Restoring a backup uses a setting that older versions do not know."""


ENCODING: Final = "UTF8"
"""Others cannot hold every name, or do not know where a character ends."""


def check_server(major: int, encoding: str) -> None:
    """Refuse a server that is too old, or a database with another encoding.

    Raises:
        DatabaseUnavailable: it is one of these.
    """
    if major < OLDEST:
        raise DatabaseUnavailable(
            f"the PostgreSQL of database.dsn is version {major}: Holdfast needs {OLDEST} or newer"
        )
    if encoding != ENCODING:
        raise DatabaseUnavailable(
            f"the database of database.dsn uses the encoding {encoding}: Holdfast needs "
            f"{ENCODING} (createdb --encoding={ENCODING} --template=template0)"
        )


async def check_writable(session: Session) -> None:
    """Refuse a database in which nothing can be changed.

    A standby has its own locks: besides the primary's server another would start there, report
    itself ready, and answer from a world that it cannot advance.

    Raises:
        DatabaseUnavailable: it is a standby, or set to read-only.
        DatabaseError: the database is away or fails.
    """
    if await session.fetchval("select current_setting('transaction_read_only')::boolean"):
        raise DatabaseUnavailable(
            "the database of database.dsn is read-only: a standby, or set so by"
            " default_transaction_read_only"
        )
