"""The asyncio island: trio-asyncio's loop, on every Python that Holdfast runs on.

trio-asyncio 0.16 supports Python up to 3.13
(https://github.com/python-trio/trio-asyncio/issues/160). All that later versions need is here, and
can go with the first release of trio-asyncio that has it.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

_IS_LATE: Final = sys.version_info[:2] >= (3, 14)


def _import() -> Any:
    # It needs two base classes that Python 3.14 removed or renamed: that of event loop policies,
    # and that of watchers of child processes, which nothing here starts. They are provided where
    # it looks for them during its import, and no longer.
    with ExitStack() as later:
        for module, name, instead in (
            (asyncio.events, "BaseDefaultEventLoopPolicy", "_BaseDefaultEventLoopPolicy"),
            (asyncio, "AbstractChildWatcher", "Protocol"),
        ):
            if not hasattr(module, name):
                setattr(module, name, getattr(module, instead))
                later.callback(delattr, module, name)
        import trio_asyncio  # noqa: PLC0415

        return trio_asyncio


# The library ships no annotations: this is where Any enters.
_trio_asyncio: Any = _import()

Executor: Any = _trio_asyncio.TrioExecutor
"""Runs a loop's blocking calls in Trio's threads."""


@asynccontextmanager
async def open_loop() -> AsyncGenerator[Any, None]:
    """Open an asyncio event loop that runs inside Trio, for the length of the body.

    At the end its tasks are cancelled and waited for. What the body raises may come in a group.
    """
    async with _trio_asyncio.open_loop() as loop:
        if _IS_LATE:
            _run_as_running_loop(loop)
        yield loop


def _run_as_running_loop(loop: Any) -> None:
    """Run callbacks with asyncio seeing the loop as its thread's running one.

    From Python 3.14 on a task takes no step otherwise, and only asyncio itself can set that.
    """
    call_soon = loop.call_soon

    def run(callback: Callable[..., object], *args: object) -> None:
        asyncio._set_running_loop(loop)  # noqa: SLF001 - there is no other way
        try:
            callback(*args)
        finally:
            asyncio._set_running_loop(None)  # noqa: SLF001

    def call_soon_running(callback: Callable[..., object], *args: object, **context: Any) -> Any:
        return call_soon(run, callback, *args, **context)

    loop.call_soon = call_soon_running
