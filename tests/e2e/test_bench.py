"""The scripts that load the server and kill it, each run briefly."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from bench.serving import TREE, environment

if TYPE_CHECKING:
    from tests.e2e.players import Json

TIMEOUT_S = 120


def run_script(name: str, *options: object) -> Any:
    """Run a script of bench/; return the summary that it prints."""
    done = subprocess.run(
        [sys.executable, TREE / "bench" / name, *map(str, options)],
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


def test_kill_keeps_the_world_total() -> None:
    """Transfers in a ring and orders under ``kill -9``: everything answered is there once."""
    told: Json = run_script("kill.py", "--kills", 2, "--seconds-max", 0.5, "--postgres-share", 0.4)
    assert told["kills"] == 2
    assert told["world_total_constant"]
    assert told["answered_commands"] > 0


def test_load_meets_nothing_that_is_not_declared() -> None:
    """Mixed load and a SIGTERM under it: only declared answers, a clean shutdown, nothing lost."""
    told: Json = run_script("load.py", "--clients", 10, "--seconds", 1.5)
    assert told["good"]
    assert told["not_as_declared"] == 0
    assert told["shutdown"]["exit_status"] == 0
    assert told["shutdown"]["answered_orders_lost"] == 0
