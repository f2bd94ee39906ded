"""Ctrl-C in a command: see `run_interruptible`."""

from __future__ import annotations

import os
import signal

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from app.cli.interrupts import run_interruptible


def interrupt() -> None:
    """Do what Ctrl-C does."""
    os.kill(os.getpid(), signal.SIGINT)


def test_work_that_nobody_interrupts_comes_out_as_it_is() -> None:
    """Its value is returned, and its error is in no group."""

    async def give() -> int:
        await trio.lowlevel.checkpoint()
        return 7

    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        raise ValueError("as it is")

    assert run_interruptible(give) == 7
    with pytest.raises(ValueError, match="as it is"):
        run_interruptible(fail)


def test_interrupt_cancels_at_a_checkpoint_and_nowhere_else() -> None:
    """Work between two checkpoints completes, and clean-up runs."""
    done: list[str] = []

    async def work() -> None:
        try:
            interrupt()
            done.append("whole")
            await trio.sleep_forever()
        finally:
            done.append("undone")

    with pytest.raises(KeyboardInterrupt):
        run_interruptible(work)
    assert done == ["whole", "undone"]


def test_second_interrupt_ends_what_takes_too_long_to_end() -> None:
    """A clean-up that hangs is not waited for."""

    async def work() -> None:
        try:
            interrupt()
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                # Wait until the first is seen, or both would count as one.
                await wait_all_tasks_blocked()
                interrupt()
                await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        run_interruptible(work)


def test_interrupt_afterwards_is_pythons_own() -> None:
    """The previous handler is restored."""
    run_interruptible(trio.lowlevel.checkpoint)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupt_that_is_ignored_stays_so() -> None:
    """A background job of a shell does not end when something else is interrupted."""

    async def work() -> str:
        interrupt()
        await trio.lowlevel.checkpoint()
        return "done"

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert run_interruptible(work) == "done"
    finally:
        signal.signal(signal.SIGINT, before)
