"""Work that crosses into asyncio, and what becomes of it when it is no longer wanted."""

from __future__ import annotations

import asyncio

import pytest
import trio

from actors.database.crossing import Crossing
from actors.database.driver import open_database
from tests.postgres import quiet_log


async def forever() -> str:
    """Work until cancelled."""
    await asyncio.get_running_loop().create_future()
    return "never"


async def test_crossing_gives_result_or_error() -> None:
    """The work's result or exception comes out on Trio's side."""

    async def work(*, fail: bool) -> str:
        await asyncio.sleep(0)
        if fail:
            raise LookupError("mine")
        return "done"

    async with open_database("postgresql://", log=quiet_log()) as database:
        good = Crossing(database._loop, lambda: work(fail=False))
        bad = Crossing(database._loop, lambda: work(fail=True))
        for crossing in (good, bad):
            assert await crossing.wait(deadline=trio.current_time() + 5)
        assert good.result() == "done"
        with pytest.raises(LookupError, match="mine"):
            bad.result()


async def test_crossing_wait_has_a_deadline() -> None:
    """A wait ends at its deadline, cancelled or not, and reports that the work goes on."""
    async with open_database("postgresql://", log=quiet_log()) as database:
        crossing = Crossing(database._loop, forever)
        with trio.CancelScope() as scope:
            scope.cancel()
            assert not await crossing.wait(deadline=trio.current_time() + 0.01)
        await crossing.give_up()
        assert isinstance(crossing.error, asyncio.CancelledError)


async def test_give_up_hands_back_a_result_that_is_there() -> None:
    """A result that came just before the work was given up is handed back, once."""
    unwanted: list[str] = []

    async def work() -> str:
        await asyncio.sleep(0)
        return "late"

    async with open_database("postgresql://", log=quiet_log()) as database:
        crossing = Crossing(database._loop, work, unwanted=unwanted.append)
        await crossing.done.wait()
        await crossing.give_up()
    assert unwanted == ["late"]


async def test_give_up_hands_back_a_result_that_comes() -> None:
    """A result that comes despite the cancellation is handed back, once."""
    unwanted: list[str] = []

    async def work() -> str:
        try:
            return await forever()
        except asyncio.CancelledError:
            return "late"

    async with open_database("postgresql://", log=quiet_log()) as database:
        crossing = Crossing(database._loop, work, unwanted=unwanted.append)
        await crossing.give_up()
        assert crossing.done.is_set()
    assert unwanted == ["late"]
