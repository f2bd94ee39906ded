"""How somebody outside follows questions over the bus, which itself looks at none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from bus.topics import Topic


class Observer(Protocol):
    """What the composer of a program may hand to its bus; it raises nothing."""

    def begin(self, topic: Topic, key: str | None, body: object) -> tuple[Any, object]:
        """Take note of a question that is about to be sent, in the task that asks.

        Gives what `finish` shall be told, and what travels with the message as its ``trace``.
        It keeps no ``body``: that may hold a reply, which only its receiver may keep alive.
        """
        ...

    def finish(self, mark: Any, error: BaseException | None) -> None:
        """Take note of the outcome, an answer or whatever was raised, in the task that asked.

        ``mark`` is what `begin` gave for it.
        """
        ...
