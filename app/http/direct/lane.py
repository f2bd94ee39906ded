"""What the connections of the fast lane share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.http.bodies import FREE_BYTES
from app.http.direct.render import Renderer
from app.http.heads import HeadReader
from app.http.streams.fronts import FRONTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from structlog.typing import FilteringBoundLogger

    from app.http.edge import Edge
    from app.http.refusals import Refusals
    from app.http.settings import HttpSettings
    from app.http.streams import Streams
    from app.http.streams.front import StreamFront


class Lane:
    """The edge that answers, how heads are parsed and answers rendered, and all timeouts."""

    def __init__(
        self,
        edge: Edge,
        settings: HttpSettings,
        *,
        refusals: Refusals,
        streams: Streams | None,
        log: FilteringBoundLogger,
    ) -> None:
        self.edge = edge
        self.settings = settings
        self.refusals = refusals
        self.streams = streams
        self.fronts: Mapping[str, type[StreamFront]] = {} if streams is None else FRONTS
        self.log = log
        self.renderer = Renderer(edge.policy)
        self.heads = HeadReader(settings)
        self.head_s = settings.read_timeout_ms / 1000
        self.body_s = settings.body_timeout_ms / 1000
        self.keep_alive_s = settings.keep_alive_timeout_ms / 1000
        self.send_s = settings.send_timeout_ms / 1000
        self.uncounted_bytes = min(FREE_BYTES, settings.max_body_bytes)
        """The size up to which a body is neither counted nor too large."""
        self.stopping = False
