"""What a task is woken with that waits for nothing but to be woken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

R = TypeVar("R")


class _Nothing(Outcome[None]):
    """No value, as often as wanted.

    By default Trio makes a new `outcome.Value` for each task that it wakes, which serves once:
    a quarter of what waking costs.
    """

    __slots__ = ()

    def unwrap(self) -> None:
        """Return None, from `trio.lowlevel.wait_task_rescheduled`."""

    def send(self, gen: Generator[R, None, object]) -> R:
        """Send None into a generator."""
        return gen.send(None)

    async def asend(self, agen: AsyncGenerator[R, None]) -> R:
        """Send None into an asynchronous generator."""
        return await agen.asend(None)


NOTHING: Final = _Nothing()
"""For `trio.lowlevel.reschedule`."""
