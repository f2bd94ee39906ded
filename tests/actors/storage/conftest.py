"""Engines for the tests of Storage: the real one, and its twin in memory."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from actors.database.driver import open_database
from actors.storage.memory import MemoryEngine
from actors.storage.postgres import PostgresEngine
from actors.storage.schema import declared_tables
from tests.actors.storage.support import running_storage
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from actors.storage.engine import Engine
    from tests.actors.storage.support import Running


@asynccontextmanager
async def postgres_engine(
    dsn: str, *, query_timeout_s: float = 10.0
) -> AsyncGenerator[PostgresEngine]:
    """Make an engine on a real database; the island is closed at the end."""
    async with open_database(dsn, connect_timeout_s=5.0, log=quiet_log()) as database:
        engine = PostgresEngine(
            database,
            declared_tables(),
            read_connections=2,
            query_timeout_s=query_timeout_s,
            log=quiet_log(),
        )
        yield engine
        await engine.aclose()


@pytest.fixture(params=["postgres", "memory"])
def backend(request: pytest.FixtureRequest) -> str | None:
    """Name the database of an engine; None for the in-memory one."""
    if request.param == "memory":
        return None
    dsn: str = request.getfixturevalue("database_dsn")
    return dsn


@pytest.fixture
async def engine(backend: str | None) -> AsyncIterator[Engine]:
    """Make an engine of either kind: both must keep the same promises."""
    if backend is None:
        yield MemoryEngine(declared_tables())
        return
    async with postgres_engine(backend) as engine:
        yield engine


@pytest.fixture
async def running(engine: Engine) -> AsyncIterator[Running]:
    """Run a Storage on an engine of either kind."""
    async with running_storage(engine) as running:
        yield running
