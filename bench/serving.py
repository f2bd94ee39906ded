"""A server process with its own data directory: started, watched, killed, restarted."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from actors.database.cluster import Cluster
from actors.database.processes import cluster_processes

if TYPE_CHECKING:
    from collections.abc import Mapping

TREE = Path(__file__).resolve().parents[1]
PROGRAM = "from app.cli import main; main(prog_name='holdfast')"

START_TIMEOUT_S = 60.0
EXIT_TIMEOUT_S = 30.0
SHUTDOWN_MAX_S = 5.0
"""The design's limit for a shutdown, whatever the clients and the database do."""

CHEAP = {
    "HOLDFAST_HTTP__PORT": "0",
    "HOLDFAST_AUTH__ARGON2_MEMORY_KIB": "8",
    "HOLDFAST_AUTH__ARGON2_TIME_COST": "1",
    "HOLDFAST_AUTH__TOKEN_SECONDS": "86400",
    "HOLDFAST_HTTP__REQUESTS_PER_SECOND_PER_ACCOUNT": "0",
    "HOLDFAST_LOG__FORMAT": "json",
}
"""Settings with which players join quickly and stay; they are not secure."""


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a run: ours, without the user's own settings."""
    clean = {name: value for name, value in os.environ.items() if "HOLDFAST" not in name}
    return {**clean, "PYTHONPATH": str(TREE), **settings}


def data_dir_setting(directory: Path) -> dict[str, str]:
    """Return the setting that makes a server keep its data in ``directory``."""
    return {"HOLDFAST_STORAGE__DATA_DIR": str(directory / "data")}


class Process(Protocol):
    """The interface of a process; a `subprocess.Popen` has it."""

    pid: int

    @property
    def stdout(self) -> IO[bytes] | None:
        """What it writes to its standard output."""

    def poll(self) -> int | None:
        """Return its status, None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its status, or raise `subprocess.TimeoutExpired`."""
        ...

    def send_signal(self, number: signal.Signals, /) -> None:
        """Send it a signal, unless it has ended."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""


class ServerDidNotStart(Exception):
    """The server ended, or was silent for too long; the message is its log."""


class Server:
    """One server with its data in ``directory`` and its settings as environment variables."""

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        self.directory = directory
        self.settings = {**data_dir_setting(directory), **settings}
        self.url = ""
        self._process: Process | None = None
        self._runs = 0

    @property
    def process(self) -> Process:
        """The process of the latest start."""
        if self._process is None:
            raise ServerDidNotStart
        return self._process

    @property
    def cluster(self) -> Cluster:
        """The embedded PostgreSQL's cluster."""
        return Cluster.at(self.directory / "data")

    @property
    def _log_path(self) -> Path:
        return self.directory / f"server-{self._runs}.log"

    def start(self, **settings: str) -> None:
        """Start it and wait until it announces its address; ``settings`` replace earlier ones.

        Raises:
            ServerDidNotStart: it does not.
        """
        self.settings |= settings
        self.launch()
        self.url = self._announced()

    def launch(self) -> Process:
        """Start the process without waiting for anything."""
        self._runs += 1
        with self._log_path.open("w") as log:
            self._process = self._spawn(log)
        return self._process

    def _spawn(self, log: IO[str]) -> Process:
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "serve"],
            cwd=self.directory,
            env=environment(self.settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )

    def _announced(self) -> str:
        out = self.process.stdout
        deadline = time.monotonic() + START_TIMEOUT_S
        text = b""
        while out is not None and time.monotonic() < deadline:
            if select.select([out], [], [], 0.1)[0]:
                piece = os.read(out.fileno(), 4096)
                text += piece
                found = re.search(rb"ready at (https?://\S+)\n", text)
                if found is not None:
                    return found[1].decode()
                if not piece:
                    break
        self.kill()
        raise ServerDidNotStart(self.log())

    def log(self) -> str:
        """Return everything that the latest run has written to standard error."""
        return self._log_path.read_text()

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of one name that the latest run has logged."""
        return [event for event in self._events() if event["event"] == name]

    def failures(self) -> list[dict[str, Any]]:
        """Return the errors that the latest run has logged: unforeseen failures."""
        return [event for event in self._events() if event["level"] == "error"]

    def complaints(self) -> dict[str, int]:
        """Count the warnings and errors that the latest run has logged, by event."""
        levels = ("warning", "error")
        return dict(Counter(e["event"] for e in self._events() if e["level"] in levels))

    def _events(self) -> list[dict[str, Any]]:
        lines = self.log().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """End the process at once (SIGKILL); an embedded PostgreSQL stays behind."""
        self.process.kill()
        self.wait()

    def stop(self) -> int:
        """Ask it to stop (SIGTERM); return its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self, timeout_s: float = EXIT_TIMEOUT_S) -> int:
        """Wait for its end; return its exit status."""
        status = self.process.wait(timeout_s)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status

    def postgres_pids(self) -> frozenset[int]:
        """Return the processes of the embedded PostgreSQL."""
        return cluster_processes(self.cluster.path)

    def end(self) -> None:
        """End it if it still runs, and the PostgreSQL that it left behind."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(2 * SHUTDOWN_MAX_S)
            self.kill()
        for pid in self.postgres_pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
