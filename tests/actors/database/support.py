"""Connections to a database, and the queries that tests run on them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from actors.database.driver import Connection, Database, open_database
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.database.session import Session

BUSY_S = 0.5
"""Slack for a busy machine in a time bound; a frozen server would take forever."""


@asynccontextmanager
async def connected(dsn: str) -> AsyncGenerator[tuple[Database, Connection], None]:
    """Open a database and a connection to it."""
    async with open_database(dsn, connect_timeout_s=5, log=quiet_log()) as database:
        connection = await database.connect(name="test")
        yield database, connection


async def select_one(session: Session) -> int:
    """Run the cheapest query."""
    value: int = await session.fetchval("select 1")
    return value


async def backend_pid(session: Session) -> int:
    """Ask for the pid of the process at the other end."""
    pid: int = await session.fetchval("select pg_backend_pid()")
    return pid
