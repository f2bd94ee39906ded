"""What the connections of the fast lane have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from app.http.direct.render import Renderer
from app.http.heads import HeadReader
from app.http.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    import trio
    from structlog.typing import FilteringBoundLogger

    from app.http.edge import Edge
    from app.http.refusals import Refusals
    from app.http.settings import HttpSettings
    from app.http.streams import Streams


class Successor(Protocol):
    """Who serves a connection that was handed over."""

    async def serve(self) -> None:
        """Serve it until it is closed."""
        ...

    def drain(self) -> None:
        """Finish the request in hand, then close."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...


class Lane:
    """Serves what ``edge`` has a route for; ``hand_over`` makes who serves the rest.

    ``hand_over`` gets the connection, the client's address, and the bytes that have come. Without
    an ``edge`` every connection with a readable head is handed over.
    """

    def __init__(
        self,
        edge: Edge | None,
        settings: HttpSettings,
        *,
        refusals: Refusals,
        hand_over: Callable[[trio.SocketStream, str, bytes], Successor],
        streams: Streams | None,
        log: FilteringBoundLogger,
    ) -> None:
        self.table = None if edge is None or edge.router is None else (edge, edge.router)
        self.settings = settings
        self.refusals = refusals
        self.hand_over = hand_over
        self.streams = streams
        self.log = log
        self.renderer = Renderer(Policy() if edge is None else edge.policy)
        self.heads = HeadReader(settings)
        self.first_byte_s = settings.first_byte_timeout_ms / 1000
        self.head_s = settings.read_timeout_ms / 1000
        self.body_s = settings.body_timeout_ms / 1000
        self.keep_alive_s = settings.keep_alive_timeout_ms / 1000
        self.send_s = settings.send_timeout_ms / 1000
        self.stopping = False
