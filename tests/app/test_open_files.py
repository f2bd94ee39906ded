"""Open files: as many as the system allows, and a warning if those are too few."""

from __future__ import annotations

import resource
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
import trio
from structlog.testing import LogCapture

from app.http.settings import HttpSettings
from app.open_files import RESERVE, allow_open_files, files_needed, within_open_files
from tests.app.metrics.support import running

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

SETTINGS = HttpSettings(connections_max=10_000)
TLS = replace(SETTINGS, tls=(Path("certificate"), Path("key")))


@dataclass
class System:
    """A system with its own limits, which may refuse to change them."""

    soft: int
    hard: int
    refusal: Exception | None = None

    def getrlimit(self, which: int) -> tuple[int, int]:
        """Return the limits."""
        assert which == resource.RLIMIT_NOFILE
        return self.soft, self.hard

    def setrlimit(self, which: int, limits: tuple[int, int]) -> None:
        """Change them."""
        assert which == resource.RLIMIT_NOFILE
        if self.refusal is not None:
            raise self.refusal
        self.soft, self.hard = limits


def allowed(
    monkeypatch: pytest.MonkeyPatch, system: System, settings: HttpSettings
) -> list[tuple[int, int]]:
    """Start on a system; return limit and need of each warning."""
    monkeypatch.setattr(resource, "getrlimit", system.getrlimit)
    monkeypatch.setattr(resource, "setrlimit", system.setrlimit)
    capture = LogCapture()
    log: FilteringBoundLogger = structlog.wrap_logger(
        None, processors=[capture], wrapper_class=structlog.make_filtering_bound_logger(0)
    )
    allow_open_files(settings, log=log)
    assert {entry["event"] for entry in capture.entries} <= {"open_files_scarce"}
    assert {entry["connections"] for entry in capture.entries} <= {
        within_open_files(settings).connections_max
    }
    return [(entry["limit"], entry["needed"]) for entry in capture.entries]


def test_connections_with_tls_need_three_files_each() -> None:
    """There is a reserve besides, for the database and whatever else the program opens."""
    assert files_needed(SETTINGS) == 10_000 + RESERVE
    assert files_needed(TLS) == 30_000 + RESERVE


def test_soft_limit_is_raised_to_the_hard_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual soft limit of 1024 is no obstacle if the system allows more."""
    system = System(1_024, 524_288)
    assert allowed(monkeypatch, system, TLS) == []
    assert (system.soft, system.hard) == (524_288, 524_288)


@pytest.mark.parametrize("settings", [SETTINGS, TLS])
def test_too_low_a_limit_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, settings: HttpSettings
) -> None:
    """The operator learns what there is and what would be needed."""
    system = System(1_024, 4_096)
    assert allowed(monkeypatch, system, settings) == [(4_096, files_needed(settings))]
    assert allowed(monkeypatch, System(1_024, 4_096), replace(settings, connections_max=100)) == []


@pytest.mark.parametrize("refusal", [ValueError("not allowed"), OSError("not allowed")])
def test_limit_that_cannot_be_raised_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, refusal: Exception
) -> None:
    """The soft limit then applies."""
    system = System(1_024, 524_288, refusal)
    assert allowed(monkeypatch, system, SETTINGS) == [(1_024, files_needed(SETTINGS))]


def test_no_limit_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some systems have none."""
    system = System(1_024, resource.RLIM_INFINITY)
    assert allowed(monkeypatch, system, TLS) == []
    assert system.soft == resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("limit", "settings", "served"),
    [
        (4_096, SETTINGS, 4_096 - RESERVE),
        (4_096, TLS, (4_096 - RESERVE) // 3),
        (256, SETTINGS, 128),
        (256, TLS, 42),
        (2, TLS, 1),
        (10_000 + RESERVE, SETTINGS, 10_000),
        (resource.RLIM_INFINITY, TLS, 10_000),
    ],
)
def test_no_more_connections_are_served_than_there_are_files_for(
    monkeypatch: pytest.MonkeyPatch, limit: int, settings: HttpSettings, served: int
) -> None:
    """If files are scarce some are left: the reserve, or half of them."""
    monkeypatch.setattr(resource, "getrlimit", System(limit, limit).getrlimit)
    assert within_open_files(settings) == replace(settings, connections_max=served)


async def test_server_keeps_files_for_itself_whoever_holds_connections(
    monkeypatch: pytest.MonkeyPatch, database_dsn: str
) -> None:
    """A connection beyond the available files is refused, and takes none."""
    monkeypatch.setattr(resource, "getrlimit", System(8, 8).getrlimit)
    async with running(database_dsn) as server:
        address = server.client.base_url.host, server.client.base_url.port or 0
        async with AsyncExitStack() as held:
            for _ in range(8 // 2):
                stream = await held.enter_async_context(await trio.open_tcp_stream(*address))
                await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
            stream = await held.enter_async_context(await trio.open_tcp_stream(*address))
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 503")
