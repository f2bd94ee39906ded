"""``holdfast backup`` and ``holdfast restore``: a world into one file, and back."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from actors.database.backup import back_up, inspect_backup
from actors.database.driver import open_database
from actors.database.embedded import embedded_postgres
from actors.database.locks import check_not_restoring
from actors.database.migrate import seen_versions
from actors.database.restore import restore as restore_backup
from actors.database.tunnel import dsn_for_programs
from app.cli.database import NAME, operator_log, place, require_cluster, sole_connection
from app.cli.failures import expected_failures
from app.cli.interrupts import run_interruptible
from app.cli.options import config_option, read_config
from app.cli.progress import working

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.database.backup import BackupInfo
    from app.cli.progress import Progress
    from app.config import Config

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("file", type=_FILE)
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@config_option
def backup(file: Path, config_file: Path | None, *, force: bool) -> None:
    """Write the whole world to FILE, with or without a running server.

    The backup is consistent as of one moment, and FILE is complete when it appears. The token
    key, in token.key, is not part of it: keep that as you keep passwords.
    """
    with expected_failures():
        config = read_config(config_file)
        with working("backing up") as progress:
            run_interruptible(lambda: _back_up(config, file, progress, overwrite=force))


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace the world in the database.")
@config_option
def restore(file: Path, config_file: Path | None, *, force: bool) -> None:
    """Restore the world of a backup into the configured database.

    The database is the embedded one, created if missing, or the PostgreSQL of database.dsn. No
    server may be running on it. Afterwards it holds all of the backup or, after a failure, what
    it held before; if the connection breaks during the commit, or Ctrl-C comes then, the command
    says what is known about the outcome. A backup of an older version is upgraded when the server
    starts.
    """
    with expected_failures():
        config = read_config(config_file)
        with working("restoring") as progress:
            run_interruptible(lambda: _restore(config, file, progress, replace=force))


async def _back_up(config: Config, file: Path, progress: Progress, *, overwrite: bool) -> None:
    async with AsyncExitStack() as stack:
        dsn = config.database.dsn
        if not dsn:
            require_cluster(config)
            data_dir = Path(config.storage.data_dir)
            dsn = await stack.enter_async_context(embedded_postgres(data_dir, log=operator_log()))
        timeout_s = config.database.connect_timeout_ms / 1000
        async with open_database(dsn, connect_timeout_s=timeout_s, log=operator_log()) as database:
            connection = await database.connect(name=NAME)
            async with dsn_for_programs(connection, dsn) as reachable_dsn:
                try:
                    await connection.run(check_not_restoring)
                    # A world in another schema would be missed.
                    await connection.run(seen_versions)
                finally:
                    await connection.aclose()
                info = await back_up(
                    reachable_dsn,
                    file,
                    overwrite=overwrite,
                    on_progress=shown_by(progress),
                    connect_timeout_s=timeout_s,
                )
        progress.tell_done(f"backed up to {file} ({told(info)})")


async def _restore(config: Config, file: Path, progress: Progress, *, replace: bool) -> None:
    # Before making a database for it.
    await inspect_backup(file)
    async with sole_connection(config) as (connection, dsn):
        info = await restore_backup(
            connection,
            dsn,
            file,
            replace=replace,
            where=place(config),
            on_progress=lambda table, _: progress.step(table),
            connect_timeout_s=config.database.connect_timeout_ms / 1000,
            log=operator_log(),
        )
        progress.tell_done(f"restored {file} into the {place(config)} ({told(info)})")


def shown_by(progress: Progress) -> Callable[[str, int], None]:
    """Return what shows how far a backup is."""
    return lambda table, size: progress.step(f"{table} ({_size(size)})".strip())


def told(info: BackupInfo) -> str:
    """Describe a backup."""
    return f"{_size(info.file_bytes)}, schema version {info.schema_version}"


def _size(size: int) -> str:
    """Write a number of bytes in readable form."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"
