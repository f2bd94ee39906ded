"""What ``holdfast export`` promises: a person's data on standard output, in JSON."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from app.cli import main
from tests.app.cli.support import CHEAP, command

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_dsn: str) -> None:
    """Create an account, once, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_DATABASE__DSN", database_dsn)
    for name, value in CHEAP.items():
        monkeypatch.setenv(name, value)
    arguments = ["accounts", "create", "Zoë", "--password-stdin"]
    CliRunner().invoke(main, arguments, input="correct horse\n")


def test_export_writes_json() -> None:
    """The account is found in any spelling; the output is JSON and nothing else."""
    result = CliRunner().invoke(main, ["export", "--account", "ZOË"])
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert told["account"]["username"] == "Zoë"
    assert told["world"] == "Holdfast"
    assert [entry["action"] for entry in told["audit"]] == ["account-created"]
    assert told["exported_at"].endswith("Z")
    assert "argon2" not in result.stdout
    assert result.stdout == json.dumps(told, indent=2, ensure_ascii=False) + "\n"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("nobody", "holdfast: there is no account 'nobody'\n"),
        ("x", "holdfast: the username 'x' must have at least 3 characters\n"),
    ],
)
def test_export_of_nobody_is_one_line(name: str, complaint: str) -> None:
    """Without an account only the reason is written."""
    result = CliRunner().invoke(main, ["export", "--account", name])
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", complaint)


@pytest.mark.parametrize("encoding", ["iso8859-1", "ascii"])
def test_export_is_utf8_whatever_the_terminal_takes(encoding: str) -> None:
    """JSON for other programs is always UTF-8; escaping for the terminal would corrupt it."""
    CliRunner().invoke(main, ["accounts", "create", "\U00010410da"], input="correct horse\n")
    for name in ("Zoë", "\U00010410da"):
        done = subprocess.run(
            command("export", "--account", name),
            env={**os.environ, "PYTHONIOENCODING": encoding},
            capture_output=True,
            check=True,
        )
        assert json.loads(done.stdout.decode("utf-8"))["account"]["username"] == name
