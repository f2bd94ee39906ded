"""``holdfast export``: all data stored about a person, for that person to read and keep."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

from actors.authx.errors import InvalidUsername
from actors.authx.usernames import parse_username
from actors.storage.personal import personal_data
from app.cli.database import operator_connection
from app.cli.failures import Failure, expected_failures
from app.cli.interrupts import run_interruptible
from app.cli.options import config_option, read_config
from app.cli.progress import working

if TYPE_CHECKING:
    from pathlib import Path

    from app.config import Config


@click.command()
@click.option(
    "--account", "username", metavar="NAME", required=True, help="Account whose data to write."
)
@config_option
def export(username: str, config_file: Path | None) -> None:
    """Write everything stored about an account to standard output, as JSON.

    That is the account, its sessions without their secrets, its inventory, orders, ledger,
    transfers and the answers to its commands, and what the audit log says about it, all as of one
    moment. Works beside a running server. To erase the account, use `holdfast accounts erase`;
    its owner calls DELETE /v1/accounts/me.
    """
    with expected_failures():
        config = read_config(config_file)
        with working(f"collecting what is stored about {username}"):
            told = run_interruptible(lambda: _collect(config, username))
        encoded = msgspec.json.format(msgspec.json.encode(told), indent=2)
        # As bytes: JSON is UTF-8 (RFC 8259, section 8.1), whatever the terminal's encoding.
        click.echo(encoded)


async def _collect(config: Config, username: str) -> dict[str, Any]:
    try:
        key = parse_username(username).key
    except InvalidUsername as error:
        raise Failure(f"the username {username!r} {error}") from None
    async with operator_connection(config) as connection:
        told = await personal_data(connection, key)
    if told is None:
        raise Failure(f"there is no account {username!r}")
    return {"exported_at": datetime.now(UTC), "world": config.world.name, **told}
