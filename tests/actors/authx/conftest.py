"""Fixtures for the tests of Authx."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.database.driver import open_database
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.database.driver import Connection


@pytest.fixture
async def connection(database_dsn: str) -> AsyncGenerator[Connection]:
    """Yield a connection to this module's database."""
    async with open_database(database_dsn, log=quiet_log()) as database:
        connection = await database.connect(name="test")
        yield connection
        await connection.aclose()
