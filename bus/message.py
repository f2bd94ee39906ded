"""What travels on the bus, and how an actor says which of it concerns it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from bus.reply import Reply
    from bus.topics import Topic


class Message(NamedTuple):
    """One message: the topic is part of it, the body is the receiving actor's own type.

    ``key`` narrows it to the subscriptions that declared the same key; ``reply`` is the way
    back, where the sender waits for an answer; ``trace`` is what the bus's observer sends along.
    """

    topic: Topic
    body: object
    key: str | None = None
    # The bus carries bodies and answers of every type and looks at none of them.
    reply: Reply[Any] | None = None
    trace: object = None


@dataclass(frozen=True, slots=True)
class Interest:
    """What a subscription wants to receive; the actor declares it, so the actor decides.

    - ``Interest(topic)``: every message of the topic.
    - ``Interest(topic, key="k")``: the topic's messages that carry this key.
    - ``Interest(topic, unclaimed=True)``: keyed messages whose key nobody else has declared.
    """

    topic: Topic
    key: str | None = None
    unclaimed: bool = False

    def __post_init__(self) -> None:
        """Refuse an interest that contradicts itself.

        Raises:
            ValueError: both a key and ``unclaimed`` were given.
        """
        if self.unclaimed and self.key is not None:
            msg = "an interest in unclaimed messages has no key"
            raise ValueError(msg)
