"""Fixtures for every test: a real PostgreSQL, and a fresh database in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.postgres import PostgresServer, postgres_server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Run the one PostgreSQL server of this test run."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def database_dsn(postgres: PostgresServer) -> str:
    """Make a fresh database with this program's schema for each test module; give its DSN."""
    return postgres.create_database()
