"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.players import client
from tests.e2e.server import Server, serving
from tests.postgres import reachable_directory

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path

    from bench.wire import Client


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a directory for one test's own server, which the user of PostgreSQL can reach."""
    with reachable_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def server_settings() -> dict[str, str]:
    """Give the settings of the module's server beside the usual ones; a module may override."""
    return {}


@pytest.fixture(scope="module")
def expected_failures() -> frozenset[str]:
    """Give the events that the module's server may log as errors; a module may override."""
    return frozenset()


@pytest.fixture(scope="module")
def server(
    database_dsn: str, server_settings: dict[str, str], expected_failures: frozenset[str]
) -> Iterator[Server]:
    """Run one server for all tests of a module, on a database of its own.

    Whatever the tests did to it, it must end in order and have met nothing unforeseen.
    """
    settings = {"HOLDFAST_DATABASE__DSN": database_dsn, **server_settings}
    with reachable_directory() as directory, serving(directory, **settings) as running:
        yield running
        assert running.stop() == 0
        failures = [
            event for event in running.failures() if event["event"] not in expected_failures
        ]
        assert failures == []


@pytest.fixture
async def http(server: Server) -> AsyncGenerator[Client, None]:
    """Open a client of the module's server."""
    async with client(server.url) as opened:
        yield opened
