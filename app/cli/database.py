"""The database as an operator's command meets it: found or started, brought up to date, closed."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from actors.database.driver import open_database
from actors.database.embedded import embedded_postgres
from actors.database.upgrade import AutomaticBackups, upgrade
from app.config import Log
from app.logs import make_logger

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from structlog.typing import FilteringBoundLogger

    from actors.database.driver import Connection
    from app.config import Config

NAME = "operator"


@asynccontextmanager
async def operator_connection(
    config: Config,
) -> AsyncGenerator[tuple[Connection, tuple[int, ...]]]:
    """Give a connection to the configured database, and the migrations that were applied to it.

    The embedded server is started for as long as the block lasts, unless one runs there already:
    then that one is used, and stays.

    Raises:
        DatabaseError: there is no way to the database.
    """
    log = operator_log()
    timeout_s = config.database.connect_timeout_ms / 1000
    async with AsyncExitStack() as stack:
        dsn = config.database.dsn
        backups = None
        if not dsn:
            data_dir = Path(config.storage.data_dir)
            dsn = await stack.enter_async_context(embedded_postgres(data_dir, log=log))
            backups = AutomaticBackups.of(data_dir, dsn)
        database = await stack.enter_async_context(
            open_database(dsn, connect_timeout_s=timeout_s, log=log)
        )
        connection = await database.connect(name=NAME)
        try:
            yield connection, await upgrade(connection, backups, now=datetime.now(UTC), log=log)
        finally:
            await connection.aclose()


def operator_log() -> FilteringBoundLogger:
    """Make the log of a command: it tells on standard error what the operator should see."""
    return make_logger(Log(level="warning"), sys.stderr)
