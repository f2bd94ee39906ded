"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.players import Player, client
from tests.e2e.server import serving
from tests.postgres import reachable_directory

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from bench.wire import Client
    from tests.e2e.server import Server
    from tests.postgres import PostgresServer


@pytest.fixture(scope="package")
def server(postgres: PostgresServer) -> Iterator[Server]:
    """Run the one server shared by all tests that do not need their own.

    Whatever the tests did to it, it must shut down cleanly and have logged no unexpected failure.
    """
    dsn = postgres.create_database()
    with reachable_directory() as place, serving(place, HOLDFAST_DATABASE__DSN=dsn) as running:
        yield running
        assert running.stop() == 0
        assert running.failures() == []


@pytest.fixture
async def http(server: Server) -> AsyncGenerator[Client, None]:
    """Open a client for the server."""
    async with client(server.url) as opened:
        yield opened


@pytest.fixture
async def player(http: Client) -> Player:
    """Return a new player."""
    return await Player.join(http)
