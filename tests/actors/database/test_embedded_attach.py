"""Tools beside the embedded PostgreSQL: they use the running server, or one of their own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import trio

from actors.database import embedded as module
from actors.database.directory_lock import DirectoryLock
from actors.database.embedded import embedded_postgres, running_dsn
from actors.database.errors import AlreadyServed, EmbeddedPostgresError
from actors.database.processes import cluster_processes
from tests.actors.database.embedding import server_on
from tests.actors.database.support import select_one
from tests.postgres import TEST_SETTINGS, quiet_log, run_script

if TYPE_CHECKING:
    from pathlib import Path


async def test_embedded_postgres_starts_and_stops(data_dir: Path) -> None:
    """If no server runs, one runs for the block."""
    async with embedded_postgres(data_dir, log=quiet_log(), settings=TEST_SETTINGS) as dsn:
        assert running_dsn(data_dir) == dsn
        assert await run_script(dsn, select_one) == 1
    assert cluster_processes(data_dir / "postgres") == frozenset()
    assert running_dsn(data_dir) is None


async def test_embedded_postgres_attaches(data_dir: Path) -> None:
    """A running server is used and left running, even if it is only about to be ready."""
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
    """A directory that is held but not served yet is checked again until it is."""
    answers = iter([None, "the DSN"])

    def later(_data_dir: Path) -> str | None:
        return next(answers)

    monkeypatch.setattr(module, "running_dsn", later)
    lock = DirectoryLock.acquire(data_dir / "holdfast.lock")
    async with embedded_postgres(data_dir, log=quiet_log()) as dsn:
        assert dsn == "the DSN"
    lock.release()


async def test_embedded_postgres_gives_up(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a process holds the directory and no server comes, its pid is reported."""
    monkeypatch.setattr(module, "_ATTACH_TIMEOUT_S", 0.1)
    lock = DirectoryLock.acquire(data_dir / "holdfast.lock")
    with pytest.raises(AlreadyServed, match=f"pid {os.getpid()}"):
        async with embedded_postgres(data_dir, log=quiet_log()):
            pytest.fail("entered")
    lock.release()


async def test_embedded_postgres_leaves_a_recovery_the_time_it_needs(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a server is merely not ready, no message says to end it: it would start over."""
    monkeypatch.setattr(module, "_ATTACH_TIMEOUT_S", 0.1)

    def not_yet(_data_dir: Path) -> str | None:
        return None

    monkeypatch.setattr(module, "running_dsn", not_yet)
    server = server_on(data_dir)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        with pytest.raises(
            EmbeddedPostgresError, match=r"not ready yet; wait for it.*postgres\.log"
        ):
            async with embedded_postgres(data_dir, log=quiet_log()):
                pytest.fail("entered")
        await server.stop()


async def test_embedded_postgres_gives_the_body_s_own_error(data_dir: Path) -> None:
    """The body's exception comes out bare, and the server is stopped."""
    with pytest.raises(LookupError):
        async with embedded_postgres(data_dir, log=quiet_log(), settings=TEST_SETTINGS):
            raise LookupError
    assert cluster_processes(data_dir / "postgres") == frozenset()


def test_running_dsn_of_nothing(tmp_path: Path) -> None:
    """Without data there is no server."""
    assert running_dsn(tmp_path) is None


async def test_running_dsn_of_a_lying_note(data_dir: Path) -> None:
    """A note that names a process other than this directory's server is not believed."""
    note = data_dir / "postgres" / "postmaster.pid"
    note.write_text(f"{os.getpid()}\n{data_dir}\n1\n5432\n{data_dir}\n\n  1 2\nready   \n")
    lock = DirectoryLock.acquire(data_dir / "holdfast.lock")
    assert running_dsn(data_dir) is None
    lock.release()
    note.unlink()
