"""What a command loads: a person waits for it each time."""

from __future__ import annotations

import subprocess
import sys

COMMANDS = ("accounts", "backup", "check", "export", "init", "ledger", "rules", "serve", "simulate")


def test_commands_load_no_web_server() -> None:
    """Hypercorn and Quart, which the fast lane does without, take a fifth of a start."""
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
