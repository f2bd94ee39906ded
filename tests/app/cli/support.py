"""Run the program as a user does: as a process, in a folder of its own."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

from tests import program

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Mapping
    from types import ModuleType

    import pytest

    from bench.serving import Process

PROGRAM = "from app.cli import main; main(prog_name='holdfast')"
TIMEOUT_S = 60.0

CHEAP = {
    "HOLDFAST_AUTH__ARGON2_MEMORY_KIB": "8",
    "HOLDFAST_AUTH__ARGON2_TIME_COST": "1",
    "HOLDFAST_LOG__FORMAT": "json",
}
"""Settings that keep no secret safe but make tests fast."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What a run of the program left."""

    status: int
    stdout: str
    stderr: str

    @property
    def complaint(self) -> str:
        """The one line with which a failed run ends."""
        assert "Traceback" not in self.stderr
        lines = [line for line in self.stderr.splitlines() if not line.startswith("{")]
        assert len(lines) == 1, self.stderr
        assert lines[0].startswith("holdfast: ")
        return lines[0]


def command(*arguments: str) -> list[str]:
    """Return the command line of the program under test."""
    return [sys.executable, "-c", PROGRAM, *arguments]


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a run: ours, without the settings of whoever runs the tests."""
    clean = {name: value for name, value in os.environ.items() if "HOLDFAST" not in name}
    return {**clean, **CHEAP, **settings}


def is_quick(settings: Mapping[str, str]) -> bool:
    """Whether all settings are Holdfast's: those that Python reads need a new interpreter."""
    return all(name.startswith("HOLDFAST_") for name in settings)


def run(*arguments: str, cwd: Path, stdin: str = "", **settings: str) -> Finished:
    """Run the program to its end."""
    chosen = environment(settings)
    if is_quick(settings):
        done = program.run(*arguments, cwd=cwd, env=chosen, stdin=stdin)
    else:
        done = subprocess.run(
            command(*arguments),
            cwd=cwd,
            env=chosen,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    return Finished(done.returncode, done.stdout, done.stderr)


def run_unheard(*arguments: str, cwd: Path, out: IO[str], **settings: str) -> Finished:
    """Run the program to its end with an ``out`` that cannot be written to."""
    assert is_quick(settings)
    with TemporaryFile("w+") as err:
        process = program.Process(
            *arguments, cwd=cwd, env=environment(settings), stdout=out, stderr=err
        )
        try:
            status = process.wait(TIMEOUT_S)
        finally:
            process.kill()
        err.seek(0)
        return Finished(status, "", err.read())


def run_at_terminal(*arguments: str, cwd: Path, **settings: str) -> tuple[int, list[str]]:
    """Run the program at a terminal; return its status and the lines visible at the end."""
    master, slave = pty.openpty()
    assert is_quick(settings)
    chosen = {**environment(settings), "TERM": "xterm", "COLUMNS": "200"}
    said = bytearray()

    def read() -> None:
        # Once the last writer has closed the terminal, reading it raises an error.
        with suppress(OSError):
            while piece := os.read(master, 4096):
                said.extend(piece)

    reader = threading.Thread(target=read)
    with os.fdopen(slave, "w") as terminal:
        reader.start()
        streams = {"stdin": terminal, "stdout": terminal, "stderr": terminal}
        process = program.Process(*arguments, cwd=cwd, env=chosen, **streams)
    try:
        status = process.wait(TIMEOUT_S)
    finally:
        process.kill()
        reader.join()
        os.close(master)
    return status, shown(said.decode())


def shown(written: str) -> list[str]:
    """Return what a terminal shows after this output, as far as spinners need one."""
    rows, row = [""], 0
    column = 0
    for found in re.finditer(r"\x1b\[[?0-9;]*([A-Za-z])|(.)", written, re.DOTALL):
        match found[1] or found[2]:
            case "A" if found[1]:
                row -= 1
            case "K" if found[1]:
                rows[row] = ""
            case _ if found[1]:
                pass
            case "\r":
                column = 0
            case "\n":
                row += 1
                rows += [""] * (row == len(rows))
            case letter:
                rows[row] = rows[row][:column].ljust(column) + letter + rows[row][column + 1 :]
                column += 1
    return rows


def later_program(place: Path) -> dict[str, str]:
    """Return the settings for running a later program: it has one more migration."""
    (place / "sitecustomize.py").write_text(
        "from actors.database import migrate, upgrade\n"
        "later = migrate.Migration(9999, 'later', 'create table later (id bigint)')\n"
        "known = (*migrate.shipped_migrations(), later)\n"
        "migrate.shipped_migrations = upgrade.shipped_migrations = lambda: known\n"
    )
    return {"PYTHONPATH": os.pathsep.join([str(place), str(Path.cwd())])}


class RunningServer:
    """A server process that has announced itself."""

    def __init__(self, process: Process, greeting: str) -> None:
        self.process = process
        self.greeting = greeting
        found = re.search(r"https?://\S+", greeting)
        assert found is not None, greeting
        self.url = found[0]

    def stop(self) -> int:
        """Ask the server to stop; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT_S)


@contextmanager
def running_server(cwd: Path, *arguments: str, **settings: str) -> Generator[RunningServer]:
    """Run a server on a free port until the block ends."""
    log = cwd / "server.log"
    started = "serve", "--port", "0", *arguments
    chosen = environment(settings)
    with (
        log.open("w") as stderr,
        program.Process(*started, cwd=cwd, env=chosen, stderr=stderr)
        if is_quick(settings)
        else subprocess.Popen(
            command(*started), cwd=cwd, env=chosen, stdout=subprocess.PIPE, stderr=stderr
        ) as process,
    ):
        guard = threading.Timer(TIMEOUT_S, process.kill)
        guard.start()
        try:
            assert process.stdout is not None
            greeting: list[str] = []
            for line in process.stdout:
                greeting.append(line.decode())
                if b"Ctrl-C" in line:
                    break
            assert process.poll() is None, log.read_text()
            yield RunningServer(process, "".join(greeting))
        finally:
            process.terminate()
            process.wait(TIMEOUT_S)
            guard.cancel()


def interrupt_after(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str) -> None:
    """Send Ctrl-C when an asynchronous function of a module has done its work."""
    function: Callable[..., Awaitable[object]] = getattr(module, name)

    async def then_interrupt(*arguments: object, **named: object) -> object:
        done = await function(*arguments, **named)
        os.kill(os.getpid(), signal.SIGINT)
        return done

    monkeypatch.setattr(module, name, then_interrupt)
