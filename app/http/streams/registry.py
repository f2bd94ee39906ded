"""The open streams: their admission, their counts, and what they share."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.places import Places
from app.http.errors import TooManyStreams
from app.http.pipeline import Pipeline
from app.http.streams.follow import Follower
from app.http.streams.readiness import Readiness

if TYPE_CHECKING:
    import random
    from collections.abc import Generator

    from structlog.typing import FilteringBoundLogger

    from actors.authx.messages import Identity
    from app.gateway import Gateway
    from app.http.edge import Edge
    from app.http.streams.settings import StreamSettings


@dataclass(frozen=True, slots=True)
class StreamsStatistics:
    """Streams open now, and since the start: opened, refused, and events sent."""

    open: int
    opened: int
    refused: int
    events: int


class Streams:
    """What the streams of one server share.

    A request for one is admitted, answered, counted and logged like any other of ``edge``.
    """

    def __init__(
        self,
        gateway: Gateway,
        settings: StreamSettings,
        edge: Edge,
        *,
        rng: random.Random,
        log: FilteringBoundLogger,
    ) -> None:
        self.gate = edge.gate
        self.policy = edge.policy
        self.instruments = edge.instruments
        self.readiness = Readiness()
        self.pipeline = Pipeline(gateway, log=log, gate=self.gate)
        self.settings = settings
        self.log = log
        self._gateway = gateway
        self._rng = rng
        self._open = Places(settings.streams_per_account_max)
        self._opened = self._refused = self._events = 0

    @contextmanager
    def following(
        self, identity: Identity, token: str, after: int | None
    ) -> Generator[Follower, None, None]:
        """Count a stream of an account as open while it is followed.

        Raises:
            TooManyStreams: the account has its maximum.
            ActorStopped: the server is closing down.
        """
        account_id = identity.account_id
        if not self._open.take(account_id):
            self._refused += 1
            raise TooManyStreams(self._open.most)
        self._opened += 1
        try:
            with Follower(
                self._gateway, identity, token, after, settings=self.settings, rng=self._rng
            ) as follower:
                yield follower
        finally:
            self._open.give_back(account_id)

    def told(self, events: int) -> None:
        """Count events that were sent."""
        self._events += events

    def statistics(self) -> StreamsStatistics:
        """Return how many streams there are and have been."""
        return StreamsStatistics(self._open.total, self._opened, self._refused, self._events)
