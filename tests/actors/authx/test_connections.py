"""Own connections: few, opened on demand, left alone for a while after a failure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
import trio
import trio.testing

from actors.authx.backoff import Backoff
from actors.authx.connections import Connections
from actors.database.errors import ConnectionLost, DatabaseTimeout, DatabaseUnavailable
from tests.actors.authx.fakes import FakeDatabase
from tests.actors.authx.support import CHEAP

SETTINGS = replace(
    CHEAP,
    database_connections=2,
    reconnect_backoff_ms=100,
    reconnect_backoff_max_ms=400,
    query_timeout_ms=3000,
)


def script(value: object) -> Any:
    """Make a script: the fake database answers with it."""
    return cast("Any", value)


async def test_connections_are_few_and_kept(autojump_clock: trio.testing.MockClock) -> None:
    """However many scripts come at once, they share the configured number of connections."""
    database = FakeDatabase()
    database.query_s = 1
    async with Connections(database.as_database(), SETTINGS) as connections:
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(connections.run, script(number))
        assert trio.current_time() == 5
        assert len(database.connections) == 2
        assert sorted(database.ran) == list(range(10))
    assert database.open == []


async def test_connections_that_were_lost_are_replaced_and_the_script_run_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A connection lost midway costs its caller nothing; lost twice, it is reported."""
    database = FakeDatabase()
    async with Connections(database.as_database(), SETTINGS) as connections:
        await connections.run(script("first"))
        database.losses = 1
        assert await connections.run(script("second")) == "second"
        assert len(database.connections) == 2
        database.losses = 2
        with pytest.raises(ConnectionLost):
            await connections.run(script("third"))
        assert await connections.run(script("fourth")) == "fourth"
        assert database.ran == ["first", "second", "fourth"]


async def test_connections_that_one_restart_ended_cost_nobody_anything(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Several idle ones whose end nobody has read yet: the script is retried on a new one."""
    database = FakeDatabase()
    database.query_s = 1
    async with Connections(database.as_database(), SETTINGS) as connections:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connections.run, script("first"))
            nursery.start_soon(connections.run, script("second"))
        assert len(database.open) == 2
        for connection in database.open:
            connection.ended_by_server = True
        assert await connections.run(script("third")) == "third"
        assert len(database.open) == 1


async def test_connections_that_broke_while_idle_are_not_used(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """An idle connection that is gone is replaced before anything is sent over it."""
    database = FakeDatabase()
    async with Connections(database.as_database(), SETTINGS) as connections:
        await connections.run(script(1))
        database.connections[0].terminate()
        await connections.run(script(2))
        assert len(database.connections) == 2
        assert len(connections._all) == 1


async def test_connections_leave_a_database_that_is_away_alone_for_a_while(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Between attempts callers are refused at once; pauses double up to their bound."""
    database = FakeDatabase()
    database.away = True
    async with Connections(database.as_database(), SETTINGS) as connections:
        for _ in range(200):
            before = trio.current_time()
            with pytest.raises(DatabaseUnavailable):
                await connections.run(script(1))
            assert trio.current_time() == before
            await trio.sleep(0.01)
        gaps = [b - a for a, b in zip(database.attempts, database.attempts[1:], strict=False)]
        assert gaps == pytest.approx([0.1, 0.2, 0.4, 0.4, 0.4, 0.4], abs=0.011)
        database.away = False
        await trio.sleep(0.4)
        assert await connections.run(script(2)) == 2


async def test_connections_to_a_frozen_database_hold_nobody_for_long(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Scripts in progress wait for their timeout; those behind them are refused right after it."""
    database = FakeDatabase()
    database.frozen = True
    async with Connections(database.as_database(), SETTINGS) as connections:
        failures: list[type[Exception]] = []

        async def attempt() -> None:
            try:
                await connections.run(script(1))
            except (DatabaseTimeout, DatabaseUnavailable) as error:
                failures.append(type(error))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(attempt)
        assert trio.current_time() == 3
        assert failures == [DatabaseTimeout] * 2 + [DatabaseUnavailable] * 18


async def test_connections_are_opened_at_once_after_a_script_that_may_be_long(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A long script's timeout says nothing about the database: the next one need not wait."""
    database = FakeDatabase()
    async with Connections(database.as_database(), SETTINGS) as connections:
        database.frozen = True
        with pytest.raises(DatabaseTimeout):
            await connections.run(script("erasure"), may_be_long=True)
        database.frozen = False
        assert await connections.run(script("login")) == "login"


async def test_connections_are_closed_when_their_user_is_cancelled(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """No connection outlives its context, busy or idle."""
    database = FakeDatabase()
    database.query_s = 10
    with trio.move_on_after(1):
        async with Connections(database.as_database(), SETTINGS) as connections:
            await connections.run(script(1))
    assert len(database.connections) == 1
    assert database.open == []


async def test_backoff_is_bounded_and_forgets_after_a_success(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Pauses double up to their bound; after a success they start over."""
    backoff = Backoff(SETTINGS)
    assert backoff.remaining_s == 0
    pauses: list[float] = []
    for _ in range(60):
        backoff.failed()
        pauses.append(backoff.remaining_s)
    assert pauses[:4] == pytest.approx([0.1, 0.2, 0.4, 0.4])
    assert max(pauses) == pytest.approx(0.4)
    backoff.succeeded()
    backoff.failed()
    assert backoff.remaining_s == pytest.approx(0.1)
    await trio.sleep(0.1)
    assert backoff.remaining_s == 0
