"""Fixtures: one server process per module, with a quick world and frequent heartbeats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.app.streams.clients import QUICK
from tests.e2e.players import client
from tests.e2e.server import Server, serving
from tests.postgres import reachable_directory

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from bench.wire import Client


@pytest.fixture(scope="module")
def server(database_dsn: str) -> Iterator[Server]:
    """Run one server for all tests of a module, on a database of its own.

    Whatever the tests did to it, it must end in order without an unforeseen error.
    """
    with (
        reachable_directory() as directory,
        serving(directory, HOLDFAST_DATABASE__DSN=database_dsn, **QUICK) as running,
    ):
        yield running
        assert running.stop() == 0
        assert running.failures() == []


@pytest.fixture
async def http(server: Server) -> AsyncGenerator[Client, None]:
    """Open a client of the module's server."""
    async with client(server.url) as opened:
        yield opened
