"""How actors report what they are working on, so that a request can be traced."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Traced(Protocol):
    """A carrier of a trace: a `bus.Message`, or what an actor keeps of one."""

    @property
    def trace(self) -> object:
        """What the bus's observer sent along; None if nobody traces it."""
        ...


class Tracer(Protocol):
    """Follows an actor's work on messages, one or many at once."""

    def work(
        self, name: str, carriers: Sequence[Traced], **attributes: str | int
    ) -> AbstractContextManager[object]:
        """Surround the work on ``carriers``; raises nothing and swallows nothing."""
        ...


class _NoTracer:
    """Traces nothing."""

    def work(
        self,
        name: str,  # noqa: ARG002 - as in `Tracer`
        carriers: Sequence[Traced],  # noqa: ARG002
        **attributes: str | int,  # noqa: ARG002
    ) -> AbstractContextManager[object]:
        """Surround the work with nothing."""
        return _NOTHING


# It holds no state, so one instance serves all concurrent users.
_NOTHING: Final = nullcontext()

NO_TRACER: Final[Tracer] = _NoTracer()
"""For an actor that nobody traces."""
