"""The embedded PostgreSQL: a child process in the data directory, run like an actor.

The server listens on a socket only and has its own session, so that Ctrl-C in a terminal reaches
only Holdfast, which then stops it in order. A lock on the data directory proves that a server
found running there is an orphan of a killed Holdfast: it is stopped and replaced.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from actors.database.cluster import (
    DATABASE,
    PORT,
    SUPERUSER,
    Cluster,
    Postmaster,
    binary,
    create_cluster,
    server_environment,
)
from actors.database.directory_lock import DirectoryLock, is_locked
from actors.database.dsn import socket_dsn
from actors.database.errors import (
    AlreadyServed,
    DatabaseError,
    DataDirectoryError,
    EmbeddedPostgresDied,
    EmbeddedPostgresError,
)
from actors.database.processes import cluster_processes, stop_cluster
from actors.database.server_user import ServerUser, server_user

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "max_connections": "40",
        "shared_buffers": "128MB",
        "wal_compression": "on",
        "max_wal_size": "2GB",
        "checkpoint_timeout": "15min",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] %a ",
        "cluster_name": "holdfast",
        # Only on Linux does a working backend notice that its client has gone.
        **({"client_connection_check_interval": "1s"} if sys.platform == "linux" else {}),
    }
)
"""The server's settings unless the composer overrides them (PostgreSQL's own names)."""

START_TIMEOUT_S: Final = 3600.0
"""Recovering the 2 GB that `SETTINGS` allow takes minutes, on a slow disk a good many."""

_READY_POLL_S = 0.005
_READY_REPORT_S = 2.0
_LOCK_ATTEMPTS = 5
_LOCK_RETRY_S = 0.05
_ATTACH_TIMEOUT_S = 10.0
_ORPHAN_STOP_S = 10.0


class EmbeddedPostgres:
    """One server on one data directory.

    ``settings`` are PostgreSQL's, over `SETTINGS`; ``start_timeout_s`` covers a complete recovery
    from the write-ahead log, which starts over if interrupted.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        log: FilteringBoundLogger,
        settings: Mapping[str, str] | None = None,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        self._cluster = Cluster.at(data_dir)
        self._log = log
        self._settings = {**SETTINGS, **(settings or {})}
        self._start_timeout_s = start_timeout_s
        self._lock: DirectoryLock | None = None
        self._process: trio.Process | None = None
        self._starting = trio.CancelScope()
        self._stopping = self._ended = self._has_served = False

    @property
    def dsn(self) -> str:
        """The DSN to connect with; the same before, during and after every run."""
        return self._cluster.dsn

    @property
    def pid(self) -> int | None:
        """The server's process, None if none is running."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop`; ready when the server accepts connections. Does nothing after `end`.

        On cancellation it ends as by `stop`, within the latter's default time.

        Raises:
            EmbeddedPostgresDied: the server ended on its own; run again to restart it.
            AlreadyServed, DataDirectoryError, EmbeddedPostgresError: as `start`.
        """
        if self._ended:
            return
        # If an earlier run's server has died, the lock is still ours.
        was_ready = self._lock is not None
        failed = False
        try:
            with trio.CancelScope() as self._starting:
                await self.start()
                task_status.started()
            process = self._process
            if process is None or self._stopping:
                return  # stopped before it was ready
            was_ready = True
            status = await process.wait()
            if not self._stopping:
                raise EmbeddedPostgresDied(status, self._cluster.log_path)
        except (DatabaseError, OSError):
            failed = not self._stopping
            raise
        finally:
            # After a death the lock stays ours, however often the restart fails: no other server
            # may slip in before it succeeds.
            keeps_lock = failed and was_ready
            await (self._bury() if keeps_lock else self.stop())

    async def start(self) -> None:
        """Start the server and wait until it accepts connections; `stop` must follow.

        A new cluster is created complete or not at all, and never in place of one that was served:
        its disk may come back. A server left behind by a killed Holdfast is stopped first.

        Raises:
            AlreadyServed: another process serves the data directory.
            DataDirectoryError: the data directory cannot be used, or its former cluster is gone.
            EmbeddedPostgresError: the server cannot be started; the message says why.
        """
        cluster = self._cluster
        self._stopping = False
        if self._has_served and not cluster.path.exists():
            raise DataDirectoryError(cluster.path, "it is gone")
        await trio.to_thread.run_sync(cluster.make_data_dir)
        if self._lock is None:
            self._lock = await _lock_patiently(cluster)
        await self._clear_up()
        user = await trio.to_thread.run_sync(server_user, cluster.path)
        await trio.to_thread.run_sync(self._let_reach, user)
        if not self._has_served and not cluster.path.exists():
            sync = self._settings["fsync"] != "off"
            await create_cluster(cluster, user, log=self._log, sync=sync)
        cluster.check_version()
        cluster.make_socket_dir(user)
        left = cluster.postmaster()
        self._process = await self._spawn(user)
        await self._wait_ready(self._process, left)
        self._has_served = True
        self._log.info("postgres_ready", pid=self._process.pid, data_dir=str(cluster.data_dir))

    async def stop(self, *, timeout_s: float = 2.0) -> None:
        """Stop the server and release the data directory; harmless if nothing runs.

        This ends a run, even one whose server is still starting. Takes at most ``timeout_s`` plus
        a second, even if the server is frozen, cancelled or not: past the deadline its processes
        are killed, and the next start recovers from the write-ahead log.
        """
        self._stopping = True
        self._starting.cancel()
        process = self._process
        if process is not None and process.returncode is None:
            cluster = self._cluster.path
            in_order = await stop_cluster(cluster, process.pid, timeout_s=timeout_s)
            if in_order:
                self._log.info("postgres_stopped")
            else:
                self._log.warning("postgres_killed", timeout_s=timeout_s)
        await self._reap()
        if self._lock is not None:
            self._cluster.remove_socket_dir()
            self._lock.release()
            self._lock = None

    async def end(self, *, timeout_s: float = 2.0) -> None:
        """Stop the server as `stop` does, for good, even if a supervisor is about to rerun it."""
        self._ended = True
        await self.stop(timeout_s=timeout_s)

    def quit_at_once(self) -> None:
        """Make the server stop by itself, to recover at its next start; from any thread."""
        if (process := self._process) is not None:
            process.send_signal(signal.SIGQUIT)

    async def _bury(self) -> None:
        """End what a dead postmaster left: its processes hold the shared memory."""
        await self._reap()
        await stop_cluster(self._cluster.path, None, timeout_s=1.0)

    async def _reap(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with trio.move_on_after(0.5, shield=True):
                await process.wait()

    def _let_reach(self, user: ServerUser) -> None:
        program = binary("postgres")
        user.let_reach(self._cluster.data_dir, log=self._log)
        user.let_reach(program.parent.parent, log=self._log)
        user.let_read(program.parent.parent, sample=program, log=self._log)

    async def _clear_up(self) -> None:
        """End what a killed Holdfast left running, and remove what would look like a server."""
        cluster = self._cluster
        said = cluster.postmaster()
        orphans = await trio.to_thread.run_sync(cluster_processes, cluster.path)
        if orphans:
            postmaster = said.pid if said is not None and said.pid in orphans else None
            self._log.warning("postgres_orphan_found", pid=postmaster, processes=len(orphans))
            await stop_cluster(cluster.path, postmaster, timeout_s=_ORPHAN_STOP_S)
            if await trio.to_thread.run_sync(cluster_processes, cluster.path):
                raise EmbeddedPostgresError(
                    f"a PostgreSQL left running in {cluster.path} cannot be stopped"
                )
        if said is None or _is_alive(said.pid):
            # A server that was killed while starting may have written nothing; or the pid now
            # belongs to another program, or an unreaped zombie. PostgreSQL would take either for
            # a server. Otherwise the file stays: it says which shared memory to look for.
            cluster.forget_postmaster()

    async def _spawn(self, user: ServerUser) -> trio.Process:
        cluster = self._cluster
        settings = {
            **self._settings,
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": str(cluster.socket_dir),
            "unix_socket_permissions": "0700",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log_file = cluster.open_log(user)
        try:
            return await trio.lowlevel.open_process(
                [binary("postgres"), "-D", cluster.path, *options],
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                cwd="/",
                env=server_environment(),
                start_new_session=True,
                **user.process_options,
            )
        except OSError as error:
            raise EmbeddedPostgresError(f"cannot start PostgreSQL: {error}") from error
        finally:
            os.close(log_file)

    async def _wait_ready(self, process: trio.Process, left: Postmaster | None) -> None:
        """Wait until the server reports that it is ready.

        ``left`` is an earlier server's report, perhaps with the same pid: in a container each
        start gets the same ones.
        """
        started = trio.current_time()
        report_s = _READY_REPORT_S
        while True:
            said = self._cluster.postmaster()
            if said is not None and said != left and said.pid == process.pid and said.ready:
                return
            if process.poll() is not None:
                said_in = self._cluster.log_path
                why = f"{said_in} says why{self._cluster.scarce_room()}"
                raise EmbeddedPostgresError(f"PostgreSQL did not start; {why}")
            now = trio.current_time()
            if now > started + self._start_timeout_s:
                raise EmbeddedPostgresError(
                    f"PostgreSQL was not ready within {self._start_timeout_s:g} s"
                )
            if now > started + report_s:
                self._log.info("postgres_starting", seconds=round(now - started, 1))
                report_s *= 2
            await trio.sleep(_READY_POLL_S)


def running_dsn(data_dir: Path) -> str | None:
    """Return the DSN of the server that a living Holdfast runs in this data directory, if any."""
    cluster = Cluster.at(data_dir)
    said = cluster.postmaster()
    if said is None or not said.ready or not is_locked(cluster.lock_path):
        return None
    if said.pid not in cluster_processes(cluster.path):
        return None
    return socket_dsn(said.socket_dir, user=SUPERUSER, database=DATABASE, port=PORT)


class Reached(NamedTuple):
    """A server of a data directory: how to connect, and whether another process runs it."""

    dsn: str
    anothers: bool


@asynccontextmanager
async def embedded_postgres(
    data_dir: Path,
    *,
    log: FilteringBoundLogger,
    settings: Mapping[str, str] | None = None,
) -> AsyncGenerator[str, None]:
    """Yield the DSN of the embedded server of a data directory; as `reach_postgres`."""
    async with reach_postgres(data_dir, log=log, settings=settings) as reached:
        yield reached.dsn


@asynccontextmanager
async def reach_postgres(
    data_dir: Path,
    *,
    log: FilteringBoundLogger,
    settings: Mapping[str, str] | None = None,
) -> AsyncGenerator[Reached, None]:
    """Provide the embedded server of a data directory for the length of the block.

    A server already running there is used, and left running; otherwise one is started, and
    stopped at the end. For operator's tools that may run with or without a server.

    Raises:
        AlreadyServed: the directory is in use, and no server became ready within 10 s.
        EmbeddedPostgresError: one starting there did not, or as `EmbeddedPostgres.start`.
        DataDirectoryError: as `EmbeddedPostgres.start`.
    """
    server = EmbeddedPostgres(data_dir, log=log, settings=settings)
    try:
        yield await _start_or_attach(server, data_dir)
    finally:
        await server.stop()


async def _start_or_attach(server: EmbeddedPostgres, data_dir: Path) -> Reached:
    deadline = trio.current_time() + _ATTACH_TIMEOUT_S
    while True:
        try:
            await server.start()
        except AlreadyServed:
            # Its server may be about to be ready, or about to stop.
            dsn = await trio.to_thread.run_sync(running_dsn, data_dir)
            if dsn is not None:
                return Reached(dsn, anothers=True)
            if trio.current_time() > deadline:
                cluster = Cluster.at(data_dir)
                if await trio.to_thread.run_sync(cluster_processes, cluster.path):
                    raise EmbeddedPostgresError(
                        f"the PostgreSQL in {cluster.data_dir} is not ready yet; wait for it "
                        f"({cluster.log_path} shows its progress)"
                    ) from None
                raise
            await trio.sleep(_LOCK_RETRY_S)
        else:
            return Reached(server.dsn, anothers=False)


async def _lock_patiently(cluster: Cluster) -> DirectoryLock:
    """Take the lock; a process that only checks whether it is held has it for a moment."""
    for _ in range(_LOCK_ATTEMPTS - 1):
        try:
            return DirectoryLock.acquire(cluster.lock_path)
        except AlreadyServed:
            await trio.sleep(_LOCK_RETRY_S)
    return DirectoryLock.acquire(cluster.lock_path)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True
