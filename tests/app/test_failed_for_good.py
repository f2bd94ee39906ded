"""An actor that fails for good: the server stops, and nobody is left waiting for the actor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import trio
from structlog.testing import LogCapture

from actors.authx.actor import Authx
from actors.storage.postgres import PostgresEngine
from actors.ticker import Ticker
from app.config import load_config
from app.phases import Phases
from app.root import run_server
from app.stopping import EXIT_FAILED, StopRequest
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

    from actors.storage import StorageError
    from actors.storage.engine import Unit
    from actors.ticker.actor import _Clock
    from app.config import Config
    from app.listening import Listening

WAITING = 3
LIMIT_S = 10


class DeafAuthx:
    """Stands in for Authx's `run`: it hears nobody, and fails once it has kept some waiting."""

    def __init__(self) -> None:
        self.waits = 0.0

    async def run(self, authx: Authx, task_status: trio.TaskStatus[None]) -> None:
        """Be ready, let messages gather, and fail."""
        task_status.started()
        mailbox = authx._subscription
        while mailbox.statistics().current_buffer_used < WAITING:  # noqa: ASYNC110 - real sockets
            await trio.sleep(0.005)
        self.waits = trio.current_time()
        raise RuntimeError("broken")


def _without_restarts(database_dsn: str, place: Path) -> Config:
    chosen = {
        "DATABASE__DSN": database_dsn,
        "STORAGE__DATA_DIR": str(place),
        "HTTP__PORT": "0",
        "SUPERVISOR__RESTARTS_MAX": "0",
    }
    return load_config(environ={f"HOLDFAST_{name}": value for name, value in chosen.items()})


async def test_requests_waiting_for_an_actor_that_fails_for_good_are_answered_at_once(
    monkeypatch: pytest.MonkeyPatch, database_dsn: str, place: Path
) -> None:
    """Their clients learn why, in place of a reset once the shutdown has run out of patience."""
    deaf = DeafAuthx()

    async def run(self: Authx, *, task_status: trio.TaskStatus[None]) -> None:
        await deaf.run(self, task_status)

    monkeypatch.setattr(Authx, "run", run)
    config = _without_restarts(database_dsn, place)
    answers: list[int] = []

    async def log_in(url: str) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=LIMIT_S) as client:
            credentials = {"username": "ann", "password": "correct horse"}
            answers.append((await client.post("/v1/sessions", json=credentials)).status_code)

    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:

            def announce(where: Listening) -> None:
                for _ in range(WAITING):
                    nursery.start_soon(log_in, where.url)

            status = await run_server(config, StopRequest(), log=quiet_log(), announce=announce)
            took_s = trio.current_time() - deaf.waits
    assert (status, answers) == (EXIT_FAILED, [503] * WAITING)
    assert took_s < config.shutdown.http_ms / 1000


async def test_what_is_sent_to_an_actor_that_failed_for_good_reaches_no_other(
    monkeypatch: pytest.MonkeyPatch, database_dsn: str, place: Path
) -> None:
    """The Inventories, who get what nobody else claims, do not take it for theirs."""
    broken, asked = trio.Event(), trio.Event()
    commit, reload = PostgresEngine.commit, Ticker._reload

    async def commit_until_broken(
        self: PostgresEngine, units: Sequence[Unit]
    ) -> list[StorageError | None]:
        if broken.is_set():
            raise LookupError("broken")
        return await commit(self, units)

    async def reload_and_tell(self: Ticker, clock: _Clock) -> None:
        await reload(self, clock)
        asked.set()

    async def until_asked(self: Phases) -> None:
        await asked.wait()

    monkeypatch.setattr(PostgresEngine, "commit", commit_until_broken)
    monkeypatch.setattr(Ticker, "_reload", reload_and_tell)
    # The first phase of the shutdown, until the Ticker has asked Storage, which is no more.
    monkeypatch.setattr(Phases, "_http_ended", until_asked)
    config = _without_restarts(database_dsn, place)
    log = LogCapture()
    with trio.fail_after(LIMIT_S):
        status = await run_server(
            config, StopRequest(), log=quiet_log(log), announce=lambda _: broken.set()
        )
    events = [entry["event"] for entry in log.entries]
    assert (status, asked.is_set()) == (EXIT_FAILED, True)
    assert "world_unreadable" in events
    assert "message_not_understood" not in events
