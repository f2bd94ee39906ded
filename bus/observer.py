"""How somebody outside follows questions over the bus, which itself looks at none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from bus.topics import Topic


class Observer(Protocol):
    """What the composer of a program may hand to its bus."""

    def asking(self, topic: Topic, key: str | None, body: object) -> AbstractContextManager[object]:
        """Surround a question from its sending to its outcome, whatever that is.

        What the context gives travels with the message as its ``trace``. It runs in the asking
        task, raises nothing, and swallows nothing.
        """
        ...
