"""What the command line promises as a whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from app import __version__
from app.cli import main
from app.cli.main import COMMANDS
from tests.app.cli.support import command


def test_main_lists_every_command() -> None:
    """The help lists each command with a line on what it does."""
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in result.output


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_main_explains_every_command(name: str) -> None:
    """Each command has its own help."""
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert f"{name} " in result.output


@pytest.mark.parametrize("arguments", [["version"], ["--version"]])
def test_main_tells_the_version(arguments: list[str]) -> None:
    """Both ways to ask for the version show it."""
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0
    assert __version__ in result.output


@pytest.mark.parametrize(
    "arguments", [["no-such-command"], ["serve", "--no-such-option"], ["serve", "--port", "x"]]
)
def test_main_refuses_wrong_usage_with_status_2(arguments: list[str]) -> None:
    """Wrong usage has a different status from failure."""
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "Error: " in result.stderr


def test_main_complains_nowhere_else_where_standard_error_is_closed() -> None:
    """A usage error is not written to standard output; the status reports it."""
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&- 2>&-', "sh", *command("no-such-command")],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("version",),
        ("rules", "check", "tutorial"),
        ("--version",),
        ("--help",),
        ("serve", "--help"),
    ],
)
def test_main_says_that_nothing_can_be_written(arguments: tuple[str, ...]) -> None:
    """A full disk is reported in one line, whatever was to be written."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command(*arguments), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == ("holdfast: standard output cannot be written: No space left on device\n")


def test_main_keeps_its_status_where_standard_error_cannot_be_written() -> None:
    """The status reports a failure even if the reason cannot be written anywhere."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("rules", "table", "no-such-ruleset", "cottage"),
            stdout=subprocess.PIPE,
            stderr=full,
            check=False,
        )
    assert (done.returncode, done.stdout) == (1, b"")


@pytest.mark.parametrize(("raised", "status"), [(KeyboardInterrupt, 130), (EOFError, 1)])
def test_main_ends_with_130_at_a_question(
    monkeypatch: pytest.MonkeyPatch, raised: type[BaseException], status: int
) -> None:
    """Ctrl-C is distinguished from the end of input."""

    def answer() -> None:
        raise raised

    def ask() -> None:
        try:
            answer()
        except raised:
            raise click.Abort from None  # As click's own prompts do.

    def get_command(*_: object) -> click.Command:
        return click.Command("ask", callback=ask)

    monkeypatch.setattr(main, "get_command", get_command)
    assert CliRunner().invoke(main, ["ask"]).exit_code == status


def test_main_ends_with_130_while_a_command_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a command takes a second, during which Ctrl-C may arrive."""

    def load(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "get_command", load)
    assert CliRunner().invoke(main, ["serve"]).exit_code == 130


def test_main_loads_only_what_it_needs() -> None:
    """A command does not wait for the libraries of the others."""
    program = (
        "import sys\nfrom app.cli import main\n"
        "main(['version'], standalone_mode=False)\n"
        "print(sorted({'quart', 'hypercorn', 'asyncpg', 'httpx', 'trio'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("encoding", ["iso8859-9", "euc_jp", "ascii", "ascii:surrogateescape"])
def test_main_writes_what_the_encoding_of_the_terminal_has_no_character_for(
    tmp_path: Path, encoding: str
) -> None:
    """Neither the program's own symbols nor a ruleset's title break off a command."""
    changed = tmp_path / "changed.toml"
    shown = subprocess.run(command("rules", "show", "tutorial"), capture_output=True, check=True)
    told = shown.stdout.decode().replace('"Homestead"', '"\u05d1\u05d9\u05ea \U0001f3e0"')
    changed.write_text(told, encoding="utf-8")
    done = subprocess.run(
        command("rules", "diff", "tutorial", str(changed)),
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b'"Homestead"' in done.stdout
    assert rb"\u05d1\u05d9\u05ea \U0001f3e0" in done.stdout
