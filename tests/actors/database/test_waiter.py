"""What asyncpg waits on, in Trio's tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from actors.database.waiter import Waiter

if TYPE_CHECKING:
    from collections.abc import Callable


def nothing() -> None:
    """Give nothing up."""


@pytest.mark.parametrize("early", [True, False])
async def test_waiter_gives_its_result(early: bool) -> None:
    """This holds whether or not the result is there before it is waited for."""
    waiter = Waiter(nothing)
    got: list[object] = []

    async def wait() -> None:
        got.append(await waiter)

    async with trio.open_nursery() as nursery:
        if early:
            waiter.set_result("answer")
        nursery.start_soon(wait)
        if not early:
            await trio.testing.wait_all_tasks_blocked()
            assert not got
            assert not waiter.done()
            waiter.set_result("answer")
    assert got == ["answer"]
    assert waiter.done()
    assert waiter.exception() is None


async def test_waiter_raises_its_error() -> None:
    """An error comes out in the task that waits for it."""
    waiter = Waiter(nothing)
    waiter.set_exception(LookupError("mine"))
    assert isinstance(waiter.exception(), LookupError)
    with pytest.raises(LookupError, match="mine"):
        await waiter


async def test_waiter_yields_even_where_the_result_is_there() -> None:
    """Waiting is always a checkpoint."""
    waiter = Waiter(nothing)
    waiter.set_result(1)
    with trio.testing.assert_checkpoints():
        assert await waiter == 1


async def test_waiter_cancelled_is_told_nothing(autojump_clock: trio.testing.MockClock) -> None:
    """A cancelled waiter stops waiting; a later result wakes nobody."""
    waiter = Waiter(nothing)
    with trio.move_on_after(1) as scope:
        await waiter
    assert scope.cancelled_caught
    assert not waiter.cancelled()
    waiter.set_result("late")
    await trio.testing.wait_all_tasks_blocked()


async def test_waiter_cancelled_gives_up(autojump_clock: trio.testing.MockClock) -> None:
    """An exception that giving up causes comes out instead of the cancellation."""
    waiter = Waiter(lambda: waiter.set_exception(LookupError("lost")))
    with trio.move_on_after(1) as scope:
        with pytest.raises(LookupError, match="lost"):
            await waiter
        assert trio.current_time() == 1
    assert not scope.cancelled_caught


async def test_waiter_that_cannot_give_up_is_cancelled(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A failure while giving up ends only the wait."""
    waiter = Waiter(lambda: 1 // 0)
    with trio.move_on_after(1) as scope:
        await waiter
    assert scope.cancelled_caught


def test_waiter_calls_back_once_at_once() -> None:
    """Callbacks are called as soon as there is an outcome, each once."""
    waiter = Waiter(nothing)
    called: list[int] = []

    def calling(number: int) -> Callable[[Waiter], object]:
        return lambda _: called.append(number)

    waiter.add_done_callback(calling(1))
    assert not called
    waiter.set_result(None)
    waiter.add_done_callback(calling(2))
    assert called == [1, 2]
