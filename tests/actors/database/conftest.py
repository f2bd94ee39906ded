"""Fixtures for the tests of the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from actors.database.backup import back_up
from actors.database.directory_lock import DirectoryLock
from actors.database.processes import cluster_processes
from tests.actors.database.embedding import serving
from tests.actors.database.lists import Lists
from tests.actors.database.worlds import fill
from tests.postgres import reachable_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres import PostgresServer


@pytest.fixture
async def dsn(postgres: PostgresServer) -> str:
    """Make a database of its own for a test, with this program's schema."""
    return await postgres.create_database_async()


@pytest.fixture
async def empty_dsn(postgres: PostgresServer) -> str:
    """Make a database without any schema."""
    return await postgres.create_database_async(migrated=False)


@pytest.fixture
async def world_dsn(postgres: PostgresServer) -> str:
    """Make a database with a world in it."""
    dsn = await postgres.create_database_async()
    await fill(dsn)
    return dsn


@pytest.fixture
async def file(world_dsn: str, tmp_path: Path) -> Path:
    """Make a backup of that world."""
    await back_up(world_dsn, tmp_path / "world.dump")
    return tmp_path / "world.dump"


@pytest.fixture
def lists(monkeypatch: pytest.MonkeyPatch) -> Lists:
    """Give every file system ACLs."""
    return Lists.installed(monkeypatch)


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """Make a directory for all data directories of a module."""
    with reachable_directory() as path:
        yield path


@pytest.fixture(scope="module")
def pristine(directory: Path) -> Path:
    """Make a data directory with a complete cluster, to be copied."""

    async def make() -> None:
        async with serving(directory / "pristine"):
            pass

    trio.run(make)
    return directory / "pristine"


@pytest.fixture
def data_dir(pristine: Path) -> Iterator[Path]:
    """Yield a data directory with a complete cluster, shared by tests: leave nothing behind."""
    yield pristine
    assert cluster_processes(pristine / "postgres") == frozenset()
    DirectoryLock.acquire(pristine / "holdfast.lock").release()
