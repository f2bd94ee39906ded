"""Serves an ASGI application: accepts, bounds, and at shutdown lets go within a deadline."""

from __future__ import annotations

import gc
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.logging import Logger
from hypercorn.trio.worker_context import WorkerContext

from app.http.connection import Connection
from app.http.edge import REQUEST_ID, new_request_id
from app.http.errors import TooManyConnections
from app.http.listeners import open_listeners
from app.http.problems import problem_of
from app.http.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hypercorn.typing import ASGIFramework
    from structlog.typing import FilteringBoundLogger

    from app.http.edge import AsgiApp
    from app.http.settings import HttpSettings
    from app.http.streams import Streams

REFUSALS_MAX = 64
"""How many clients beyond the limit are told so at a time; more are closed without a word."""

REFUSAL_S = 0.5
"""How long telling one may take."""

# A connection is closed when it is idle or wrong, not because it has served many requests.
_REQUESTS_PER_CONNECTION_MAX = 2**62


async def serve_http(
    app: AsgiApp,
    settings: HttpSettings,
    *,
    shutdown: Callable[[], Awaitable[object]],
    log: FilteringBoundLogger,
    traffic: Traffic | None = None,
    streams: Streams | None = None,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until ``shutdown()`` returns, then finish what is in flight and return.

    ``task_status`` is started with the port once connections are accepted; ``traffic`` counts
    them, ``streams`` serves those that ask for events. At shutdown the server stops accepting,
    closes idle connections, ends event streams, and gives requests in flight
    ``shutdown_timeout_ms``; what is left then is aborted. Cancellation aborts at once: no client
    can hold it up.

    Raises:
        HttpBindError: the address cannot be listened on.
    """
    listeners, port = await open_listeners(settings.host, settings.port, settings.backlog)
    server = _Server(app, settings, traffic or Traffic(), streams, log)
    async with trio.open_nursery() as nursery:
        accepting = trio.CancelScope()

        async def accept() -> None:
            with accepting:
                await trio.serve_listeners(server.handle, listeners, handler_nursery=nursery)

        nursery.start_soon(accept)
        if streams is not None:
            nursery.start_soon(streams.readiness.run)
        task_status.started(port)
        try:
            await shutdown()
            accepting.cancel()
            await server.drain()
        finally:
            # Sends are shielded against cancellation, so that their sockets must go first.
            server.abort()
        nursery.cancel_scope.cancel()


class _Server:
    """The connections that are open, and what they have in common."""

    def __init__(
        self,
        app: AsgiApp,
        settings: HttpSettings,
        traffic: Traffic,
        streams: Streams | None,
        log: FilteringBoundLogger,
    ) -> None:
        self._settings = settings
        self._traffic = traffic
        self._log = log
        self._context = WorkerContext(None)
        self._connect = partial(
            Connection,
            app=ASGIWrapper(cast("ASGIFramework", app)),
            config=_hypercorn_config(settings, log),
            context=self._context,
            settings=settings,
            log=log,
            streams=streams,
        )
        self._connections: set[Connection] = set()
        self._refusals = 0
        self._none_left = trio.Event()

    async def handle(self, stream: trio.SocketStream) -> None:
        """Serve one client, or tell it that there are too many."""
        if len(self._connections) >= self._settings.connections_max:
            await self._refuse(stream)
            return
        connection = self._connect(stream)
        self._connections.add(connection)
        self._traffic.opened()
        try:
            await connection.serve()
        finally:
            self._traffic.closed()
            self._connections.discard(connection)
            if not self._connections:
                self._none_left.set()

    async def drain(self) -> None:
        """Let requests in flight finish, within the deadline; close what is idle."""
        # Thousands of connections may end in one moment: what is left of them, and of what was
        # there before, is not worth looking through again and again.
        gc.freeze()
        await self._context.terminated.set()
        for connection in tuple(self._connections):
            connection.drain()
        with trio.move_on_after(self._settings.shutdown_timeout_ms / 1000):
            while self._connections:
                self._none_left = trio.Event()
                await self._none_left.wait()
            return
        self._log.warning("http_connections_aborted", connections=len(self._connections))

    def abort(self) -> None:
        """Close every connection at once."""
        for connection in tuple(self._connections):
            connection.abort()

    async def _refuse(self, stream: trio.SocketStream) -> None:
        self._traffic.refused()
        if self._refusals >= REFUSALS_MAX:
            return
        self._refusals += 1
        try:
            with trio.move_on_after(REFUSAL_S):
                await stream.send_all(_refusal())
                await stream.send_eof()
                # Until the client has read it; what it sends is not looked at.
                while await stream.receive_some():
                    pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._refusals -= 1


def _refusal() -> bytes:
    """Spell out the answer of a server whose connections are all taken."""
    response = problem_of(TooManyConnections()).response()
    headers = [
        *response.headers,
        (REQUEST_ID, new_request_id().encode("ascii")),
        (b"content-length", str(len(response.body)).encode("ascii")),
        (b"connection", b"close"),
    ]
    lines = [b"HTTP/1.1 503 Service Unavailable", *(b": ".join(header) for header in headers)]
    return b"\r\n".join([*lines, b"", response.body])


class _HypercornLog(Logger):
    """Carries what Hypercorn's own machinery reports into the program's log."""

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
