"""A future for the server's answer that asyncpg can use and a Trio task can wait on.

asyncpg asks its loop for a future with each statement, and awaits nothing else while it runs one.
With asyncio's futures each takes an asyncio task, and several turns of both schedulers. With these
Trio's own task waits, and the answer wakes it at once.
"""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

_NEXT_ADDRESS_S: Final = 0.25
"""How long to wait for one address of a name before trying the next as well (RFC 8305, 5)."""


class Waiter:
    """A future outcome, for one Trio task; the part of a future that asyncpg uses.

    A cancelled waiter calls ``give_up``. If that produces an outcome, as the loss of the
    connection does, then that is what the waiter gets, otherwise the cancellation.
    """

    __slots__ = ("_callbacks", "_done", "_error", "_give_up", "_result", "_task")

    def __init__(self, give_up: Callable[[], object]) -> None:
        self._give_up = give_up
        self._callbacks: list[Callable[[Waiter], object]] = []
        self._done = False
        self._error: BaseException | None = None
        self._result: object = None
        self._task: trio.lowlevel.Task | None = None

    def add_done_callback(self, callback: Callable[[Waiter], object]) -> None:
        """Call back when there is an outcome: at once, not in a later turn of a loop."""
        if self._done:
            callback(self)
        else:
            self._callbacks.append(callback)

    def done(self) -> bool:
        """Whether there is an outcome."""
        return self._done

    def cancelled(self) -> bool:
        """Whether it was cancelled: Trio cancels the waiting task, never the future."""
        return False

    def set_result(self, result: object) -> None:
        """Set the result, and wake the waiting task."""
        self._result = result
        self._settle()

    def set_exception(self, error: BaseException) -> None:
        """Set the error, and wake the waiting task."""
        self._error = error
        self._settle()

    def exception(self) -> BaseException | None:
        """Return the error, if that is its outcome."""
        return self._error

    def __await__(self) -> Generator[Any, Any, Any]:
        """Wait for the outcome; return it or raise it."""
        return self._wait().__await__()

    async def _wait(self) -> object:
        if self._done:
            await trio.lowlevel.checkpoint()
        else:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)
        if self._error is not None:
            # Do not keep it: its traceback will refer to the task, which refers to this.
            error, self._error = self._error, None
            raise error
        return self._result

    def _settle(self) -> None:
        if self._done:
            return
        self._done = True
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(self)
        task, self._task = self._task, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    def _abort(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        # An error escaping from here would end Trio's whole run; the cancellation prevails instead.
        with suppress(Exception):
            self._give_up()
        if self._done:
            return trio.lowlevel.Abort.FAILED
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


class WaiterLoop:
    """asyncio's loop as one asyncpg connection sees it.

    asyncpg's futures are asyncio's, as in a `Crossing`, unless there is a ``give_up`` for Trio's
    tasks: what a `Waiter` calls when its task is cancelled.
    """

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self.give_up: Callable[[], object] | None = None

    def create_future(self) -> Any:
        """Create the future that the next statement waits on."""
        return self._loop.create_future() if self.give_up is None else Waiter(self.give_up)

    def create_connection(
        self, factory: Callable[[], Any], host: str, port: int, **options: Any
    ) -> Awaitable[Any]:
        """Connect to whichever address of a name answers first, starting with the first of them.

        asyncio tries them one after the other, each for as long as the system does, which is longer
        than the time available: if a name's IPv6 leads nowhere, its IPv4 would never be tried.
        """
        if not _is_address(host):
            options["happy_eyeballs_delay"] = _NEXT_ADDRESS_S
        connecting: Awaitable[Any] = self._loop.create_connection(factory, host, port, **options)
        return connecting

    def __getattr__(self, name: str) -> Any:
        """Delegate everything else to the loop."""
        return getattr(self._loop, name)


def _is_address(host: str) -> bool:
    """Whether it is not a name: with several addresses asyncio may not report every error."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
