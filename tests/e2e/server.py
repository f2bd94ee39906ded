"""Server processes of the tests: with a fast world, in their own folders."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from bench import serving as bench_serving
from bench.serving import (
    CHEAP,
    PROGRAM,
    SHUTDOWN_MAX_S,
    START_TIMEOUT_S,
    data_dir_setting,
    environment,
)
from tests.program import Process, run

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Generator

__all__ = [
    "PROGRAM",
    "SETTINGS",
    "SHUTDOWN_MAX_S",
    "START_TIMEOUT_S",
    "WORLD",
    "Server",
    "complaint",
    "data_dir_setting",
    "environment",
    "postmaster_of",
    "run_command",
    "run_to_its_end",
    "serving",
]

WORLD = Path(__file__).parent / "world.toml"

SETTINGS = {
    **{name: value for name, value in CHEAP.items() if "TOKEN" not in name},
    "HOLDFAST_WORLD__TICK_MS": "20",
    "HOLDFAST_WORLD__RULESET": str(WORLD),
}
"""Settings of every server here: a fast world and cheap hashes."""


class Server(bench_serving.Server):
    """A server that does not load the program again."""

    def _spawn(self, log: IO[str]) -> Process:
        return Process("serve", cwd=self.directory, env=environment(self.settings), stderr=log)


@contextmanager
def serving(directory: Path, **settings: str) -> Generator[Server, None, None]:
    """Run a server for the duration of the block."""
    server = Server(directory, {**SETTINGS, **settings})
    try:
        server.start()
        yield server
    finally:
        server.end()


def postmaster_of(server: Server) -> int:
    """Return the pid of the embedded PostgreSQL's postmaster."""
    said = server.cluster.postmaster()
    assert said is not None
    return said.pid


def run_to_its_end(directory: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a server that is expected to refuse to start; wait for its exit."""
    return run_command(directory, "serve", **settings)


def run_command(
    directory: Path, *arguments: str, stdin: str = "", **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of the program on the same data directory; wait for its exit."""
    chosen = environment({**SETTINGS, **data_dir_setting(directory), **settings})
    return run(*arguments, cwd=directory, env=chosen, stdin=stdin)


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one error line of a failed run."""
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("holdfast: ")
    assert "Traceback" not in done.stderr
    return lines[0].removeprefix("holdfast: ")
