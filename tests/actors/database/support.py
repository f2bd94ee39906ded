"""Connections to a database, and what a test asks on them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from actors.database.driver import Connection, Database, open_database
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.database.session import Session

BUSY_S = 0.5
"""What a busy machine may add to a bound in time; a frozen server would take for ever."""


@asynccontextmanager
async def connected(dsn: str) -> AsyncGenerator[tuple[Database, Connection], None]:
    """Open a database and a connection to it."""
    async with open_database(dsn, connect_timeout_s=5, log=quiet_log()) as database:
        connection = await database.connect(name="test")
        yield database, connection


async def select_one(session: Session) -> int:
    """Ask for the least."""
    value: int = await session.fetchval("select 1")
    return value


async def backend_pid(session: Session) -> int:
    """Ask for the process at the other end."""
    pid: int = await session.fetchval("select pg_backend_pid()")
    return pid
