"""The one-file program in a folder: its commands, and its server started, stopped and killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped]

from actors.database.cluster import Cluster
from actors.database.processes import cluster_processes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

START_TIMEOUT_S = 60.0
COMMAND_TIMEOUT_S = 240.0
STOP_TIMEOUT_S = 10.0

_psutil: Any = psutil


@dataclass(frozen=True, slots=True)
class User:
    """The user that a process runs as."""

    uid: int
    gid: int

    @property
    def process_options(self) -> dict[str, Any]:
        """The arguments that make a child process run as this user."""
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


class Program:
    """The program in ``folder``, run there by ``user`` with nothing but ``environ``."""

    def __init__(self, folder: Path, user: User, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self.path = folder / "holdfast"
        self.user = user
        self.environ = dict(environ)
        self.server: subprocess.Popen[str] | None = None
        self.url = ""

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            ["./holdfast", *arguments],
            cwd=self.folder,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
            **self.user.process_options,
        )

    def open(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command whose output is read as it arrives."""
        with (self.folder / "server.log").open("a") as log:
            return subprocess.Popen(
                ["./holdfast", *arguments],
                cwd=self.folder,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                **self.user.process_options,
            )

    def start(self) -> float:
        """Start a server and wait until it prints its address; return how long that took, in s."""
        started = time.monotonic()
        self.server = self.open("serve", "--port", "0")
        for line in self.server.stdout or ():
            found = re.search(r"ready at (http://\S+)", line)
            if found is not None:
                self.url = found[1]
                return time.monotonic() - started
        raise AssertionError((self.folder / "server.log").read_text())

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the server a signal; return its exit status."""
        assert self.server is not None
        server, self.server = self.server, None
        server.send_signal(number)
        with server:
            return server.wait(STOP_TIMEOUT_S)

    def processes(self) -> set[int]:
        """Return every live process whose executable is under this folder, or that works in it."""
        found = set(cluster_processes(Cluster.at(self.folder / "var").path))
        for process in _psutil.process_iter():
            with suppress(_psutil.Error, OSError):
                places = (process.exe(), process.cwd())
                if any(f"{place}/".startswith(f"{self.folder}/") for place in places):
                    found.add(process.pid)
        return found

    def end(self) -> None:
        """End the processes that a failed test left."""
        if self.server is not None:
            self.server.kill()
            with self.server:
                self.server.wait(STOP_TIMEOUT_S)
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.05)
