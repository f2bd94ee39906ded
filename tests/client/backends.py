"""Runs a test under Trio and under asyncio, in virtual time if it only waits."""

from __future__ import annotations

import asyncio
import functools
import inspect
import selectors
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trio.testing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

BACKENDS = ("trio", "asyncio")


def on_both_backends(
    *, virtual_time: bool = True
) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., None]]:
    """Turn an async test into one that runs under Trio and asyncio in turn.

    In virtual time a wait takes no time; a test that uses sockets or threads needs real time.
    """

    def decorate(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(*, backend: str, **fixtures: Any) -> None:
            options = _virtual_time(backend) if virtual_time else {}
            # Called by keyword, as pytest calls its tests.
            call = functools.partial(test, **fixtures)
            anyio.run(call, backend=backend, backend_options=options)

        signature = inspect.signature(test)
        backend = inspect.Parameter("backend", inspect.Parameter.KEYWORD_ONLY)
        parameters = [*signature.parameters.values(), backend]
        run.__dict__["__signature__"] = signature.replace(parameters=parameters)
        return pytest.mark.parametrize("backend", BACKENDS)(run)

    return decorate


def _virtual_time(backend: str) -> dict[str, Any]:
    if backend == "trio":
        return {"clock": trio.testing.MockClock(autojump_threshold=0)}
    return {"loop_factory": JumpingLoop}


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        self._selector_in_use = _JumpingSelector()
        super().__init__(self._selector_in_use)

    def time(self) -> float:
        """Return the time, which passes only by jumps."""
        return self._selector_in_use.now


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: it adds the requested timeout to the clock."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return the ready events, or jump."""
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready
