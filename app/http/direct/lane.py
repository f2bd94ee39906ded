"""What the connections of the fast lane have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from app.http.bodies import FREE_BYTES
from app.http.direct.render import Renderer
from app.http.edge import Edge
from app.http.heads import HeadReader
from app.http.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    import trio
    from structlog.typing import FilteringBoundLogger

    from app.http.refusals import Refusals
    from app.http.settings import HttpSettings
    from app.http.streams import Streams


class Successor(Protocol):
    """Who serves a connection that was handed over."""

    @property
    def cut_off(self) -> bool:
        """Whether it ended with a reset."""
        ...

    async def serve(self) -> None:
        """Serve it until it is closed."""
        ...

    def drain(self) -> None:
        """Finish the request in hand, then close."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...


HandOver: TypeAlias = "Callable[[trio.SocketStream, str, bytes], Successor]"
"""Makes who serves a connection, of a client's address, of which these bytes have come."""


class Lane:
    """Answers by an edge, to which nothing is unknown.

    Where it has none it hands every connection over that begins with a readable head.
    """

    def __init__(
        self,
        served: Edge | HandOver,
        settings: HttpSettings,
        *,
        refusals: Refusals,
        streams: Streams | None,
        log: FilteringBoundLogger,
    ) -> None:
        self.served = served
        self.settings = settings
        self.refusals = refusals
        self.streams = streams
        self.log = log
        self.renderer = Renderer(served.policy if isinstance(served, Edge) else Policy())
        self.heads = HeadReader(settings)
        self.head_s = settings.read_timeout_ms / 1000
        self.body_s = settings.body_timeout_ms / 1000
        self.keep_alive_s = settings.keep_alive_timeout_ms / 1000
        self.send_s = settings.send_timeout_ms / 1000
        self.uncounted_bytes = min(FREE_BYTES, settings.max_body_bytes)
        """How large a body may be that is neither counted nor too large."""
        self.stopping = False
