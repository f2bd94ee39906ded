"""The hook for following questions over the bus, which itself inspects none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from bus.topics import Topic


class Observer(Protocol):
    """A hook that the composer of a program may give its bus; must not raise."""

    def begin(self, topic: Topic, key: str | None, body: object) -> tuple[Any, object]:
        """Note a question that is about to be sent, in the task that asks.

        Returns the mark to pass to `finish`, and the ``trace`` that travels with the message.
        Must not keep ``body``: it may hold a reply, which only its receiver may keep alive.
        """
        ...

    def finish(self, mark: Any, error: BaseException | None) -> None:
        """Note the outcome, an answer or the error raised, in the task that asked.

        ``mark`` is what `begin` returned for it.
        """
        ...
