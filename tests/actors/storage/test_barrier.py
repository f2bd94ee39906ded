"""A barrier: answered when no unit handed over before it can take effect any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from actors.storage import StorageSettings
from bus import Overloaded
from tests.actors.storage.support import (
    FOREVER_S,
    FlakyEngine,
    new_world,
    outcome_of,
    running_storage,
    submit,
    world_ticks,
)

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_barrier_is_answered_behind_every_unit_before_it(autojump_clock: MockClock) -> None:
    """This holds for units in doubt, however long; it is no unit, and none waits for it."""
    engine = FlakyEngine()
    async with running_storage(engine, StorageSettings(wait_seconds_max=60)) as running:
        engine.away = engine.in_doubt = True
        before = submit(running, new_world("before", 1))
        passed: list[float] = []

        async def pass_barrier() -> None:
            await running.client.wait_settled()
            passed.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(pass_barrier)
            await trio.sleep(10)
            after = submit(running, new_world("after", 2))
            assert not passed
            engine.away = False
            assert await outcome_of(before) is None
        assert await outcome_of(after) is None
        assert passed
        assert await world_ticks(running, "before", "after") == [1, 2]
        assert running.storage.statistics().units_committed == 2


async def test_barrier_alone_asks_the_engine_and_is_no_commit(autojump_clock: MockClock) -> None:
    """An engine that lost its connection first has to learn the outcome of its last commit."""
    engine = FlakyEngine()
    async with running_storage(engine) as running:
        await running.client.wait_settled()
        assert [size for _, size in engine.attempts] == [0]
        assert running.storage.statistics().commits == 0
        engine.away = True
        with pytest.raises(Overloaded):
            await running.client.wait_settled()
        engine.away = False
        await submit(running, new_world("goes on")).wait(FOREVER_S)
