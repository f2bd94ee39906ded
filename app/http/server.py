"""Serves clients: accepts, bounds, and at shutdown lets go within a deadline."""

from __future__ import annotations

import gc
import math
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

import trio

from actors.places import Places
from app.http.direct import DirectConnection, Lane
from app.http.edge import REQUEST_ID, new_request_id
from app.http.errors import TooManyConnections, TooManyRequests
from app.http.listeners import EXHAUSTED, accept_connections, open_listeners
from app.http.problems import problem_of
from app.http.refusals import Refusals
from app.http.tls import Handshakes, serve_decrypted, tls_context
from app.http.trail import Trail
from app.logs import handling

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Awaitable, Callable

    from structlog.typing import FilteringBoundLogger

    from app.http.asgi.connection import Connection
    from app.http.asgi.lane import HypercornLane
    from app.http.edge import Edge
    from app.http.policy import Policy
    from app.http.settings import HttpSettings
    from app.http.streams import Streams

TOO_MANY = HTTPStatus.SERVICE_UNAVAILABLE.value
"""The status of the answer where all connections are taken."""

REFUSALS_MAX = 64
"""How many clients beyond the limit are told so at a time; more are closed without a word."""

REFUSAL_S = 0.5
"""How long telling one may take."""

EXHAUSTED_LOG_S = 1.0
"""How often at most the log is told that the system gives no more files."""

PERIOD_MIN_S, PERIOD_MAX_S = 0.005, 0.25
"""How often it is looked for connections that are overdue: so late one may be ended."""


