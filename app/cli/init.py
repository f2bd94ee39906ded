"""``holdfast init``: make what a server needs, and tell what was made and what was there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import trio

from actors.authx.keys import KeyRing, create_key_file, read_keyring
from actors.inventory.ruleset import load_ruleset
from app.cli.database import operator_connection
from app.cli.failures import expected_failures
from app.cli.options import DEFAULT_FILE, config_option, read_config
from app.cli.progress import working
from app.config import render_config

if TYPE_CHECKING:
    from app.config import Config


@click.command()
@config_option
def init(config_file: Path | None) -> None:
    """Make configuration, keys and database, where they are missing.

    Changes nothing that is there, so that it can be run again at any time. `holdfast serve` makes
    keys and database by itself; this makes them beforehand, and shows whether all is well.
    """
    file = config_file or DEFAULT_FILE
    with expected_failures():
        made = write_config(file)
        tell(made=made, what="configuration", where=file)
        config = read_config(file)
        check_rules(config)
        data_dir = Path(config.storage.data_dir)
        tell(made=make_directory(data_dir), what="data directory", where=data_dir)
        init_keys(config)
        init_database(config)
    click.echo("\nReady: start the server with 'holdfast serve'.")


def write_config(file: Path) -> bool:
    """Write the configuration with every default, unless it is there; tell whether it was."""
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(render_config())
    except FileExistsError:
        return False
    return True


def check_rules(config: Config) -> None:
    """Load the ruleset, so that a broken one is told of now and not by the server.

    Raises:
        RulesetError: it cannot be used.
    """
    parameters = {"speed": config.world.speed, **config.world.parameters}
    ruleset = load_ruleset(config.world.ruleset, parameters=parameters)
    click.echo(f"checked  ruleset        {ruleset.name} ({ruleset.title})")


def make_directory(path: Path) -> bool:
    """Make a directory with its parents, unless it is there; tell whether it was."""
    if path.is_dir():
        return False
    path.mkdir(parents=True)
    return True


def init_keys(config: Config) -> None:
    """Make the token key, or check the one that is there.

    Raises:
        KeyRingError: the one that is there cannot be used, or none can be made.
    """
    if config.auth.key:
        KeyRing.parse(config.auth.key.reveal())
        click.echo("found    token key      in the environment")
        return
    path = config.key_path
    make_directory(path.parent)
    made = not path.exists() and create_key_file(path)
    read_keyring(path)
    tell(made=made, what="token key", where=path)


def init_database(config: Config) -> None:
    """Make the database, or bring the one that is there up to date.

    Raises:
        DatabaseError: it cannot be reached or made.
    """

    async def migrate_database() -> tuple[int, ...]:
        async with operator_connection(config) as (_, applied):
            return applied

    with working("setting up the database"):
        applied = trio.run(migrate_database)
    where = "at database.dsn" if config.database.dsn else f"in {config.storage.data_dir}"
    tell(made=bool(applied), what="database", where=where)


def tell(*, made: bool, what: str, where: object) -> None:
    """Tell of one thing."""
    click.echo(f"{'made' if made else 'found':<8} {what:<14} {where}")
