"""The embedded PostgreSQL: run, stopped, killed, and run again."""

from __future__ import annotations

import os
import shutil
import signal
from typing import TYPE_CHECKING

import pytest
import trio
from structlog.testing import LogCapture

from actors.database.cluster import Cluster
from actors.database.directory_lock import DirectoryLock, is_locked
from actors.database.embedded import embedded_postgres
from actors.database.errors import (
    AlreadyServed,
    DataDirectoryError,
    EmbeddedPostgresDied,
    EmbeddedPostgresError,
)
from actors.database.processes import cluster_processes
from tests.actors.database.embedding import names_in, no_note, server_on, serving
from tests.actors.database.support import select_one
from tests.postgres import frozen, quiet_log, run_script

if TYPE_CHECKING:
    from pathlib import Path

    from actors.database.session import Session

BUSY_S = 1.0
"""Slack for a busy machine in a time bound."""


# --- starting and stopping -------------------------------------------------------------------


async def test_run_in_a_new_directory(directory: Path) -> None:
    """The first start makes the cluster, reports when it is ready, and a stop ends the run."""
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
    """Data written before a stop is there after the next start, under the same DSN."""
    dsns: list[str] = []
    for sql in ("create table answer as select 42 as n", "select n from answer"):
        async with serving(data_dir) as server:
            dsns.append(server.dsn)
            value = await run_script(server.dsn, lambda session, sql=sql: session.fetchval(sql))
    assert value == 42
    assert len(set(dsns)) == 1


async def test_run_is_durable_by_default(data_dir: Path) -> None:
    """Without settings from the composer, nothing that makes a commit durable is off."""
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
    """A stop also ends a run whose server is not ready yet, without an error."""
    monkeypatch.setattr(Cluster, "postmaster", no_note)
    server = server_on(data_dir)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run)
        with trio.fail_after(5):
            while server.pid is None:
                await trio.lowlevel.checkpoint()
        await server.stop()


async def test_server_that_is_not_waited_for_stops_by_itself(data_dir: Path) -> None:
    """A process that has no time left leaves no server behind; without one nothing happens."""
    async with serving(data_dir) as server:
        server.quit_at_once()
        with trio.fail_after(10):
            while cluster_processes(data_dir / "postgres"):  # noqa: ASYNC110 - not our children
                await trio.sleep(0.01)
        server.quit_at_once()
    server.quit_at_once()


async def test_stop_without_a_start(data_dir: Path) -> None:
    """Stopping does nothing if nothing runs."""
    await server_on(data_dir).stop()


async def test_stop_of_a_frozen_server(data_dir: Path) -> None:
    """A frozen server is killed soon after the deadline, and committed data survives."""
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


async def test_run_after_the_end_starts_nothing(data_dir: Path) -> None:
    """Ended between two runs, as while it waits for a restart, it starts no further server."""
    server = server_on(data_dir)
    await server.start()
    await server.end()
    await server.run()
    assert cluster_processes(data_dir / "postgres") == frozenset()
    assert not is_locked(data_dir / "holdfast.lock")


async def test_run_with_the_socket_elsewhere(directory: Path, pristine: Path) -> None:
    """A data directory with a long path is served through a private socket elsewhere."""
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
    """A killed server ends the run with an error; the lock is kept, and the next run serves."""
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
    """If a served world's disk is gone, the run waits: an empty world never takes its place."""
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
