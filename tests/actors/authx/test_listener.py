"""The listener: hears of changes, and knows when it cannot."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import trio
from structlog.testing import LogCapture
from trio.testing import wait_all_tasks_blocked

from actors.authx.directory import AccountCache
from actors.authx.listener import ACCOUNTS_CHANNEL, SESSIONS_CHANNEL, AccountListener
from actors.authx.memory import Memory
from actors.authx.sessions import SessionCache
from tests.actors.authx.fakes import FakeDatabase
from tests.actors.authx.support import CHEAP
from tests.actors.authx.test_directory import named
from tests.actors.authx.test_session_cache import state_of
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from structlog.typing import FilteringBoundLogger
    from trio.testing import MockClock

SETTINGS = replace(
    CHEAP,
    listen_probe_ms=1000,
    query_timeout_ms=3000,
    reconnect_backoff_ms=100,
    reconnect_backoff_max_ms=400,
)


def remembering() -> Memory:
    """Make an empty cache."""
    return Memory(SessionCache(10), AccountCache(10))


@asynccontextmanager
async def listening(
    database: FakeDatabase,
    memory: Memory | None = None,
    *,
    on_change: Callable[[], None] = lambda: None,
    log: FilteringBoundLogger | None = None,
) -> AsyncGenerator[AccountListener]:
    """Run a listener."""
    listener = AccountListener(
        database.as_database(),
        memory or remembering(),
        SETTINGS,
        on_change=on_change,
        log=log or quiet_log(),
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.run)
        yield listener
        nursery.cancel_scope.cancel()


async def test_listener_drops_the_sessions_of_an_account_that_is_announced(
    autojump_clock: MockClock,
) -> None:
    """The payload is the account's id."""
    database, memory = FakeDatabase(), remembering()
    cache = memory.sessions
    async with listening(database, memory) as listener:
        await trio.sleep(0.1)
        cache.put(state_of("s1", "ada"))
        cache.put(state_of("s2", "bob"))
        memory.accounts.put(named("ada", "ada"))
        memory.accounts.put(named("bob", "bob"))
        (connection,) = database.connections
        announce = connection.callbacks[ACCOUNTS_CHANNEL]
        announce("ada")
        announce("nonsense")
        assert cache.get("s1") is None
        assert cache.get("s2") is not None
        assert memory.accounts.get("ada") is None
        assert memory.accounts.get("bob") is not None
    assert database.open == []
    assert not listener.listening


async def test_listener_has_nobody_look_at_all_accounts_where_sessions_ended(
    autojump_clock: MockClock,
) -> None:
    """Players log out all the time; suspensions can change only if an account does."""
    database, memory, looks = FakeDatabase(), remembering(), list[float]()
    async with listening(database, memory, on_change=lambda: looks.append(trio.current_time())):
        await trio.sleep(0.1)
        looks.clear()
        memory.sessions.put(state_of("s1", "ada"))
        memory.sessions.put(state_of("s2", "bob"))
        (connection,) = database.connections
        connection.callbacks[SESSIONS_CHANNEL]("ada")
        assert memory.sessions.get("s1") is None
        assert memory.sessions.get("s2") is not None
        assert not looks
        connection.callbacks[ACCOUNTS_CHANNEL]("bob")
        assert len(looks) == 1


async def test_listener_that_lost_its_connection_forgets_everything_when_it_is_back(
    autojump_clock: MockClock,
) -> None:
    """Missed announcements are unknown: the loss is known at once, and the caches are cleared."""
    database, memory = FakeDatabase(), remembering()
    cache = memory.sessions
    async with listening(database, memory) as listener:
        await trio.sleep(0.5)
        assert listener.listening
        cache.put(state_of("s1"))
        memory.accounts.put(named("ada"))
        database.connections[0].terminate()
        assert not listener.listening
        await trio.sleep(0.15)
        assert listener.listening
        assert len(cache) == len(memory.accounts) == 0


async def test_listener_notices_a_database_that_fell_silent(autojump_clock: MockClock) -> None:
    """A frozen server is detected by the next probe and its timeout."""
    database = FakeDatabase()
    async with listening(database) as listener:
        await trio.sleep(0.5)
        database.frozen = database.away = True
        await trio.sleep(1 + 3)
        assert not listener.listening


async def test_listener_tries_again_with_bounded_pauses_and_tells_once(
    autojump_clock: MockClock,
) -> None:
    """During an outage the listener retries now and then, with one warning."""
    database, logged = FakeDatabase(), LogCapture()
    database.away = True
    async with listening(database, log=quiet_log(logged)) as listener:
        await trio.sleep(2)
        await wait_all_tasks_blocked()
        assert database.attempts[:5] == [0, *(sum([0.1, 0.2, 0.4, 0.4][:n]) for n in (1, 2, 3, 4))]
        levels = [entry["log_level"] for entry in logged.entries]
        assert levels.count("warning") == 1
        database.away = False
        await trio.sleep(0.5)
        assert listener.listening
