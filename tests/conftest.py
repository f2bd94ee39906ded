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


# How long an example takes says nothing about the code on a machine that does other things too.
settings.register_profile(
    "holdfast", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("holdfast")

# Programs that the tests start keep back what they write as they do for users: images and build
# machines often have this set, and with it nothing is left to fail at a program's end.
os.environ.pop("PYTHONUNBUFFERED", None)


def pytest_collection_finish() -> None:
    """Leave what was collected out of every search for garbage: it lives as long as the run.

    To look through it took a sixth of the time, most of it for servers, which collect when they
    start.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def foreground() -> None:
    """Heed signals as in the foreground, wherever the tests run.

    A shell has them ignored for what it runs in the background, and who is started so stays deaf.
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
    """Make a fresh database with this program's schema for each test module; give its DSN."""
    return postgres.create_database()


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a folder for one test's own server, which the user of PostgreSQL can reach."""
    with reachable_directory() as directory:
        yield directory
