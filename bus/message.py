"""The messages that travel on the bus, and how an actor declares which ones it wants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from bus.reply import Reply
    from bus.topics import Topic


class Message(NamedTuple):
    """One message: a topic, and a body whose type belongs to the receiving actor.

    ``key`` narrows it to the subscriptions that declared the same key; ``reply`` carries the
    answer back if the sender waits for one; ``trace`` is what the bus's observer sends along.
    """

    topic: Topic
    body: object
    key: str | None = None
    # The bus carries bodies and answers of every type and inspects none of them.
    reply: Reply[Any] | None = None
    trace: object = None


@dataclass(frozen=True, slots=True)
class Interest:
    """What a subscription wants to receive, as its actor declares.

    - ``Interest(topic)``: every message of the topic.
    - ``Interest(topic, key="k")``: the topic's messages that carry this key.
    - ``Interest(topic, unclaimed=True)``: keyed messages whose key nobody else has declared.
    """

    topic: Topic
    key: str | None = None
    unclaimed: bool = False

    def __post_init__(self) -> None:
        """Reject an interest that contradicts itself.

        Raises:
            ValueError: both a key and ``unclaimed`` were given.
        """
        if self.unclaimed and self.key is not None:
            msg = "an interest in unclaimed messages has no key"
            raise ValueError(msg)
