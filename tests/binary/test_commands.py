"""The commands of the one-file program."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from app import __version__
from app.cli.main import COMMANDS

if TYPE_CHECKING:
    from tests.binary.program import Program


@pytest.mark.parametrize("argument", ["--version", "version"])
def test_binary_tells_version_and_commit(program: Program, argument: str) -> None:
    """The program says which source it was built from."""
    told = program.run(argument)
    assert told.returncode == 0
    assert re.search(rf"{re.escape(__version__)} commit ([0-9a-f]{{12}}|unknown)", told.stdout)


def test_binary_has_every_command(program: Program) -> None:
    """Commands are imported by name: each is included, with all that it imports."""
    for command in COMMANDS:
        told = program.run(command, "--help")
        assert told.returncode == 0, told.stderr
        assert "Usage: holdfast " in told.stdout


def test_binary_checks_and_plays_the_shipped_rules(program: Program) -> None:
    """The rulesets are included, and the commands that read them work."""
    for name in ("tutorial", "ogame", "travian"):
        checked = program.run("rules", "check", name)
        assert checked.returncode == 0, checked.stderr
    played = program.run("simulate", "tutorial", "--accounts", "2", "--days", "0.1")
    assert played.returncode == 0, played.stderr


def test_binary_makes_a_world_and_an_administrator(program: Program) -> None:
    """`init` and `accounts` work on a data directory without a server."""
    made = program.run("init")
    assert made.returncode == 0, made.stderr
    listed = program.run("accounts", "list")
    assert listed.returncode == 0, listed.stderr


def test_binary_backs_a_world_up_and_restores_it(program: Program) -> None:
    """PostgreSQL's programs for that are included, with the libraries that they link to."""
    assert program.run("init").returncode == 0
    for arguments in (("backup", "world.dump", "--force"), ("restore", "world.dump", "--force")):
        done = program.run(*arguments)
        assert done.returncode == 0, done.stderr


def test_binary_passes_the_exit_status_on(program: Program) -> None:
    """Wrong usage exits with 2, a failure with 1 and one line that says why, as when unpacked."""
    assert program.run("no-such-command").returncode == 2
    failed = program.run("demo", "--url", "http://127.0.0.1:1")
    assert failed.returncode == 1
    assert failed.stderr.startswith("holdfast: ")
