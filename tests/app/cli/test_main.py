"""What the command line promises as a whole."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from app import __version__
from app.cli import main
from app.cli.main import COMMANDS


def test_main_lists_every_command() -> None:
    """The help names each command with a line on what it does."""
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in result.output


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_main_explains_every_command(command: str) -> None:
    """Each command has a help of its own."""
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert f"{command} " in result.output


@pytest.mark.parametrize("arguments", [["version"], ["--version"]])
def test_main_tells_the_version(arguments: list[str]) -> None:
    """Both ways to ask for the version tell it."""
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0
    assert __version__ in result.output


@pytest.mark.parametrize(
    "arguments", [["no-such-command"], ["serve", "--no-such-option"], ["serve", "--port", "x"]]
)
def test_main_refuses_wrong_usage_with_status_2(arguments: list[str]) -> None:
    """Wrong usage is told apart from what went wrong in the doing."""
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "Error: " in result.stderr


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
