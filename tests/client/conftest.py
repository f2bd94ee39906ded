"""A real server for the client's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.server import Server, serving
from tests.postgres import reachable_directory

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server(database_dsn: str) -> Iterator[Server]:
    """Run one server for all tests of a module, on its own database."""
    with (
        reachable_directory() as directory,
        serving(directory, HOLDFAST_DATABASE__DSN=database_dsn) as running,
    ):
        yield running
        assert running.stop() == 0
        assert running.failures() == []
