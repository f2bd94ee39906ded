"""What running PostgreSQL's programs promises: no secret on a command line, no process left."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
import trio

from actors.database import tools
from actors.database.errors import BackupError, EmbeddedPostgresError
from actors.database.tools import Target, run_tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(
    ("dsn", "bare", "password"),
    [
        ("postgresql://ann:s%40fe@db:5433/world", "postgresql://ann@db:5433/world", "s@fe"),
        ("postgresql://ann@db/world", "postgresql://ann@db/world", None),
        ("postgresql:///world", "postgresql:///world", None),
        ("postgres://db", "postgres://db", None),
        (
            "postgresql://a@/w?host=%2Frun%2Fpg&port=5432",
            "postgresql://a@/w?host=%2Frun%2Fpg&port=5432",
            None,
        ),
        (
            "postgresql://a@db/w?password=p%26q&sslmode=require",
            "postgresql://a@db/w?sslmode=require",
            "p&q",
        ),
        ("postgresql://a:x:y@h1:1,h2:2/w", "postgresql://a@h1:1,h2:2/w", "x:y"),
    ],
)
def test_target_takes_the_password_out_of_the_dsn(
    monkeypatch: pytest.MonkeyPatch, dsn: str, bare: str, password: str | None
) -> None:
    """Whatever form the DSN has, the password is only in the environment."""
    monkeypatch.delenv("PGPASSWORD", raising=False)
    target = Target.of(dsn)
    assert target.dsn == bare
    assert target.environment.get("PGPASSWORD") == password


def test_target_hands_on_what_is_postgres_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password file and certificates are found as the driver finds them; nothing else leaks."""
    monkeypatch.setenv("PGPASSFILE", "somewhere")
    monkeypatch.setenv("HOLDFAST_AUTH__KEY", "secret")
    environment = Target.of("postgresql://db/world", connect_timeout_s=0.2).environment
    assert environment["PGPASSFILE"] == "somewhere"
    assert environment["PGCONNECT_TIMEOUT"] == "2"
    assert "HOLDFAST_AUTH__KEY" not in environment


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Return a way to put a Python program in the place of PostgreSQL's."""

    def install(text: str) -> None:
        script = tmp_path / "tool"
        script.write_text(f"#!{sys.executable}\nimport os, sys, time\n{text}\n")
        script.chmod(0o700)

        def find(_name: str) -> Path:
            return script

        monkeypatch.setattr(tools, "binary", find)

    return install


async def test_tool_tells_what_it_says(program: Callable[[str], None]) -> None:
    """Each line is reported as it comes, even an unterminated last one; success has no error."""
    program("sys.stderr.write('one\\n\\ntwo\\nthree'); sys.stderr.flush()")
    lines: list[str] = []
    outcome = await run_tool("tool", on_line=lines.append)
    assert lines == ["one", "two", "three"]
    assert (outcome.status, outcome.complaint) == (0, "")


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ("tool: error: no way\\ntool: detail: really", "no way"),
        ("psql:<stdin>:7: ERROR:  permission denied", "permission denied"),
        ("something\\nlast words", "last words"),
        ("", "it gave no reason"),
    ],
)
async def test_tool_says_why_it_failed(
    program: Callable[[str], None], said: str, complaint: str
) -> None:
    """The first error counts, otherwise the last line."""
    program(f"sys.stderr.write('{said}'); sys.exit(3)")
    outcome = await run_tool("tool")
    assert (outcome.status, outcome.complaint) == (3, complaint)


async def test_tool_does_not_outlive_its_caller(
    program: Callable[[str], None], tmp_path: Path
) -> None:
    """A cancelled caller leaves no program running."""
    ready = tmp_path / "pid"
    program(f"open({str(ready)!r}, 'w').write(str(os.getpid())); time.sleep(600)")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_tool, "tool")
        with trio.fail_after(20):
            while not ready.exists() or not ready.read_text():  # noqa: ASYNC110
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    with pytest.raises(ProcessLookupError):
        os.kill(int(ready.read_text()), 0)


async def test_tool_that_cannot_be_run_is_told(
    program: Callable[[str], None], tmp_path: Path
) -> None:
    """A program that is missing or may not be run produces one line."""
    with pytest.raises(EmbeddedPostgresError, match="is not installed"):
        await run_tool("no_such_program")
    program("")
    (tmp_path / "tool").chmod(0o600)
    with pytest.raises(BackupError, match="cannot start tool"):
        await run_tool("tool")
