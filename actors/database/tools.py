"""PostgreSQL's own programs, run against a database: no password on any command line."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import trio

from actors.database.cluster import binary, server_environment
from actors.database.dsn import check_dsn
from actors.database.errors import BackupError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_HANDED_ON: Final = ("HOME", "KRB5CCNAME", "SSL_CERT_FILE", "TMPDIR")
_LINE_BYTES_MAX: Final = 64 * 1024
_KILL_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Target:
    """A database as PostgreSQL's programs are given it: by arguments and by environment."""

    dsn: str
    environment: Mapping[str, str]

    @classmethod
    def of(cls, dsn: str, *, connect_timeout_s: float = 5.0) -> Target:
        """Move the password from a DSN into the environment for a program.

        PostgreSQL's own variables (``PGPASSFILE``, ``PGSSLROOTCERT``) reach the program, as they
        reach the driver.

        Raises:
            DatabaseUnavailable: it is not a DSN.
        """
        check_dsn(dsn)
        parts = urlsplit(dsn)
        userinfo, at, place = parts.netloc.rpartition("@")
        user, _, password = userinfo.partition(":")
        query = parse_qsl(parts.query, keep_blank_values=True)
        told = [(name, value) for name, value in query if name != "password"]
        password = dict(query).get("password") or unquote(password)
        environment = {
            **server_environment(),
            **{name: value for name, value in os.environ.items() if name.startswith("PG")},
            **{name: os.environ[name] for name in _HANDED_ON if name in os.environ},
            "PGAPPNAME": "holdfast backup",
            # To libpq 1 means 2, and 0 means for ever.
            "PGCONNECT_TIMEOUT": str(max(2, round(connect_timeout_s))),
            **({"PGPASSWORD": password} if password else {}),
        }
        rest = f"?{urlencode(told, quote_via=quote)}" if told else ""
        return cls(f"{parts.scheme}://{user}{at}{place}{parts.path}{rest}", environment)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended: its status as of a child process, and the reason if that is not 0."""

    status: int
    complaint: str


async def run_tool(
    name: str,
    *arguments: str | os.PathLike[str],
    environment: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
    on_line: Callable[[str], None] | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> Outcome:
    """Run one of PostgreSQL's programs to its end; on cancellation, kill it.

    ``on_line`` receives each line of its standard error; ``task_status`` reports that it runs.

    Raises:
        EmbeddedPostgresError: the program is not installed.
        BackupError: it cannot be started.
    """
    try:
        process = await trio.lowlevel.open_process(
            [binary(name), *arguments],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            cwd="/",
            env=server_environment() if environment is None else environment,
            # Ctrl-C in a terminal reaches only Holdfast, which then ends the program.
            start_new_session=True,
        )
    except OSError as error:
        raise BackupError(f"cannot start {name}: {error}") from error
    said = _Said(on_line)
    try:
        task_status.started()
        await said.listen(_stderr(process))
        status = await process.wait()
    finally:
        await _end(process)
    return Outcome(status, said.complaint() if status else "")


async def _end(process: trio.Process) -> None:
    """Ensure that nothing of a program is left, cancelled or not."""
    if process.poll() is None:
        process.kill()
    with trio.move_on_after(_KILL_S, shield=True):
        await process.wait()
    await trio.aclose_forcefully(_stderr(process))


def _stderr(process: trio.Process) -> trio.abc.ReceiveStream:
    """Return the pipe that the program was started with."""
    return cast("trio.abc.ReceiveStream", process.stderr)


class _Said:
    """A program's messages, line by line."""

    def __init__(self, on_line: Callable[[str], None] | None) -> None:
        self._on_line = on_line
        self._error = ""
        self._last = ""

    async def listen(self, stream: trio.abc.ReceiveStream) -> None:
        """Read until the stream ends."""
        rest = b""
        async for piece in stream:
            *lines, rest = (rest + piece).split(b"\n")
            rest = rest[-_LINE_BYTES_MAX:]
            for line in lines:
                self._take(line)
        self._take(rest)

    def complaint(self) -> str:
        """Return its first error message, else its last line."""
        return self._error or self._last or "it gave no reason"

    def _take(self, raw: bytes) -> None:
        line = raw.decode("utf-8", "replace").strip()
        if not line:
            return
        self._last = line
        if not self._error:
            _, found, text = line.partition("error: ")
            self._error = text if found else line.partition("ERROR: ")[2].strip()
        if self._on_line is not None:
            self._on_line(line)
