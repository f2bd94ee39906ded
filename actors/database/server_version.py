"""Which PostgreSQL this program works with, the embedded one or an operator's own."""

from __future__ import annotations

from typing import Final

from actors.database.errors import DatabaseUnavailable

OLDEST: Final = 17
"""Restoring a backup makes use of a setting that older versions do not know."""


def check_version(major: int) -> None:
    """Refuse a server that is too old.

    Raises:
        DatabaseUnavailable: it is.
    """
    if major < OLDEST:
        raise DatabaseUnavailable(
            f"the PostgreSQL of database.dsn is version {major}: Holdfast needs {OLDEST} or newer"
        )
