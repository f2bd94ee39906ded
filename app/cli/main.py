"""The command group, and its outcome: an exit status and at most one line of error."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import click

from app.cli.standard_streams import drop_unwritable, escape_unwritable, open_closed_streams
from app.version import full_version

if TYPE_CHECKING:
    from collections.abc import Generator

COMMANDS: Final = MappingProxyType(
    {
        "accounts": "app.cli.accounts:accounts",
        "backup": "app.cli.backup:backup",
        "check": "app.cli.check:check",
        "demo": "app.cli.demo:demo",
        "export": "app.cli.export:export",
        "init": "app.cli.init:init",
        "keys": "app.cli.keys:keys",
        "ledger": "app.cli.ledger:ledger",
        "prune": "app.cli.prune:prune",
        "reset": "app.cli.reset:reset",
        "restore": "app.cli.backup:restore",
        "rules": "app.cli.rules:rules",
        "serve": "app.cli.serve:serve",
        "simulate": "app.cli.simulate:simulate",
        "version": "app.cli.version:version",
    }
)
"""Where each command is defined; it is imported only when called, because some take a while."""


INTERRUPTED: Final = 130
"""The exit status after Ctrl-C, by the convention of shells."""


class LazyGroup(click.Group):
    """A group that imports a command when it is called."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program like `click.Group.main`, which itself writes to the standard streams."""
        open_closed_streams()
        escape_unwritable()
        try:
            return super().main(*args, **kwargs)
        finally:
            drop_unwritable()

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the arguments; this answers ``--help`` and ``--version``, and ends the program.

        Raises:
            ClickException: standard output cannot be written.
        """
        with _told_output():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; raises what makes `click.Group.main` exit.

        Raises:
            Exit: with 130 after Ctrl-C, even at a prompt or while the command is loading.
            ClickException: standard output cannot be written.
        """
        try:
            with _told_output():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None
        except click.Abort as abort:
            # End of input at a prompt also raises Abort; that exits with status 1.
            if isinstance(abort.__context__, KeyboardInterrupt):
                raise click.exceptions.Exit(INTERRUPTED) from None
            raise

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the name of every command, in order."""
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is none of this name."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@contextmanager
def _told_output() -> Generator[None]:
    """Report in one line that standard output cannot be written; a closed pipe passes through."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno == errno.EPIPE:
            raise
        # Loading it takes longer than many commands.
        from app.cli.failures import Failure  # noqa: PLC0415

        raise Failure(f"standard output cannot be written: {error.strerror}") from error


def tell_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click passes the value of a flag
    """Print the version, and exit."""
    if wanted and not ctx.resilient_parsing:
        click.echo(f"holdfast, version {full_version()}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=tell_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Holdfast, a persistent-world game server.

    `holdfast serve` starts a server, `holdfast demo` plays against one. Exit status: 0 on
    success, 1 when something failed (one line on standard error says what), 2 for wrong usage,
    130 after Ctrl-C.
    """
