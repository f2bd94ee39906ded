"""A command's progress, shown only on a terminal, and the report of what it has done."""

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
    """A command's progress indicator; made by `working`."""

    def __init__(self, text: str, status: Status | None) -> None:
        self._text = text
        self._status = status

    def step(self, step: str) -> None:
        """Show the current step after the text."""
        if self._status is not None:
            self._status.update(f"{self._text}: {escape(step)}")

    def note(self, line: str) -> None:
        """Write a line to standard error, above the running spinner."""
        self.stop()
        click.echo(line, err=True)
        if self._status is not None:
            self._status.start()

    def tell_done(self, done: str, more: str = "", *, lost: str = "") -> None:
        """Stop the spinner, then call `tell_done`."""
        self.stop()
        tell_done(done, more, lost=lost)

    def stop(self) -> None:
        """Stop the spinner, before something else is written."""
        # A terminal that is gone must not prevent the report on standard output.
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
    """Write to standard output what a command has done, with ``more`` below.

    Call it as soon as it is done: Ctrl-C may have come too late, and takes effect next.

    Raises:
        Failure: it cannot be written; the message says that it is done all the same, and for
            ``more``, that it is ``lost``.
    """
    try:
        click.echo(f"{done}\n{more}" if more else done)
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        told = f"{' '.join(done.split())}, but standard output cannot be written: {reason}"
        raise Failure("; ".join(filter(None, [told, lost]))) from error
