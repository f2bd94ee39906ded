"""The program under test as a separate process, started fast: forked from one that loaded it.

Loading its modules takes most of the time of a short run. Such a process has its own pid, standard
streams, folder, environment and exit status. What the interpreter reads before the program's first
line (its own variables, a locale, ``sitecustomize``) is the fork server's: a test for which that
matters, or how the program loads, starts an interpreter.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Self

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

TREE = Path(__file__).resolve().parents[1]
_START_TIMEOUT_S = 60.0
_RUN_TIMEOUT_S = 60.0


MESSAGE_BYTES_MAX = 128 * 1024


class Request(msgspec.Struct, frozen=True):
    """What the fork server is to run, and where."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]


class Process:
    """A run of the program, with the part of `subprocess.Popen` that the tests use."""

    def __init__(
        self,
        *arguments: str,
        cwd: Path,
        env: Mapping[str, str],
        stdin: IO[str] | None = None,
        stdout: IO[str] | None = None,
        stderr: IO[str],
    ) -> None:
        """Start it; by default ``stdin`` is empty and ``stdout`` a pipe."""
        self.returncode: int | None = None
        self.stdout: IO[bytes] | None = None
        self._told = b""
        self._report, report = os.pipe()
        read, write = os.pipe() if stdout is None else (None, os.dup(stdout.fileno()))
        if read is not None:
            self.stdout = os.fdopen(read, "rb")
        with Path(os.devnull).open() as empty:
            streams = (stdin or empty).fileno(), write, stderr.fileno()
            request = msgspec.json.encode(Request([*arguments], str(cwd), dict(env)))
            socket.send_fds(_origin(), [request], [*streams, report])
        os.close(report)
        os.close(write)
        pid = self._line(_START_TIMEOUT_S)
        assert pid is not None, "the fork server of the tests does not answer"
        self.pid = pid

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        if self.returncode is None:
            self.returncode = self._line(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit status.

        Raises:
            TimeoutExpired: the process still runs.
        """
        if self.returncode is None:
            self.returncode = self._line(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(f"holdfast ({self.pid})", timeout or 0)
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has exited."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        """Enter a context that waits for its exit."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait for its exit."""
        if self.stdout is not None:
            self.stdout.close()
        self.wait()

    def __del__(self) -> None:
        """Close the descriptor that reports its exit."""
        os.close(self._report)

    def _line(self, timeout_s: float | None) -> int | None:
        """Read the next number that the fork server writes: first the pid, then the status."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        poll = select.poll()
        poll.register(self._report, select.POLLIN)
        while b"\n" not in self._told:
            left_ms = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
            if not poll.poll(left_ms):
                return None
            piece = os.read(self._report, 64)
            assert piece, "the fork server of the tests has ended"
            self._told += piece
        line, _, self._told = self._told.partition(b"\n")
        return int(line)


def run(
    *arguments: str, cwd: Path, env: Mapping[str, str], stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end, as `subprocess.run` would with everything captured."""
    with TemporaryFile("w+") as given, TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        given.write(stdin)
        given.seek(0)
        with Process(*arguments, cwd=cwd, env=env, stdin=given, stdout=out, stderr=err) as process:
            try:
                status = process.wait(_RUN_TIMEOUT_S)
            finally:
                process.kill()
        for each in (out, err):
            each.seek(0)
        return subprocess.CompletedProcess(arguments, status, out.read(), err.read())


@cache
def _origin() -> socket.socket:
    """Start the process from which the others are forked; it exits with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fork_server"], cwd=TREE, stdin=theirs.fileno()
        )
    atexit.register(_end, ours, process)
    return ours


def _end(control: socket.socket, process: subprocess.Popen[bytes]) -> None:
    control.close()
    process.wait()
