"""Fixtures for the pages: a server for each ruleset, one browser, visitors and their windows."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.e2e.server import serving
from tests.postgres import reachable_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser

    from tests.browser.visitor import Visitor
    from tests.e2e.server import Server
    from tests.postgres import PostgresServer

CHROMIUM = os.environ.get("HOLDFAST_BROWSER")

# `make test` has no browser; `make test-browser` installs one first.
collect_ignore_glob = [] if CHROMIUM else ["test_*.py"]

# The browser itself must not use the network, or wait for a screen.
FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    *(("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()),
)


@contextmanager
def plain_event_loops() -> Iterator[None]:
    """Use asyncio's own event loop here, not the one of trio-asyncio's policy."""
    policy = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
    try:
        yield
    finally:
        asyncio.set_event_loop_policy(policy)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Run one browser for all tests."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - `make test` has none

    with ExitStack() as stack:
        with plain_event_loops():
            playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def world(postgres: PostgresServer) -> Iterator[Callable[[str], Server]]:
    """Yield a function that starts a shipped ruleset's server on demand; one runs at a time."""
    with ExitStack() as running:
        servers: dict[str, Server] = {}

        def serve(ruleset: str) -> Server:
            if ruleset not in servers:
                running.close()
                servers.clear()
                place = running.enter_context(reachable_directory())
                settings = {
                    "HOLDFAST_DATABASE__DSN": postgres.create_database(),
                    "HOLDFAST_WORLD__RULESET": ruleset,
                    "HOLDFAST_WORLD__SPEED": "5",
                }
                servers[ruleset] = running.enter_context(serving(place, **settings))
            return servers[ruleset]

        yield serve


@pytest.fixture(scope="module")
def server(world: Callable[[str], Server]) -> Server:
    """Return the server that most of these tests use."""
    return world("tutorial")


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """Yield a function that opens windows on a server; at the end none may have met an error."""
    from tests.browser.visitor import Visitor  # noqa: PLC0415 - `make test` has no browser

    with ExitStack() as open_windows:

        def arrive(url: str, *, size: str = "desktop", scheme: str = "light") -> Visitor:
            visitor = Visitor.arrive(browser, url, size=size, scheme=scheme)
            open_windows.callback(visitor.leave)
            return visitor

        yield arrive
