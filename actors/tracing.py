"""How actors say what they are working on, to whoever traces a request through the program."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Traced(Protocol):
    """What carries a trace: a `bus.Message`, or what an actor keeps of one."""

    @property
    def trace(self) -> object:
        """What the bus's observer sent along; None where nobody traces it."""
        ...


class Tracer(Protocol):
    """Told of the work that an actor does on messages, one or many at once."""

    def work(
        self, name: str, carriers: Sequence[Traced], **attributes: str | int
    ) -> AbstractContextManager[object]:
        """Surround the work on ``carriers``; raises nothing and swallows nothing."""
        ...


class _NoTracer:
    """Follows nothing."""

    def work(
        self,
        name: str,  # noqa: ARG002 - as whoever does trace
        carriers: Sequence[Traced],  # noqa: ARG002
        **attributes: str | int,  # noqa: ARG002
    ) -> AbstractContextManager[object]:
        """Surround the work with nothing."""
        return _NOTHING


# It keeps nothing, so that one is enough for all who enter it at once.
_NOTHING: Final = nullcontext()

NO_TRACER: Final[Tracer] = _NoTracer()
"""For an actor that nobody traces."""
