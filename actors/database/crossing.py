"""A crossing from Trio into asyncio: work over there, an event and its outcome over here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, cast

import trio

from actors.database.session import T

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_GIVE_UP_S = 0.1
"""How long work may take to notice that its connection is gone, and again to be cancelled."""


class Crossing(Generic[T]):
    """Work on the asyncio side as Trio sees it: an event, and then a result or an error.

    A result that arrives after the work was given up is handed to ``unwanted``.
    """

    __slots__ = ("_given_up", "_task", "_unwanted", "_value", "done", "error")

    def __init__(
        self,
        loop: Any,
        work: Callable[[], Awaitable[T]],
        *,
        unwanted: Callable[[T], None] | None = None,
    ) -> None:
        self.done = trio.Event()
        self.error: BaseException | None = None
        self._given_up = False
        self._value: T | None = None
        self._unwanted = unwanted
        self._task = loop.create_task(self._main(work))

    async def wait(self, *, deadline: float) -> bool:
        """Wait for the end of the work until ``deadline``, shielded; return whether it came."""
        with trio.CancelScope(deadline=deadline, shield=True):
            await self.done.wait()
        return self.done.is_set()

    async def finish(self, *, timeout_s: float) -> bool:
        """Wait for the end of the work, or give up after ``timeout_s``; return whether it came.

        Cancellation gives it up too.
        """
        ended = False
        try:
            with trio.move_on_after(timeout_s):
                await self.done.wait()
            ended = self.done.is_set()
        finally:
            if not ended:
                await self.give_up()
        return ended

    def result(self) -> T:
        """Return what the work returned, or raise what it raised."""
        if self.error is not None:
            raise self.error
        return cast("T", self._value)

    async def give_up(self) -> None:
        """Let the work end, by cancelling it if need be; takes at most twice ``_GIVE_UP_S``."""
        self._given_up = True
        if self.done.is_set():
            self._hand_back()
        if not await self.wait(deadline=trio.current_time() + _GIVE_UP_S):
            self._task.cancel()
            await self.wait(deadline=trio.current_time() + _GIVE_UP_S)

    async def _main(self, work: Callable[[], Awaitable[T]]) -> None:
        # Setting the event here saves a turn of the loop compared with waiting for the task itself.
        try:
            self._value = await work()
            if self._given_up:
                self._hand_back()
        except BaseException as error:  # noqa: BLE001 - raised again on Trio's side, by result()
            self.error = error
        self.done.set()

    def _hand_back(self) -> None:
        if self._unwanted is not None and self._value is not None:
            self._unwanted(self._value)
