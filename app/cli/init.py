"""``holdfast init``: make what a server needs, and report what was made and what was found."""

from __future__ import annotations

import os
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from actors.authx import operator
from actors.authx.errors import InvalidUsername, UsernameTaken
from actors.authx.keys import KeyRing, create_key_file, read_keyring
from actors.authx.passwords import Passwords
from app.cli.database import May, operator_connection
from app.cli.failures import Failure, expected_failures, perhaps_done
from app.cli.interrupts import run_interruptible
from app.cli.one_time import one_time_password, password_lost
from app.cli.options import DEFAULT_FILE, config_option, read_config
from app.cli.progress import Progress, tell_done, working
from app.config import render_config
from app.settings import authx_settings
from app.world_rules import load_world_rules

if TYPE_CHECKING:
    from actors.database.driver import Connection
    from actors.database.upgrade import Upgrade
    from app.config import Config


@click.command()
@click.option(
    "--admin",
    "admin_name",
    default="admin",
    show_default=True,
    help="The first operator's username, if there is no operator yet.",
)
@click.option("--no-admin", is_flag=True, help="Create no account.")
@config_option
def init(config_file: Path | None, admin_name: str, *, no_admin: bool) -> None:
    """Create the configuration, keys, database and first operator's account that are missing.

    Changes nothing that exists, so it can be run again at any time, with one exception: the
    database of an earlier version is upgraded, as at a start, after which the earlier version no
    longer starts on it. `holdfast serve` creates keys and database by itself; this creates them
    beforehand, and shows whether all is well.

    The first operator gets a one-time password. It is shown here and nowhere else, and must be
    changed at the first login.
    """
    file = config_file or DEFAULT_FILE
    with expected_failures():
        made = write_config(file)
        tell_done(said("made" if made else "found", "configuration", file))
        config = read_config(file)
        check_rules(config)
        data_dir = Path(config.storage.data_dir)
        made = make_directory(data_dir)
        tell_done(said("made" if made else "found", "data directory", data_dir))
        init_keys(config)
        init_database(config, None if no_admin else admin_name)
        command = "holdfast serve"
        if config_file is not None:
            command += f" --config {shlex.quote(str(config_file))}"
        click.echo(f"\nReady: start the server with '{command}'.")


def write_config(file: Path) -> bool:
    """Write the configuration with every default, unless it exists; return whether it did so.

    Only its user may read it: it may come to hold the password of a database.
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(render_config())
    return True


def check_rules(config: Config) -> None:
    """Load the ruleset, so that a broken one is reported now and not by the server.

    Raises:
        RulesetError: it cannot be used.
        ConfigError: it does not accept a configured world parameter.
    """
    ruleset = load_world_rules(config)
    tell_done(said("checked", "ruleset", f"{ruleset.name} ({ruleset.title})"))


def make_directory(path: Path) -> bool:
    """Make a directory for its user alone, unless it exists; return whether it did so."""
    if path.is_dir():
        return False
    path.mkdir(mode=0o700, parents=True)
    return True


def init_keys(config: Config) -> None:
    """Make the token key, or check the existing one.

    Raises:
        KeyRingError: the existing one cannot be used, or none can be made.
    """
    if config.auth.key:
        KeyRing.parse(config.auth.key.reveal())
        tell_done(said("found", "token key", "in the environment"))
        return
    path = config.key_path
    make_directory(path.parent)
    made = not path.exists() and create_key_file(path)
    read_keyring(path)
    tell_done(said("made" if made else "found", "token key", path))


def init_database(config: Config, admin_name: str | None) -> None:
    """Make the database, or migrate the existing one, and ensure that there is an operator.

    Without ``admin_name`` no account is made.

    Raises:
        Failure: an operator's account is wanted, and the name is not available.
        DatabaseError: it cannot be reached or made.
    """
    where = "at database.dsn" if config.database.dsn else f"in {config.storage.data_dir}"

    async def set_up(progress: Progress) -> None:
        changes: list[Upgrade] = []

        def tell(upgrade: Upgrade) -> None:
            changes.append(upgrade)
            done = "upgraded" if upgrade.before else "made"
            progress.tell_done(said(done, "database", f"{where}{_schema(upgrade)}"))

        async with operator_connection(config, May.UPGRADE, tell=tell) as connection:
            if not changes:
                progress.tell_done(said("found", "database", where))
            admins = await operator.find_admins(connection)
            if admins:
                names = ", ".join(each.username for each in admins)
                progress.tell_done(said("found", "admin", names))
            elif admin_name is not None:
                await make_admin(config, connection, progress, admin_name)

    with working("setting up the database") as progress:
        run_interruptible(lambda: set_up(progress))


def _schema(upgrade: Upgrade) -> str:
    """Describe the schema's change, if there was one before or it is still incomplete."""
    complete = upgrade.after == upgrade.newest
    if complete and not upgrade.before:
        return ""
    whole = "" if complete else f" of {upgrade.newest}"
    kept = "" if upgrade.backup is None else f"; the backup is {upgrade.backup}"
    return f" (schema {upgrade.before} to {upgrade.after}{whole}{kept})"


async def make_admin(
    config: Config, connection: Connection, progress: Progress, username: str
) -> None:
    """Make an operator's account with a one-time password, and show that, this once.

    Raises:
        Failure: the name is not available.
        DatabaseError: the database is unavailable or fails.
    """
    settings = authx_settings(config)
    password = one_time_password(settings)
    try:
        with perhaps_done():
            account = await operator.create_account(
                connection,
                Passwords(settings),
                username,
                password,
                role="admin",
                one_time=True,
                now=datetime.now(UTC),
            )
    except UsernameTaken:
        raise Failure(
            f"no admin can log in, and the username {username!r} is taken: choose another with "
            f"--admin, or run holdfast accounts promote {username}"
        ) from None
    except InvalidUsername as error:
        raise Failure(f"the username {username!r} {error}") from None
    progress.tell_done(
        said("made", "admin", account.username),
        f"\nLog in as {account.username} with the one-time password {password}"
        "\nIt is shown only once, and must be changed at the first login.",
        lost=password_lost(account.username),
    )


def said(done: str, what: str, where: object) -> str:
    """Format the line that says what was done to one thing."""
    return f"{done:<8} {what:<14} {where}"
