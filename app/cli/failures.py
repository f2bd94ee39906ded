"""Turns expected failures into one line on standard error, never a traceback."""

from __future__ import annotations

from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import click

from actors.authx.errors import AuthxError
from actors.authx.keys import KeyRingError
from actors.database.errors import (
    ConnectionLost,
    DatabaseError,
    StatementError,
    TransientError,
)
from actors.failures import leaves
from actors.inventory.ruleset import ParameterError, RulesetError
from actors.supervisor import Escalation
from app.cli.main import INTERRUPTED
from app.config import ConfigError
from app.printable import printable
from app.rules_change import RulesChangeRefused
from bus import Overloaded

if TYPE_CHECKING:
    from collections.abc import Generator

_PERHAPS = "it may have taken effect all the same: check before you repeat it"

_NAMED = (
    AuthxError,
    KeyRingError,
    DatabaseError,
    Escalation,
    ConfigError,
    Overloaded,
    RulesChangeRefused,
)
"""Errors whose own message says what is wrong, and where."""


class Failure(click.ClickException):
    """A failure with its one line; ends the program with status 1."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the line to standard error, with terminal control sequences escaped."""
        click.echo(f"holdfast: {printable(self.message)}", err=file is None, file=file)


@contextmanager
def expected_failures(*also: type[Exception]) -> Generator[None]:
    """Turn expected errors, also in a group, into a `Failure`; let all others through.

    ``also`` are a command's own errors whose message says what is wrong. A group is expected if
    every error in it is: the first one is reported.
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise _interrupted(interrupt) from None
    except Exception as error:
        lines = [_explain(each, also) for each in leaves(error)]
        if None in lines:
            raise
        raise Failure(lines[0] or type(error).__name__) from error
    except BaseExceptionGroup as group:
        # Ctrl-C reaches the task that runs at that moment, and propagates through its nurseries.
        if not any(isinstance(each, KeyboardInterrupt) for each in leaves(group)):
            raise
        raise _interrupted(group) from None


@contextmanager
def perhaps_done() -> Generator[None]:
    """Add a note to an error that interrupts the block: its change may have taken effect.

    Only the answer to a commit may have been lost, with the connection, or because a second
    Ctrl-C did not wait for it.
    """
    try:
        yield
    except ConnectionLost as error:
        if error.started and not isinstance(error, TransientError):
            error.add_note(_PERHAPS)
        raise
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(_PERHAPS)
        raise


def _interrupted(error: BaseException) -> click.exceptions.Exit:
    """Return the exit after Ctrl-C; say so if the change may have taken effect."""
    for each in leaves(error):
        # The loss of the abandoned connection may be raised first, with Ctrl-C as its context.
        cause: BaseException | None = each
        while cause is not None:
            if _PERHAPS in _notes(cause):
                click.echo(f"holdfast: interrupted; {_PERHAPS}", err=True)
                return click.exceptions.Exit(INTERRUPTED)
            cause = cause.__context__
    return click.exceptions.Exit(INTERRUPTED)


def _explain(error: BaseException, also: tuple[type[Exception], ...]) -> str | None:
    """Describe an expected error in one line; None if it is unexpected."""
    match error:
        case ParameterError():
            # `holdfast rules check` on the file would not show them.
            text = f"{error.file}: {'; '.join(map(str, error.problems))}"
        case RulesetError():
            more = len(error.problems) - 1
            rest = f" (and {more} more: holdfast rules check {error.file})" if more else ""
            text = f"{error.file}: {error.problems[0]}{rest}"
        case StatementError() | ConnectionLost() if error.place is not None:
            # PostgreSQL's own message, which does not name the database.
            text = f"database {error.place}: {error}"
        case OSError():
            text = _explain_os_error(error)
        case _ if isinstance(error, _NAMED + also):
            text = str(error)
        case _:
            return None
    return " ".join("; ".join([text, *_notes(error)]).split())


def _notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])


def _explain_os_error(error: OSError) -> str:
    """Describe what the system refused, and for which file."""
    reason = error.strerror or str(error)
    return reason if error.filename is None else f"{error.filename}: {reason}"
