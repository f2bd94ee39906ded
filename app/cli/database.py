"""Access to the database for operators' commands: find or start it, check it, close it."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING

from actors.database.cluster import Cluster
from actors.database.driver import open_database
from actors.database.dsn import describe_dsn
from actors.database.embedded import EmbeddedPostgres, reach_postgres
from actors.database.errors import AlreadyServed, SchemaTooOld
from actors.database.locks import acquire_server_lock, check_not_restoring
from actors.database.migrate import check_current, seen_versions
from actors.database.tunnel import dsn_for_programs
from actors.database.upgrade import AutomaticBackups, upgrade
from app.cli.failures import Failure
from app.config import Log
from app.logs import make_logger

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from structlog.typing import FilteringBoundLogger

    from actors.database.driver import Connection
    from actors.database.upgrade import Upgrade
    from app.config import Config

NAME = "operator"


class May(Enum):
    """What a command may do to the database before it works on it."""

    USE = auto()
    """Nothing: it must exist and have this program's schema, or the command refuses."""
    MAKE = auto()
    """Make one if there is none."""
    UPGRADE = auto()
    """The same, and migrate an older one, unless a server is using it."""


@asynccontextmanager
async def operator_connection(
    config: Config, may: May = May.USE, *, tell: Callable[[Upgrade], None] = lambda _: None
) -> AsyncGenerator[Connection]:
    """Open a connection to the configured database; ``tell`` gets what was done to its schema.

    The embedded server runs while the block lasts. If one runs there already, that one is used and
    left running.

    Raises:
        Failure: there is no world, and the command may not make one.
        SchemaTooOld: it is an earlier program's, and the command may not migrate it.
        AlreadyServed: it needs migrating while a server is using it, or a restore is running.
        DatabaseError: the database cannot be reached.
    """
    log = operator_log()
    timeout_s = config.database.connect_timeout_ms / 1000
    async with AsyncExitStack() as stack:
        dsn = config.database.dsn
        backups = None
        served = False
        if not dsn:
            if may is May.USE:
                require_cluster(config)
            data_dir = Path(config.storage.data_dir)
            dsn, served = await stack.enter_async_context(reach_postgres(data_dir, log=log))
            backups = AutomaticBackups.of(data_dir, dsn)
        database = await stack.enter_async_context(
            open_database(dsn, connect_timeout_s=timeout_s, log=log)
        )
        connection = await database.connect(name=NAME)
        try:
            await _prepare(connection, config, may, backups, tell, served=served)
            yield connection
        finally:
            await connection.aclose()


@asynccontextmanager
async def sole_connection(config: Config) -> AsyncGenerator[tuple[Connection, str]]:
    """Open a connection to a database that no server is using, with a DSN for other programs.

    The embedded server runs while the block lasts; one that runs there already is not used: this
    one must be the only one. What the database holds is not looked at, but without an embedded one
    a new one is made.

    Raises:
        AlreadyServed: a server is using the data directory.
        DatabaseError: the database cannot be reached.
    """
    log = operator_log()
    async with AsyncExitStack() as stack:
        dsn = config.database.dsn
        if not dsn:
            server = EmbeddedPostgres(Path(config.storage.data_dir), log=log)
            stack.push_async_callback(server.stop)
            await server.start()
            dsn = server.dsn
        timeout_s = config.database.connect_timeout_ms / 1000
        database = await stack.enter_async_context(
            open_database(dsn, connect_timeout_s=timeout_s, log=log)
        )
        connection = await database.connect(name=NAME)
        stack.push_async_callback(connection.aclose)
        yield connection, await stack.enter_async_context(dsn_for_programs(connection, dsn))


async def check_world(connection: Connection, config: Config) -> None:
    """Check that a database holds a world of this program's schema, and is not being restored.

    Raises:
        Failure: there is no world.
        SchemaTooOld: it is an earlier program's.
        AlreadyServed: a restore is running.
        DatabaseError: the database fails.
    """
    await _prepare(connection, config, May.USE, None, lambda _: None, served=False)


async def _prepare(
    connection: Connection,
    config: Config,
    may: May,
    backups: AutomaticBackups | None,
    tell: Callable[[Upgrade], None],
    *,
    served: bool,
) -> None:
    """Do what the command may do to the database, and check that it is usable."""
    await connection.run(check_not_restoring)
    seen = await connection.run(seen_versions)
    if may is May.USE and not seen:
        raise nothing_there(config)
    if seen:
        try:
            await connection.run(check_current)
        except SchemaTooOld:
            if may is not May.UPGRADE:
                raise
            # A server of the earlier program could not restart. One that has just lost its
            # connection does not hold the lock, but still holds its data directory.
            if served:
                raise AlreadyServed(
                    f"another Holdfast server is running on the {place(config)}"
                ) from None
            await connection.run(acquire_server_lock)
        else:
            return
    await upgrade(connection, backups, now=datetime.now(UTC), log=operator_log(), tell=tell)


def place(config: Config) -> str:
    """Name the configured database, without user and password."""
    dsn = config.database.dsn
    return f"database {describe_dsn(dsn)}" if dsn else f"data directory {config.storage.data_dir}"


def require_cluster(config: Config) -> None:
    """Check that there is an embedded database, so that none is made only to be read.

    Raises:
        Failure: there is none.
    """
    if not Cluster.at(Path(config.storage.data_dir)).path.exists():
        raise nothing_there(config)


def nothing_there(config: Config) -> Failure:
    """Make the failure for a missing world, with help for running in the wrong folder."""
    return Failure(
        f"there is no world in the {place(config)}: is that the right one? (see --config, "
        "storage.data_dir and database.dsn; holdfast init creates a world)"
    )


def operator_log() -> FilteringBoundLogger:
    """Make the log of a command: what the operator should see, on standard error."""
    return make_logger(Log(level="warning"), sys.stderr)
