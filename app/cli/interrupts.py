"""Handles Ctrl-C in a command: its work is cancelled in order, and leaves nothing half-done.

Otherwise Python raises `KeyboardInterrupt` wherever the program is at that moment, even between
making a file and arranging its removal, or halfway through starting a task.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


def run_interruptible(work: Callable[[], Awaitable[T]]) -> T:
    """Run ``work`` under Trio until it ends or is interrupted, and return its result.

    The first Ctrl-C cancels it; a second one is Python's own `KeyboardInterrupt`, in case it takes
    too long to end. If SIGINT is ignored, as for a shell's background jobs, it stays ignored.

    Raises:
        KeyboardInterrupt: it was interrupted before it had finished.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return trio.run(work)
    return trio.run(_run, work)


async def _run(work: Callable[[], Awaitable[T]]) -> T:
    token = trio.lowlevel.current_trio_token()
    # Trio's own handler, which raises KeyboardInterrupt.
    before = signal.getsignal(signal.SIGINT)
    with trio.CancelScope() as scope:

        def cancel(_number: int, _frame: object) -> None:
            signal.signal(signal.SIGINT, before)
            token.run_sync_soon(scope.cancel)

        signal.signal(signal.SIGINT, cancel)
        try:
            return await work()
        finally:
            signal.signal(signal.SIGINT, before)
    raise KeyboardInterrupt
