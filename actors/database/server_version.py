"""Which PostgreSQL this program works with, the embedded one or an operator's own."""

from __future__ import annotations

from typing import Final

from actors.database.errors import DatabaseUnavailable

OLDEST: Final = 17
"""Restoring a backup makes use of a setting that older versions do not know."""


ENCODING: Final = "UTF8"
"""Others cannot hold every name, or do not know where a character ends."""


def check_server(major: int, encoding: str) -> None:
    """Refuse a server that is too old, and a database of another encoding.

    Raises:
        DatabaseUnavailable: it is.
    """
    if major < OLDEST:
        raise DatabaseUnavailable(
            f"the PostgreSQL of database.dsn is version {major}: Holdfast needs {OLDEST} or newer"
        )
    if encoding != ENCODING:
        raise DatabaseUnavailable(
            f"the database of database.dsn is {encoding}: Holdfast needs {ENCODING}, as createdb"
            f" --encoding={ENCODING} --template=template0 makes one"
        )
