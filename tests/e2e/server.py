"""A server process of its own: started, watched, ended by its pid, and started again."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actors.database.cluster import Cluster
from actors.database.processes import cluster_processes

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

PROGRAM = "from app.cli import main; main(prog_name='holdfast')"
WORLD = Path(__file__).parent / "world.toml"
TREE = Path(__file__).resolve().parents[2]

START_TIMEOUT_S = 60.0
EXIT_TIMEOUT_S = 30.0
SHUTDOWN_MAX_S = 5.0
"""What the design allows a shutdown, whatever the clients and the database do."""

SETTINGS = {
    "HOLDFAST_HTTP__PORT": "0",
    "HOLDFAST_AUTH__ARGON2_MEMORY_KIB": "8",
    "HOLDFAST_AUTH__ARGON2_TIME_COST": "1",
    "HOLDFAST_LOG__FORMAT": "json",
    "HOLDFAST_WORLD__TICK_MS": "20",
    "HOLDFAST_WORLD__RULESET": str(WORLD),
}
"""Settings of every server here: a quick world, and hashes that are cheap."""


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Give the environment of a run: ours, without settings of whoever runs the tests."""
    clean = {name: value for name, value in os.environ.items() if "HOLDFAST" not in name}
    return {**clean, "PYTHONPATH": str(TREE), **SETTINGS, **settings}


def data_dir_setting(directory: Path) -> dict[str, str]:
    """Give the setting that lets the server keep its data in ``directory``."""
    return {"HOLDFAST_STORAGE__DATA_DIR": str(directory / "data")}


class Server:
    """One server on the data directory ``directory``; it can be killed and started again."""

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        self.directory = directory
        self.settings = {**data_dir_setting(directory), **settings}
        self.url = ""
        self._process: subprocess.Popen[str] | None = None
        self._runs = 0

    @property
    def process(self) -> subprocess.Popen[str]:
        """The process of the latest start."""
        assert self._process is not None
        return self._process

    @property
    def cluster(self) -> Cluster:
        """The embedded PostgreSQL's place."""
        return Cluster.at(self.directory / "data")

    @property
    def _log_path(self) -> Path:
        return self.directory / f"server-{self._runs}.log"

    def start(self, **settings: str) -> None:
        """Start it and wait until it says where it is; ``settings`` replace earlier ones."""
        self.settings |= settings
        self.launch()
        self.url = self._announced()

    def launch(self) -> subprocess.Popen[str]:
        """Start the process without waiting for anything."""
        self._runs += 1
        with self._log_path.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, "serve"],
                cwd=self.directory,
                env=environment(self.settings),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        return self._process

    def _announced(self) -> str:
        out = self.process.stdout
        assert out is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        text = b""
        while time.monotonic() < deadline:
            if select.select([out], [], [], 0.1)[0]:
                # Past the text layer, so that nothing is left in a buffer that select cannot see.
                piece = os.read(out.fileno(), 4096)
                text += piece
                found = re.search(rb"ready at (http://\S+)\n", text)
                if found is not None:
                    return found[1].decode()
                if not piece:
                    break
        self.kill()
        raise AssertionError(f"the server did not start:\n{self.log()}")

    def log(self) -> str:
        """Give all that the latest run has written to standard error."""
        return self._log_path.read_text()

    def events(self, name: str) -> list[dict[str, Any]]:
        """Give the events of one name that the latest run has logged."""
        return [event for event in self._events() if event["event"] == name]

    def failures(self) -> list[dict[str, Any]]:
        """Give what the latest run has logged as an error: what it did not foresee."""
        return [event for event in self._events() if event["level"] == "error"]

    def _events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """End the process at once (SIGKILL); an embedded PostgreSQL stays behind."""
        self.process.kill()
        self.process.wait(EXIT_TIMEOUT_S)
        self._close()

    def stop(self) -> int:
        """Ask it to stop (SIGTERM); give its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self, timeout_s: float = EXIT_TIMEOUT_S) -> int:
        """Wait for its end; give its exit status."""
        status = self.process.wait(timeout_s)
        self._close()
        return status

    def _close(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()

    def postgres_pids(self) -> frozenset[int]:
        """Give the processes of the embedded PostgreSQL."""
        return cluster_processes(self.cluster.path)

    def postmaster(self) -> int:
        """Give the first process of the embedded PostgreSQL."""
        said = self.cluster.postmaster()
        assert said is not None
        return said.pid

    def end(self) -> None:
        """End whatever still runs of it, and the PostgreSQL that it left behind."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.terminate()
                try:
                    self._process.wait(2 * SHUTDOWN_MAX_S)
                except subprocess.TimeoutExpired:
                    import sys

                    print("HUNG", self._process.pid, self.log(), file=sys.__stderr__)
                    subprocess.run(
                        ["/tmp/probe/v/bin/py-spy", "dump", "--pid", str(self._process.pid)]
                    )
                    self._process.kill()
                    self._process.wait(EXIT_TIMEOUT_S)
            self._close()
        for pid in self.postgres_pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextmanager
def serving(directory: Path, **settings: str) -> Generator[Server, None, None]:
    """Run a server for as long as the block lasts."""
    server = Server(directory, settings)
    try:
        server.start()
        yield server
    finally:
        server.end()


def run_to_its_end(directory: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a server that is expected to refuse to start; wait for its end."""
    return run_command(directory, "serve", **settings)


def run_command(
    directory: Path, *arguments: str, stdin: str = "", **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of the program on the same data directory; wait for its end."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=directory,
        env=environment({**data_dir_setting(directory), **settings}),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        check=False,
    )


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """Give the one line with which a run ended that could not do what it was asked."""
    assert done.returncode not in {0, None}
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("holdfast: ")
    assert "Traceback" not in done.stderr
    return lines[0].removeprefix("holdfast: ")
