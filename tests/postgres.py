"""A real PostgreSQL for the tests: one server for the run, one fresh database per test module.

The server runs in its own thread with its own Trio run, so that both sync and async tests can use
it. Its data is discarded when the run ends, so it syncs nothing to disk. Tests of crash safety
start servers of their own.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
import threading
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
import trio
from structlog.testing import LogCapture

from actors.database.cluster import Cluster
from actors.database.driver import open_database
from actors.database.embedded import embedded_postgres
from actors.database.errors import DatabaseTimeout
from actors.database.migrate import migrate
from actors.database.processes import cluster_processes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from structlog.typing import FilteringBoundLogger

    from actors.database.driver import Script
    from actors.database.session import Session, T

TEST_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "on",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "autovacuum": "off",
}
"""PostgreSQL settings for a server with disposable data."""

_TEMPLATE = "holdfast_template"
_MEMORY = Path("/dev/shm")  # noqa: S108 - only a directory with an unpredictable name is made
"""Where Linux keeps files in memory: creating, syncing and removing databases is fast there.

Files there outlive every process, as on a disk.
"""
_ROOM_MIN_BYTES = 4 << 30
"""Twice what two runs side by side need."""
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 20.0


def quiet_log(capture: LogCapture | None = None) -> FilteringBoundLogger:
    """Return a logger that prints nothing and keeps its events in ``capture.entries``."""
    log: FilteringBoundLogger = structlog.wrap_logger(
        None,
        processors=[capture or LogCapture()],
        wrapper_class=structlog.make_filtering_bound_logger("debug"),
    )
    return log


@contextmanager
def reachable_directory() -> Generator[Path, None, None]:
    """Yield a temporary directory that the server's user can search, unlike pytest's own."""
    directory = Path(tempfile.mkdtemp(prefix="holdfast-test-", dir=_memory()))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def with_database(dsn: str, name: str) -> str:
    """Return the DSN of another database on the same server."""
    return urlsplit(dsn)._replace(path=f"/{name}").geturl()


async def run_script(dsn: str, script: Script[T]) -> T:
    """Run one script on its own connection, in its own asyncio island."""
    async with open_database(dsn, log=quiet_log()) as database:
        connection = await database.connect(name="test")
        try:
            return await connection.run(script, timeout_s=20)
        finally:
            await connection.aclose()


@contextmanager
def frozen(*pids: int) -> Generator[None, None, None]:
    """Freeze processes (SIGSTOP) for the duration of the block; some may have exited already."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


class PostgresServer:
    """The server of a test run; ``dsn`` is its administrative database."""

    def __init__(self, dsn: str, data_dir: Path) -> None:
        self.dsn = dsn
        self._cluster = Cluster.at(data_dir)
        self._numbers = itertools.count(1)

    @contextmanager
    def frozen(self) -> Generator[None, None, None]:
        """Freeze every process of the server (SIGSTOP); thaw them at the end of the block."""
        pids = cluster_processes(self._cluster.path)
        with frozen(*pids):
            yield

    def create_database(self, *, migrated: bool = True) -> str:
        """Make a database, with this program's schema unless told otherwise; return its DSN.

        Do not call it from inside a Trio run: use `create_database_async` there.
        """
        return trio.run(lambda: self.create_database_async(migrated=migrated))

    async def create_database_async(self, *, migrated: bool = True) -> str:
        """Do the same as `create_database`, inside a Trio run on the real clock."""
        name = f"test_{next(self._numbers)}"
        template = _TEMPLATE if migrated else "template1"
        # Copying its files takes a third of the time that logging each page takes.
        sql = f"create database {name} template {template} strategy file_copy"
        await run_script(self.dsn, lambda session: session.execute(sql))
        return with_database(self.dsn, name)

    async def set_read_only(self, dsn: str, *, whether: bool) -> None:
        """Make later connections to a database read-only, or writable again."""
        sql = (
            f"alter database {urlsplit(dsn).path[1:]} set default_transaction_read_only = {whether}"
        )
        await run_script(self.dsn, lambda session: session.execute(sql))

    @asynccontextmanager
    async def without_standby(self) -> AsyncGenerator[None]:
        """Make every commit wait for an absent standby for the duration of the block."""
        try:
            await self._follow("nobody")
            async with open_database(self.dsn, log=quiet_log()) as database:
                connection = await database.connect(name="test")
                with suppress(DatabaseTimeout):
                    while True:  # Until the server has reloaded its settings.
                        await connection.run(_commit_something, timeout_s=1)
            yield
        finally:
            await self._follow("")

    async def _follow(self, standbys: str) -> None:
        async def script(session: Session) -> None:
            await session.execute(f"alter system set synchronous_standby_names = '{standbys}'")
            await session.execute("select pg_reload_conf()")

        await run_script(self.dsn, script)


async def _commit_something(session: Session) -> None:
    await session.execute("select pg_logical_emit_message(true, 'test', '')")


@contextmanager
def postgres_server() -> Generator[PostgresServer, None, None]:
    """Run a server, with a migrated template database, for the duration of the block."""
    with reachable_directory() as directory:
        data_dir = directory / "data"
        server = _ServerThread(data_dir)
        try:
            yield PostgresServer(server.start(), data_dir)
        finally:
            server.stop()


def _memory() -> Path | None:
    """Return a directory in memory; None where it lacks room, as in containers."""
    usable = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _ROOM_MIN_BYTES
    return _MEMORY if usable else None


class _ServerThread:
    """The embedded server in its own thread."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._thread = threading.Thread(target=self._run, name="postgres")
        self._ready = threading.Event()
        self._dsn: str | None = None
        self._failure: BaseException | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._stop = trio.Event()

    def start(self) -> str:
        """Start the server; return the DSN of its administrative database."""
        self._thread.start()
        self._ready.wait(_START_TIMEOUT_S)
        if self._dsn is None:
            raise RuntimeError("the PostgreSQL of the tests did not start") from self._failure
        return self._dsn

    def stop(self) -> None:
        """Stop the server, if it runs."""
        if self._token is not None and self._thread.is_alive():
            self._token.run_sync_soon(self._stop.set)
        self._thread.join(_STOP_TIMEOUT_S)

    def _run(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:  # noqa: BLE001 - raised by start() in the main thread
            self._failure = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        log = quiet_log()
        async with embedded_postgres(self._data_dir, log=log, settings=TEST_SETTINGS) as dsn:
            await run_script(dsn, lambda s: s.execute(f"create database {_TEMPLATE}"))
            async with open_database(with_database(dsn, _TEMPLATE), log=log) as database:
                connection = await database.connect(name="template")
                await migrate(connection)
                await connection.aclose()
            self._dsn = dsn
            self._ready.set()
            await self._stop.wait()
