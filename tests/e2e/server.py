"""Server processes of the tests: with a quick world, in a folder of their own."""

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
"""Settings of every server here: a quick world, and hashes that are cheap."""


class Server(bench_serving.Server):
    """A server that need not load the program anew."""

    def _spawn(self, log: IO[str]) -> Process:
        return Process("serve", cwd=self.directory, env=environment(self.settings), stderr=log)


@contextmanager
def serving(directory: Path, **settings: str) -> Generator[Server, None, None]:
    """Run a server for as long as the block lasts."""
    server = Server(directory, {**SETTINGS, **settings})
    try:
        server.start()
        yield server
    finally:
        server.end()


def postmaster_of(server: Server) -> int:
    """Give the first process of the embedded PostgreSQL."""
    said = server.cluster.postmaster()
    assert said is not None
    return said.pid


def run_to_its_end(directory: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a server that is expected to refuse to start; wait for its end."""
    return run_command(directory, "serve", **settings)


def run_command(
    directory: Path, *arguments: str, stdin: str = "", **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of the program on the same data directory; wait for its end."""
    chosen = environment({**SETTINGS, **data_dir_setting(directory), **settings})
    return run(*arguments, cwd=directory, env=chosen, stdin=stdin)


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """Give the one line with which a run ended that could not do what it was asked."""
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("holdfast: ")
    assert "Traceback" not in done.stderr
    return lines[0].removeprefix("holdfast: ")
