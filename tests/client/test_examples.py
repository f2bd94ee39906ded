"""The examples, including the guide's, run against a real server."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.server import environment, serving
from tests.postgres import reachable_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.server import Server

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
TIMEOUT_S = 30.0


@pytest.fixture(scope="module")
def server(database_dsn: str) -> Iterator[Server]:
    """Run a server with the rules that a newcomer meets, sped up."""
    settings = {
        "HOLDFAST_DATABASE__DSN": database_dsn,
        "HOLDFAST_WORLD__RULESET": "tutorial",
        "HOLDFAST_WORLD__SPEED": "20",
    }
    with reachable_directory() as directory, serving(directory, **settings) as running:
        yield running


def lines_until(found: str, *command: str) -> list[str]:
    """Run a program until it prints a line with this beginning; return its lines."""
    lines: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-u", *command],
        env=environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                if line.startswith(found):
                    break
        finally:
            process.terminate()
    return lines


def test_examples_bot_builds(server: Server) -> None:
    """The bot orders something, receives its event, and goes on."""
    bot = str(ROOT / "examples" / "bot.py")
    lines = lines_until("heard of order-completed", bot, server.url, "robin", "correct horse")
    assert lines[-1:] == ["heard of order-completed"], lines
    assert any(line.startswith("ordered ") for line in lines)
    assert "heard of snapshot" in lines


def test_examples_of_the_guide_run(server: Server) -> None:
    """The guide's programs run unchanged and do what it says."""
    first, second = (text.replace("http://127.0.0.1:8470", server.url) for text in PROGRAMS)
    done = subprocess.run(
        [sys.executable, "-c", first],
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "cottage is done at" in done.stdout
    assert "1 start" in done.stdout
    lines = lines_until("", "-c", second)
    assert "snapshot" in lines[0], lines
