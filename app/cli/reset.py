"""``holdfast reset``: end a world, so that the next start begins another for the same accounts."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from actors.authx import operator
from actors.authx.new_world import find_world
from actors.database.backup import back_up
from actors.database.locks import acquire_server_lock
from app.cli.backup import shown_by, told
from app.cli.database import check_world, place, require_cluster, sole_connection
from app.cli.failures import Failure, expected_failures, perhaps_done
from app.cli.interrupts import run_interruptible
from app.cli.options import config_option, read_config
from app.cli.progress import working

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.authx.new_world import EndedWorld
    from actors.database.driver import Connection
    from app.cli.progress import Progress
    from app.config import Config


@click.command()
@click.option(
    "--backup",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the old world to FILE first.",
)
@click.option("--no-backup", is_flag=True, help="Keep nothing of the old world.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@config_option
def reset(file: Path | None, config_file: Path | None, *, no_backup: bool, yes: bool) -> None:
    """End the world, so that the next start begins a new one for the same accounts.

    Removes what accounts own, their orders, transfers and ledgers, and the world's clock and
    rules. Accounts stay, with passwords, roles and suspensions, and so does the audit log.
    Everybody is logged out. The new world may have any ruleset.

    No server may be running. Without a backup nothing brings the old world back.
    """
    if (file is None) == (not no_backup):
        raise click.UsageError("say what to keep of the old world: --backup FILE, or --no-backup")
    with expected_failures():
        config = read_config(config_file)
        if file is not None and file.exists():
            raise Failure(f"{file} exists already: choose another name")
        if not yes:
            # No connection is held while waiting for the answer.
            with working("looking at the world"):
                world = run_interruptible(lambda: _look(config))
            click.confirm(_question(world), abort=True, err=True)
        with working("ending the world") as progress:
            run_interruptible(lambda: _reset(config, file, progress))


def _question(world: EndedWorld) -> str:
    accounts = "1 account owns" if world.accounts == 1 else f"{world.accounts:,} accounts own"
    return (
        f"End the world {world.name!r} at tick {world.tick:,}, and remove all that {accounts}, "
        "for good?"
    )


async def _look(config: Config) -> EndedWorld:
    async with _held(config) as (_, _, world):
        return world


async def _reset(config: Config, file: Path | None, progress: Progress) -> None:
    kept = "nothing is kept of it"
    async with _held(config) as (connection, dsn, world):
        if file is not None:
            timeout_s = config.database.connect_timeout_ms / 1000
            info = await back_up(
                dsn, file, on_progress=shown_by(progress), connect_timeout_s=timeout_s
            )
            kept = f"it is in {file} ({told(info)})"
        with perhaps_done():
            await operator.end_world(connection, now=datetime.now(UTC))
        progress.tell_done(
            f"the world {world.name!r} has ended, and {kept}; the next start begins a new one"
        )


@asynccontextmanager
async def _held(config: Config) -> AsyncGenerator[tuple[Connection, str, EndedWorld]]:
    """Keep servers away while the block lasts; yield what `sole_connection` does, and the world.

    Raises:
        AlreadyServed: a server is running.
        Failure: no world has begun.
        DatabaseError: as `check_world`.
    """
    if not config.database.dsn:
        require_cluster(config)
    async with sole_connection(config) as (connection, dsn):
        await connection.run(acquire_server_lock, timeout_s=10.0)
        await check_world(connection, config)
        world = await connection.run(find_world)
        if world is None:
            raise Failure(f"no world has begun in the {place(config)}: there is nothing to end")
        yield connection, dsn, world
