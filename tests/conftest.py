"""Fixtures for every test: a real PostgreSQL, and a fresh database in it."""

from __future__ import annotations

import gc
import os
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import PostgresServer, postgres_server, reachable_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# On a machine that does other work too, how long an example takes says nothing about the code.
settings.register_profile(
    "holdfast", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("holdfast")

# Programs that the tests start buffer their output as they do for users: images and build machines
# often set this variable, and then no write is left that could fail at a program's exit.
os.environ.pop("PYTHONUNBUFFERED", None)


def pytest_collection_finish() -> None:
    """Exclude the collected tests from garbage collection: they live as long as the run.

    Scanning them took a sixth of the time, most of it for servers, which collect when they start.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def foreground() -> None:
    """Handle signals as a foreground process does, wherever the tests run.

    A shell makes its background jobs ignore them, and a process started that way keeps doing so.
    """
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGQUIT, signal.SIG_DFL),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Run the one PostgreSQL server of this test run."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def database_dsn(postgres: PostgresServer) -> str:
    """Make a fresh database with this program's schema for each test module; return its DSN."""
    return postgres.create_database()


@pytest.fixture
def place() -> Iterator[Path]:
    """Yield a folder for one test's own server, which the user of PostgreSQL can reach."""
    with reachable_directory() as directory:
        yield directory
