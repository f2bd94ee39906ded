"""``holdfast serve``: run a server until it is told to stop."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app import root
from app.cli.failures import expected_failures
from app.cli.options import config_option, read_config
from app.cli.standard_streams import silence
from app.http.errors import HttpBindError, TlsError
from app.start_checks import check_serving

if TYPE_CHECKING:
    from app.listening import Listening


@click.command()
@config_option
@click.option("--host", help="Address to listen on, instead of http.host.")
@click.option("--port", type=int, help="Port instead of http.port; 0 picks a free one.")
@click.pass_context
def serve(ctx: click.Context, config_file: Path | None, host: str | None, port: int | None) -> None:
    """Run a server until SIGTERM, SIGHUP or Ctrl-C.

    Exit status: 0 everything was flushed, 1 it could not start or an actor failed for good, 3
    something was cut off. A second signal stops the server immediately.
    """
    with expected_failures(HttpBindError, TlsError):
        given = {"http.host": host, "http.port": port}
        config = read_config(config_file, given, check=check_serving)
        status = root.serve(config, announce=announce)
    ctx.exit(status)


def announce(listening: Listening) -> None:
    """Print the server's address and what to try first to standard output."""
    demo = f"{_this_program()} demo"
    if listening.url != "http://127.0.0.1:8470":
        demo += f" --url {listening.url}"
    greeting = (
        f"\nHoldfast is ready at {listening.url}\n"
        f"  try    curl {listening.url}/v1/world\n"
        f"  or     {demo}\n"
        "  stop   Ctrl-C\n"
    )
    try:
        click.echo(greeting)
    except OSError:
        # Nobody reads it; the server runs all the same. Python would try again at exit.
        silence(sys.stdout)


def _this_program() -> str:
    """Return how the user can call this program: by name if it is on the PATH."""
    here = Path(sys.argv[0])
    if shutil.which("holdfast") is not None or here.name != "holdfast":
        return "holdfast"
    folder = here.parent.resolve()
    cwd = Path.cwd()
    return str(folder.relative_to(cwd) / here.name if folder.is_relative_to(cwd) else here)
