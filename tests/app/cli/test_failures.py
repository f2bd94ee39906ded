"""What failures promise: one line for expected errors, a traceback for unexpected ones."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from actors.authx.errors import UnknownAccount
from actors.authx.keys import KeyRingError
from actors.database.errors import (
    AlreadyServed,
    ConnectionLost,
    DatabaseUnavailable,
    StatementError,
    TransientError,
)
from actors.inventory.ruleset import ParameterError, Problem, RulesetError
from app.cli.failures import Failure, expected_failures, perhaps_done
from app.config import ConfigError
from bus import Overloaded

if TYPE_CHECKING:
    from collections.abc import Sequence


def told(error: BaseException) -> str:
    """Let an error pass through; return the line it became."""
    with pytest.raises(Failure) as caught, expected_failures():
        raise error
    assert caught.value.exit_code == 1
    assert "\n" not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ConfigError("config.toml", "http.prot", "no such key"), "config.toml: http.prot: no such"),
        (DatabaseUnavailable("cannot connect:\n  refused"), "cannot connect: refused"),
        (AlreadyServed("another server"), "another server"),
        (KeyRingError("key file k: broken"), "key file k: broken"),
        (UnknownAccount("x"), "x"),
        (Overloaded("the system cannot hash passwords now"), "the system cannot hash passwords"),
        (PermissionError(errno.EACCES, "Permission denied", "var"), "var: Permission denied"),
        (OSError(errno.ENOSPC, "No space left"), "No space left"),
    ],
)
def test_failures_become_one_line(error: Exception, line: str) -> None:
    """Each expected error says in one line what is wrong."""
    assert told(error).startswith(line)


@pytest.mark.parametrize(
    ("problems", "rest"),
    [
        ([Problem("buildings.mine", "unknown resource 'metl'")], ""),
        ([Problem("buildings.mine", "unknown resource 'metl'"), Problem("x", "y")], " (and 1 more"),
    ],
)
def test_failures_of_a_ruleset_name_the_first_problem(
    problems: Sequence[Problem], rest: str
) -> None:
    """Of a ruleset's faults the first is shown, with how to see the others."""
    line = told(RulesetError("mine.toml", problems))
    assert line.startswith(f"mine.toml: buildings.mine: unknown resource 'metl'{rest}")


def test_failures_of_parameters_are_all_told() -> None:
    """They are not faults of the file, so checking it would not show the others."""
    problems = [Problem("parameters.foo", "unknown parameter 'foo'"), Problem("parameters.b", "y")]
    line = told(ParameterError("mine.toml", problems))
    assert line == "mine.toml: parameters.foo: unknown parameter 'foo'; parameters.b: y"


def test_failures_that_postgresql_words_name_the_database() -> None:
    """PostgreSQL says what it refuses, not where: several may be configured by mistake."""
    refused = StatementError("permission denied for schema public", sqlstate="42501")
    assert told(refused) == "permission denied for schema public"
    refused.place = "world at db.example"
    assert told(refused) == "database world at db.example: permission denied for schema public"
    lost = ConnectionLost("canceling statement due to statement timeout")
    lost.place = "world at db.example"
    assert told(lost).startswith("database world at db.example: canceling statement")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ConnectionLost("gone"), "gone; it may have taken effect all the same: check before you"),
        (ConnectionLost("gone", started=False), "gone"),
        (TransientError("deadlock", sqlstate="40P01"), "deadlock"),
        (DatabaseUnavailable("refused"), "refused"),
    ],
)
def test_failures_of_a_change_say_where_it_may_have_been_made(error: Exception, line: str) -> None:
    """Only a connection that broke midway leaves that open."""
    with pytest.raises(type(error)) as caught, perhaps_done():
        raise error
    found = told(caught.value)
    assert found.startswith(line)
    assert ("look" in found) == ("look" in line)


def test_failures_in_groups_are_found() -> None:
    """Nurseries wrap errors in groups; the first error of the group is reported."""
    inner = ExceptionGroup("inner", [DatabaseUnavailable("gone")])
    assert told(ExceptionGroup("outer", [inner, OSError("later")])) == "gone"


def test_failures_that_are_not_expected_pass() -> None:
    """A bug in the program keeps its traceback, alone or beside an expected error."""
    with pytest.raises(ZeroDivisionError), expected_failures():
        raise ZeroDivisionError
    group = ExceptionGroup("both", [OSError("x"), ZeroDivisionError()])
    with pytest.raises(ExceptionGroup), expected_failures():
        raise group


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        BaseExceptionGroup("tasks", [BaseExceptionGroup("inner", [KeyboardInterrupt()])]),
        BaseExceptionGroup("tasks", [KeyboardInterrupt(), OSError("cut off")]),
    ],
)
def test_failures_of_patience_are_no_failures(error: BaseException) -> None:
    """Ctrl-C ends the program silently, as shells expect, whichever task it interrupted."""
    with pytest.raises(click.exceptions.Exit) as caught, expected_failures():
        raise error
    assert caught.value.exit_code == 130


@pytest.mark.parametrize("group", [False, True])
def test_failures_of_patience_say_where_something_may_have_been_done(
    capsys: pytest.CaptureFixture[str], *, group: bool
) -> None:
    """Ctrl-C that does not wait for the answer to a commit leaves that open."""
    interrupt = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt), perhaps_done():
        raise interrupt
    with pytest.raises(click.exceptions.Exit) as caught, expected_failures():
        raise BaseExceptionGroup("tasks", [interrupt]) if group else interrupt
    assert caught.value.exit_code == 130
    assert capsys.readouterr().err == (
        "holdfast: interrupted; it may have taken effect all the same: check before you repeat it\n"
    )


def test_failures_that_end_a_program_otherwise_pass() -> None:
    """Anything but an error or Ctrl-C passes through untouched."""
    group = BaseExceptionGroup("tasks", [SystemExit(3)])
    with pytest.raises(BaseExceptionGroup), expected_failures():
        raise group


def test_failures_go_to_standard_error() -> None:
    """The line begins with the program's name and leaves standard output alone."""

    @click.command()
    def broken() -> None:
        with expected_failures():
            raise OSError("broken")

    result = CliRunner().invoke(broken)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "holdfast: broken\n")
