"""Ctrl-C in a command: what it does is cancelled in order, and leaves nothing half-done.

Without this Python raises `KeyboardInterrupt` wherever the program is just then, also between
making a file and seeing to its removal, or in the middle of starting a task.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


def run_interruptible(work: Callable[[], Awaitable[T]]) -> T:
    """Run ``work`` under Trio, for as long as nobody interrupts it, and give what it gives.

    The first Ctrl-C cancels it; a second one is Python's own `KeyboardInterrupt`, for what takes
    too long to end. Where SIGINT is ignored, as a shell has it for what it runs in the background,
    it stays so.

    Raises:
        KeyboardInterrupt: it was interrupted before it had come to its end.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return trio.run(work)
    return trio.run(_run, work)


async def _run(work: Callable[[], Awaitable[T]]) -> T:
    token = trio.lowlevel.current_trio_token()
    # Trio's own, which raises KeyboardInterrupt.
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
