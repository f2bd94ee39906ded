"""What a command shows while it works, on a terminal only, and how it tells what it has done."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape

from app.cli.failures import Failure

if TYPE_CHECKING:
    from collections.abc import Generator

    from rich.status import Status


class Progress:
    """The sign of life of a command; made by `working`."""

    def __init__(self, text: str, status: Status | None) -> None:
        self._text = text
        self._status = status

    def step(self, step: str) -> None:
        """Say behind the text how far it is."""
        if self._status is not None:
            self._status.update(f"{self._text}: {escape(step)}")

    def note(self, line: str) -> None:
        """Write a line to standard error, above the spinner, which goes on."""
        self._stop()
        click.echo(line, err=True)
        if self._status is not None:
            self._status.start()

    def tell_done(self, done: str, more: str = "", *, lost: str = "") -> None:
        """End the spinner; then as `tell_done`."""
        self._stop()
        tell_done(done, more, lost=lost)

    def _stop(self) -> None:
        # A terminal that is gone does not keep from standard output what is for that.
        with suppress(OSError):
            if self._status is not None:
                self._status.stop()


@contextmanager
def working(text: str) -> Generator[Progress]:
    """Show ``text`` with a spinner on standard error while the block runs."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Progress(text, None)
        return
    with console.status(text) as status:
        yield Progress(text, status)


def tell_done(done: str, more: str = "", *, lost: str = "") -> None:
    """Write to standard output what a command has done, and ``more`` of it below.

    To be called as soon as it is done, for Ctrl-C may have come too late, and is heeded next.

    Raises:
        Failure: it cannot be written; says that it is done all the same, and of ``more`` that it
            is ``lost``.
    """
    try:
        click.echo(f"{done}\n{more}" if more else done)
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        told = f"{' '.join(done.split())}, but standard output cannot be written: {reason}"
        raise Failure("; ".join(filter(None, [told, lost]))) from error
