"""Embedded servers on data directories that are a test's own."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from actors.database.embedded import EmbeddedPostgres
from tests.postgres import TEST_SETTINGS, quiet_log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from structlog.testing import LogCapture


def server_on(data_dir: Path, capture: LogCapture | None = None) -> EmbeddedPostgres:
    """Make a server whose data nobody depends on."""
    return EmbeddedPostgres(data_dir, log=quiet_log(capture), settings=TEST_SETTINGS)


def names_in(directory: Path) -> set[str]:
    """List the names in a directory."""
    return {each.name for each in directory.iterdir()}


@asynccontextmanager
async def serving(
    data_dir: Path, capture: LogCapture | None = None
) -> AsyncGenerator[EmbeddedPostgres, None]:
    """Run a server for as long as the block lasts."""
    server = server_on(data_dir, capture)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


def no_note(_self: object) -> None:
    """Stand in for the note of a server that never becomes ready."""