async def serve_http(
    edge: Edge,
    settings: HttpSettings,
    *,
    shutdown: Callable[[], Awaitable[object]],
    log: FilteringBoundLogger,
    streams: Streams | None = None,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until ``shutdown()`` returns, then finish what is in flight and return.

    ``task_status`` is started with the port once connections are accepted; ``streams`` serves
    those that ask for events. At shutdown the server stops accepting, closes idle connections,
    ends event streams, and gives requests in flight ``shutdown_timeout_ms``; what is left then is
    aborted. Cancellation aborts at once: no client can hold it up.

    Raises:
        HttpBindError: the address cannot be listened on.
        TlsError: the certificate or the key cannot be used.
    """
    server = _Server(edge, settings, streams, log)
    listeners, port = await open_listeners(settings.host, settings.port, settings.backlog)
    async with trio.open_nursery() as nursery:
        accepting = trio.CancelScope()

        async def accept() -> None:
            with accepting:
                await accept_connections(listeners, server.handle, nursery, server.tell_exhausted)

        nursery.start_soon(accept)
        nursery.start_soon(server.keep_time)
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
        edge: Edge,
        settings: HttpSettings,
        streams: Streams | None,
        log: FilteringBoundLogger,
    ) -> None:
        self._settings = settings
        self._tls = None if settings.tls is None else tls_context(*settings.tls, log=log)
        self._log = log
        self._edge = edge
        self._gate = edge.gate
        self._traffic = edge.instruments.traffic
        self._traffic.comes_through(self._gate)
        refusals = Refusals(edge, settings)
        self._lane = Lane(edge, settings, refusals=refusals, streams=streams, log=log)
        self._hypercorn: HypercornLane | None = None
        if not settings.fast_lane:
            # The fast lane does without, and starts sooner and in less memory.
            from app.http.asgi import lane  # noqa: PLC0415

            self._hypercorn = lane.HypercornLane(
                edge, settings, refusals=refusals, streams=streams, log=log
            )
        self._connections: set[Connection | DirectConnection] = set()
        # Of the connections by TLS, whether or not they have shaken hands yet.
        self._handshakes: set[trio.CancelScope] = set()
        self._at_work = Handshakes()
        self._addresses = Places(settings.connections_per_address_max)
        self._refusals = 0
        self._none_left = trio.Event()
        self._told_exhausted = -math.inf

    async def handle(self, sock: socket.socket, address: str) -> None:
        """Serve one client, or tell it that there are too many."""
        limited_as = self._limited_as(address)
        if not self._may_connect(limited_as):
            with sock:
                stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
                await self._refuse(stream, address)
            return
        self._addresses.take(limited_as)
        self._traffic.opened()
        try:
            await self._serve(sock, address)
        finally:
            self._traffic.closed()
            self._addresses.give_back(limited_as)
            if not self._addresses.total:
                self._none_left.set()

    def _limited_as(self, address: str) -> str:
        """Give what an address's connections are counted under; empty where they are not limited.

        A proxy's connections are those of many clients.
        """
        return "" if address in self._settings.trusted_proxies else self._gate.limited_as(address)

    def _may_connect(self, limited_as: str) -> bool:
        """Whether there is room, and with TLS, whose handshake costs most, a request to spare."""
        if self._addresses.total >= self._settings.connections_max:
            return False
        if not self._addresses.has_room(limited_as):
            return False
        if self._tls is not None:
            try:
                self._gate.take(limited_as)
            except TooManyRequests:
                return False
        return True

    def _serve(self, sock: socket.socket, address: str) -> Awaitable[object]:
        begin_by = trio.current_time() + self._settings.first_byte_timeout_ms / 1000
        if self._tls is None:
            return self._serve_plain(address, begin_by, sock)
        return self._serve_tls(self._tls, address, begin_by, sock)

    async def _serve_tls(
        self, tls: ssl.SSLContext, address: str, begin_by: float, sock: socket.socket
    ) -> None:
        handshake = trio.CancelScope(deadline=-math.inf if self._lane.stopping else begin_by)
        self._handshakes.add(handshake)
        try:
            await serve_decrypted(
                sock,
                tls,
                partial(self._serve_plain, address, begin_by),
                handshake=handshake,
                at_work=self._at_work,
                send_s=self._settings.send_timeout_ms / 1000,
                log=self._log,
            )
        # One connection's failure is its own.
        except Exception as error:  # noqa: BLE001
            if isinstance(error, OSError) and error.errno in EXHAUSTED:
                self.tell_exhausted(error)
            else:
                self._log.error("connection_failed", exc_info=error)
        finally:
            self._handshakes.discard(handshake)

    def tell_exhausted(self, error: OSError) -> None:
        """Log that a connection was not accepted, or with TLS closed, which takes more files.

        It is tried again and again, clients come back at once, and each try would write a line.
        """
        now = trio.current_time()
        if now - self._told_exhausted >= EXHAUSTED_LOG_S:
            self._told_exhausted = now
            self._log.warning("accept_failed", reason=error.strerror)

    async def _serve_plain(self, address: str, begin_by: float, sock: socket.socket) -> bool:
        """Serve what is or was decrypted; tell whether the client was cut off."""
        connection: Connection | DirectConnection
        if self._hypercorn is None:
            connection = DirectConnection(sock, self._lane, address, begin_by)
        else:
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
            connection = self._hypercorn.connect(stream, address, begin_by)
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)
        return connection.cut_off

    async def keep_time(self) -> None:
        """End what is overdue in the fast lane, until cancelled."""
        if self._hypercorn is not None:
            return
        period_s = _period_s(self._settings)
        while True:
            await trio.sleep(period_s)
            now = trio.current_time()
            for connection in tuple(self._connections):
                if isinstance(connection, DirectConnection):
                    connection.check(now)

    async def drain(self) -> None:
        """Let requests in flight finish, within the deadline; close what is idle."""
        # Thousands of connections may end in one moment: what is left of them, and of what was
        # there before, is not worth looking through again and again.
        gc.freeze()
        self._lane.stopping = True
        if self._hypercorn is not None:
            await self._hypercorn.stop()
        for handshake in self._handshakes:
            handshake.cancel()
        for connection in tuple(self._connections):
            connection.drain()
        with trio.move_on_after(self._settings.shutdown_timeout_ms / 1000):
            while self._addresses.total:
                self._none_left = trio.Event()
                await self._none_left.wait()
            return
        self._log.warning("http_connections_aborted", connections=self._addresses.total)

    def abort(self) -> None:
        """Close every connection at once."""
        for connection in tuple(self._connections):
            connection.abort()

    async def _refuse(self, stream: trio.SocketStream, address: str) -> None:
        self._traffic.refused()
        # A client that expects TLS could not read it, and a handshake is not worth it.
        if self._tls is not None or self._refusals >= REFUSALS_MAX:
            return
        self._refusals += 1
        trail = Trail(new_request_id(), client=address, status=TOO_MANY)
        with handling(trail):
            self._edge.instruments.log_request(self._log, trail)
        try:
            with trio.move_on_after(REFUSAL_S):
                await stream.send_all(_refusal(self._edge.policy, trail.request_id))
                await stream.send_eof()
                # Until the client has read it; what it sends is not looked at.
                while await stream.receive_some():
                    pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._refusals -= 1


def _period_s(settings: HttpSettings) -> float:
    """Give how often it is looked for what is overdue: a tenth of the shortest time allowed."""
    shortest_ms = min(
        settings.first_byte_timeout_ms,
        settings.read_timeout_ms,
        settings.body_timeout_ms,
        settings.keep_alive_timeout_ms,
    )
    return min(PERIOD_MAX_S, max(PERIOD_MIN_S, shortest_ms / 10_000))


def _refusal(policy: Policy, request_id: str) -> bytes:
    """Spell out the answer of a server whose connections are all taken."""
    response = problem_of(TooManyConnections()).response()
    headers = [
        *response.headers,
        *policy.added(response.headers),
        *policy.sharing_unread(),
        (REQUEST_ID, request_id.encode("ascii")),
        (b"content-length", str(len(response.body)).encode("ascii")),
        (b"connection", b"close"),
    ]
    lines = [b"HTTP/1.1 503 Service Unavailable", *(b": ".join(header) for header in headers)]
    return b"\r\n".join([*lines, b"", response.body])
