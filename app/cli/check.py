"""``holdfast check``: find out whether a server could start, and change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from actors.authx.keys import read_keyring
from app.cli.failures import expected_failures
from app.cli.interrupts import run_interruptible
from app.cli.options import config_option, read_config
from app.http.errors import HttpBindError
from app.start_checks import check_address, check_serving
from app.tracing import open_tracing
from app.world_rules import load_world_rules

if TYPE_CHECKING:
    from pathlib import Path

    from app.config import Config


@click.command()
@config_option
@click.option("--host", help="Address to listen on, instead of http.host.")
@click.option(
    "--port", type=int, help="Port instead of http.port; 0 if a server is running on that one."
)
def check(config_file: Path | None, host: str | None, port: int | None) -> None:
    """Check what a server would start with, without starting it.

    Checks the configuration, the certificate, the ruleset, the token key if there is one, and
    whether the address is free; with --port 0 it works beside a running server. It does not open
    the database, and creates and changes nothing.
    """
    with expected_failures(HttpBindError):
        given = {"http.host": host, "http.port": port}
        config = read_config(config_file, given, check=check_serving)
        ruleset = load_world_rules(config)
        if not config.auth.key and config.key_path.exists():
            read_keyring(config.key_path)
        run_interruptible(lambda: _try_start(config))
    click.echo(f"A server could start: {ruleset.name} ({ruleset.title}).")


async def _try_start(config: Config) -> None:
    await check_address(config)
    async with open_tracing(config.tracing):
        pass
