"""What a command loads: people wait for it each time."""

from __future__ import annotations

import subprocess
import sys

COMMANDS = ("accounts", "backup", "check", "export", "init", "ledger", "rules", "serve", "simulate")


SERVED = """
import sys
import trio
from tests.app.http import harness

async def main():
    async with harness.serving() as server:
        print((await server.client.get("/healthz")).status_code)

trio.run(main)
print(*sorted({"flask", "hypercorn", "quart"} & set(sys.modules)))
"""


def test_commands_load_no_web_server() -> None:
    """Hypercorn and Quart, which the fast lane does not need, take a fifth of a start."""
    program = "\n".join(
        (
            "import importlib, sys",
            f"for name in {COMMANDS!r}: importlib.import_module('app.cli.' + name)",
            "print(*sorted({'flask', 'hypercorn', 'quart'} & set(sys.modules)))",
        )
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_fast_lane_serves_without_a_web_server() -> None:
    """A server that has answered and stopped has loaded neither Hypercorn nor Quart."""
    done = subprocess.run(
        [sys.executable, "-c", SERVED], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["200"]
