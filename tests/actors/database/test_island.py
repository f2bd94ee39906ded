"""Tests of the asyncio island: its tasks run, even on the asyncio of a later Python."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import trio

from actors.database import island

if TYPE_CHECKING:
    import pytest

asyncio: Any = import_module("asyncio")
_asyncio: Any = import_module("_asyncio")
"""The module that implements asyncio's tasks; only it knows which loop a thread runs."""

LATER = """
import asyncio, asyncio.events as events
if hasattr(events, "BaseDefaultEventLoopPolicy"):
    events._BaseDefaultEventLoopPolicy = events.BaseDefaultEventLoopPolicy
    del events.BaseDefaultEventLoopPolicy, asyncio.AbstractChildWatcher
from actors.database import island
assert island.Executor
assert not hasattr(events, "BaseDefaultEventLoopPolicy")
assert not hasattr(asyncio, "AbstractChildWatcher")
"""


async def steps(seen: list[object]) -> str:
    """Record which loop asyncio itself considers the running one, before and after a pause."""
    async with asyncio.timeout(5):
        seen.append(_asyncio._get_running_loop())
        await asyncio.sleep(0)
        seen.append(_asyncio._get_running_loop())
    return "done"


async def outcome(loop: Any, work: Any) -> object:
    """Run an asyncio task to its end."""
    ended = trio.Event()

    def end(_task: Any) -> None:
        ended.set()

    task = loop.create_task(work)
    task.add_done_callback(end)
    with trio.fail_after(5):
        await ended.wait()
    return task.result()


async def test_island_runs_tasks_of_asyncio() -> None:
    """A task takes its steps, and its end is reported to Trio."""
    async with island.open_loop() as loop:
        assert await outcome(loop, steps([])) == "done"


async def test_island_is_the_running_loop_of_its_callbacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of two islands side by side is the running loop for its own steps and no others."""
    monkeypatch.setattr(island, "_IS_LATE", True)
    async with island.open_loop() as first, island.open_loop() as second:
        for loop in (first, second, first):
            seen: list[object] = []
            await outcome(loop, steps(seen))
            assert seen == [loop, loop]
            assert _asyncio._get_running_loop() is None


async def test_island_is_left_by_a_callback_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A callback's exception goes to the loop's handler, and no loop is running afterwards."""
    monkeypatch.setattr(island, "_IS_LATE", True)
    told: list[Any] = []

    def tell(_loop: Any, context: Any) -> None:
        told.append(context["exception"])

    async with island.open_loop() as loop:
        loop.set_exception_handler(tell)
        loop.call_soon(int, "x")
        await loop.synchronize()
        assert [type(each) for each in told] == [ValueError]
        assert _asyncio._get_running_loop() is None


def test_island_is_there_where_asyncio_lacks_names() -> None:
    """On a Python that no longer has two names, all imports succeed and leave no such names."""
    run = subprocess.run(
        [sys.executable, "-c", LATER], check=False, capture_output=True, text=True, timeout=60
    )
    assert (run.returncode, run.stderr) == (0, "")
