"""What the connections driven by Hypercorn share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.logging import Logger
from hypercorn.trio.worker_context import WorkerContext

from app.http.asgi.connection import Connection
from app.http.asgi.quart_app import create_app

if TYPE_CHECKING:
    import trio
    from hypercorn.typing import ASGIFramework
    from structlog.typing import FilteringBoundLogger

    from app.http.edge import Edge
    from app.http.refusals import Refusals
    from app.http.settings import HttpSettings
    from app.http.streams import Streams

# A connection is closed when it is idle or faulty, not because it has served many requests.
_REQUESTS_PER_CONNECTION_MAX = 2**62


class HypercornLane:
    """Serves an edge's routes with Quart."""

    def __init__(
        self,
        edge: Edge,
        settings: HttpSettings,
        *,
        refusals: Refusals,
        streams: Streams | None,
        log: FilteringBoundLogger,
    ) -> None:
        self._app = ASGIWrapper(cast("ASGIFramework", create_app(edge, settings)))
        self._config = _hypercorn_config(settings, log)
        self._context = WorkerContext(None)
        self._settings = settings
        self._room = edge.gate.bodies
        self._refusals = refusals
        self._streams = streams
        self._log = log

    def connect(self, stream: trio.SocketStream, client: str, begin_by: float) -> Connection:
        """Make the connection that serves ``stream``, from a client with this address.

        The client may stay silent until ``begin_by``, a time of Trio's clock.
        """
        return Connection(
            stream,
            self._app,
            config=self._config,
            context=self._context,
            settings=self._settings,
            room=self._room,
            refusals=self._refusals,
            log=self._log,
            streams=self._streams,
            client=client,
            begin_by=begin_by,
        )

    async def stop(self) -> None:
        """Make every connection's next answer its last."""
        await self._context.terminated.set()


class _HypercornLog(Logger):
    """Passes what Hypercorn itself reports to the program's log."""

    def __init__(self, config: Config, log: FilteringBoundLogger) -> None:
        super().__init__(config)
        self._log = log

    async def exception(self, message: str, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002
        self._log.error("asgi_failed", message=message, exc_info=True)


def _hypercorn_config(settings: HttpSettings, log: FilteringBoundLogger) -> Config:
    config = Config()
    config.include_server_header = False
    config.h11_max_incomplete_size = settings.max_header_bytes
    config.keep_alive_max_requests = _REQUESTS_PER_CONNECTION_MAX
    config.accesslog = None
    config.errorlog = None
    config._log = _HypercornLog(config, log)  # noqa: SLF001 - the one way to give it a logger
    return config
