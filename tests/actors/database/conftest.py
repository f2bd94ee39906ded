"""Fixtures for the tests of the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.postgres import PostgresServer


@pytest.fixture
async def other_dsn(postgres: PostgresServer) -> str:
    """Make a second database on the same server."""
    return await postgres.create_database_async()
