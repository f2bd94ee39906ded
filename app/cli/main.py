"""The command group, and what leaves it: an exit status and at most one line of complaint."""

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
        "restore": "app.cli.backup:restore",
        "rules": "app.cli.rules:rules",
        "serve": "app.cli.serve:serve",
        "simulate": "app.cli.simulate:simulate",
        "version": "app.cli.version:version",
    }
)
"""Where each command lies; it is imported only when it is asked for, as some take a while."""


INTERRUPTED: Final = 130
"""The exit status of a program that was ended by Ctrl-C, as shells count."""


class LazyGroup(click.Group):
    """A group that imports a command when it is called."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program, as `click.Group.main`, which itself writes to the standard streams."""
        open_closed_streams()
        escape_unwritable()
        try:
            return super().main(*args, **kwargs)
        finally:
            drop_unwritable()

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the arguments; ``--help`` and ``--version`` are answered, and end the program, here.

        Raises:
            ClickException: standard output takes no more.
        """
        with _told_output():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; raises what `click.Group.main` ends with, whatever it was doing.

        Raises:
            Exit: with 130 after Ctrl-C, at a question and while it is loaded too.
            ClickException: standard output takes no more.
        """
        try:
            with _told_output():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None
        except click.Abort as abort:
            # The end of what is typed at a question ends so too, with status 1.
            if isinstance(abort.__context__, KeyboardInterrupt):
                raise click.exceptions.Exit(INTERRUPTED) from None
            raise

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name every command, in order."""
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None where there is none of this name."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@contextmanager
def _told_output() -> Generator[None]:
    """Say in one line that standard output takes no more; who has left it is no failure."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno == errno.EPIPE:
            raise
        # To load it takes longer than many a command does.
        from app.cli.failures import Failure  # noqa: PLC0415

        raise Failure(f"standard output cannot be written: {error.strerror}") from error


def tell_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click passes the value of a flag
    """Tell the version, and end."""
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
