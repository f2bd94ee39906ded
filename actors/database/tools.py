"""PostgreSQL's own programs, run against a database: no password on any command line."""

from __future__ import annotations

import os
import subprocess
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import trio

from actors.database.cluster import binary, server_environment
from actors.database.errors import BackupError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

_HANDED_ON: Final = ("HOME", "KRB5CCNAME", "SSL_CERT_FILE", "TMPDIR")
_LINE_BYTES_MAX: Final = 64 * 1024
_LINES_KEPT: Final = 20


@dataclass(frozen=True, slots=True)
class Target:
    """A database as PostgreSQL's programs are told of it: by arguments and by environment."""

    dsn: str
    environment: Mapping[str, str]

    @classmethod
    def of(cls, dsn: str, *, connect_timeout_s: float = 5.0) -> Target:
        """Take the password out of a DSN, into the environment that a program gets.

        Variables of PostgreSQL's own (``PGPASSFILE``, ``PGSSLROOTCERT``) reach the program, as
        they reach the driver.
        """
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
            # libpq takes 1 for 2, and 0 for ever.
            "PGCONNECT_TIMEOUT": str(max(2, round(connect_timeout_s))),
            **({"PGPASSWORD": password} if password else {}),
        }
        bare = parts._replace(netloc=f"{user}{at}{place}", query=urlencode(told, quote_via=quote))
        return cls(bare.geturl(), environment)


class Tool:
    """A program that runs; `finish` waits for its end."""

    def __init__(
        self, name: str, process: trio.Process, on_line: Callable[[str], None] | None
    ) -> None:
        self._name = name
        self._process = process
        self._on_line = on_line
        self._lines: list[str] = []

    async def listen(self) -> None:
        """Read what the program says until it says no more."""
        rest = b""
        said = self._process.stderr
        if said is None:
            return
        async for piece in said:
            *lines, rest = (rest + piece).split(b"\n")
            rest = rest[-_LINE_BYTES_MAX:]
            for line in lines:
                self._take(line.decode("utf-8", "replace"))
        self._take(rest.decode("utf-8", "replace"))

    async def finish(self) -> None:
        """Wait for its end.

        Raises:
            BackupError: it failed; the message has what it said of that.
        """
        status = await self._process.wait()
        if status != 0:
            raise BackupError(f"{self._name} failed: {self.complaint()}")

    def complaint(self) -> str:
        """Give the line that says what went wrong, as far as one can tell."""
        errors = [line for line in self._lines if "error:" in line or "ERROR:" in line]
        said = (errors or self._lines[-1:] or ["it did not say why"])[0]
        return said.removeprefix(f"{self._name}: ").removeprefix("error: ")

    def _take(self, line: str) -> None:
        line = line.strip()
        if not line:
            return
        if self._on_line is not None:
            self._on_line(line)
        self._lines = [*self._lines[-_LINES_KEPT:], line]


@asynccontextmanager
async def running(
    name: str,
    *arguments: str | os.PathLike[str],
    environment: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
    on_line: Callable[[str], None] | None = None,
) -> AsyncGenerator[Tool]:
    """Run a program of PostgreSQL's while the block lasts; whatever ends the block ends it.

    ``on_line`` is told each line that it writes to standard error.

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
            # Ctrl-C in a terminal reaches Holdfast alone, which then ends the program.
            start_new_session=True,
        )
    except OSError as error:
        raise BackupError(f"cannot start {name}: {error}") from error
    tool = Tool(name, process, on_line)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tool.listen)
            yield tool
            await tool.finish()
    finally:
        if process.poll() is None:
            process.kill()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1.0):
            await process.wait()
        if process.stderr is not None:
            await trio.aclose_forcefully(process.stderr)
