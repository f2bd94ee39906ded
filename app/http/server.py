"""Serves clients: accepts and bounds connections, and at shutdown ends them within a deadline."""

from __future__ import annotations

import gc
import math
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

import trio

from actors.places import Places
from actors.turns import Turns
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
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection

    from structlog.typing import FilteringBoundLogger

    from app.http.asgi.connection import Connection
    from app.http.asgi.lane import HypercornLane
    from app.http.edge import Edge
    from app.http.policy import Policy
    from app.http.settings import HttpSettings
    from app.http.streams import Streams

_T = TypeVar("_T")

TOO_MANY = HTTPStatus.SERVICE_UNAVAILABLE.value
"""The status of the answer when all connections are taken."""

REFUSALS_MAX = 64
"""How many clients beyond the limit get a refusal at a time; more are closed without one."""

REFUSAL_S = 0.5
"""How long one refusal may take."""

EXHAUSTED_LOG_S = 1.0
"""The shortest interval between log events that the system has no more files."""

ENDED_MAX = 8
"""How many connections are ended in one turn of the loop when the server stops.

With TLS each takes about a third of a millisecond, and later phases of the shutdown, which may run
meanwhile, wait for some dozens of turns.
"""

ENDING_S = 0.5
"""How long connections may take to end after the last was told, if telling all took long."""

PERIOD_MIN_S, PERIOD_MAX_S = 0.005, 0.25
"""The bounds of the interval between checks for overdue connections: one may end that late."""


async def serve_http(
    edge: Edge,
    settings: HttpSettings,
    *,
    shutdown: Callable[[], Awaitable[object]],
    log: FilteringBoundLogger,
    streams: Streams | None = None,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> bool:
    """Serve until ``shutdown()`` returns, then finish what is in flight.

    Returns whether it all finished, and no connection had to be aborted.

    ``task_status`` is started with the port once connections are accepted; ``streams`` serves
    requests for event streams. At shutdown the server stops accepting, closes idle connections,
    ends event streams, and gives requests in flight ``shutdown_timeout_ms``; it then aborts what
    is left. Thousands of connections may take longer to end: all are told first. Cancellation
    aborts at once: no client can hold it up.

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
            in_order = await server.drain()
        except BaseException:
            # Sends are shielded from cancellation, so their sockets must be closed first.
            server.abort()
            raise
        nursery.cancel_scope.cancel()
    return in_order


class _Server:
    """The open connections, and what they share."""

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
            # The fast lane does not need it, and so starts sooner and in less memory.
            from app.http.asgi import lane  # noqa: PLC0415

            self._hypercorn = lane.HypercornLane(
                edge, settings, refusals=refusals, streams=streams, log=log
            )
        self._connections: set[Connection | DirectConnection] = set()
        # Of the TLS connections whose handshake is not over.
        self._handshakes: set[trio.CancelScope] = set()
        self._at_work = Handshakes()
        self._addresses = Places(settings.connections_per_address_max)
        self._refusals = 0
        self._none_left = trio.Event()
        self._told_exhausted = -math.inf

    async def handle(self, sock: socket.socket, address: str) -> None:
        """Serve one client, or refuse it if there are too many."""
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
        """Return the key that counts an address's connections; empty if they are not limited.

        A proxy's connections are those of many clients.
        """
        return "" if address in self._settings.trusted_proxies else self._gate.limited_as(address)

    def _may_connect(self, limited_as: str) -> bool:
        """Whether there is room, and with TLS, whose handshake costs most, a request is allowed."""
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
            return self._serve_plain(address, begin_by, None, sock)
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
                partial(self._serve_plain, address, begin_by, handshake),
                handshake=handshake,
                at_work=self._at_work,
                send_s=self._settings.send_timeout_ms / 1000,
                log=self._log,
            )
        # One connection's failure affects no other.
        except Exception as error:  # noqa: BLE001
            if isinstance(error, OSError) and error.errno in EXHAUSTED:
                self.tell_exhausted(error)
            else:
                self._log.error("connection_failed", exc_info=error)
        finally:
            self._handshakes.discard(handshake)

    def tell_exhausted(self, error: OSError) -> None:
        """Log that a connection was not accepted, or with TLS, which takes more files, was closed.

        At a bounded rate: accepting is retried, clients come back at once, and each attempt would
        write a line.
        """
        now = trio.current_time()
        if now - self._told_exhausted >= EXHAUSTED_LOG_S:
            self._told_exhausted = now
            self._log.warning("accept_failed", reason=error.strerror)

    async def _serve_plain(
        self,
        address: str,
        begin_by: float,
        handshake: trio.CancelScope | None,
        sock: socket.socket,
    ) -> bool:
        """Serve a plain or decrypted connection; return whether the client was cut off."""
        if handshake is not None:
            self._handshakes.discard(handshake)
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
        """End overdue connections of the fast lane, until cancelled."""
        if self._hypercorn is not None:
            return
        period_s = _period_s(self._settings)
        while True:
            await trio.sleep(period_s)
            now = trio.current_time()
            for connection in tuple(self._connections):
                if isinstance(connection, DirectConnection):
                    connection.check(now)

    async def drain(self) -> bool:
        """Let requests in flight finish, and close idle connections; abort what is then left.

        Returns whether nothing was left.
        """
        limit_s = self._settings.shutdown_timeout_ms / 1000
        deadline = trio.current_time() + limit_s
        # Thousands of connections may end at once: collecting their garbage, and traversing older
        # objects, again and again is not worth it.
        gc.freeze()
        self._lane.stopping = True
        if self._hypercorn is not None:
            await self._hypercorn.stop()
        async for handshake in _some_at_a_time(self._handshakes):
            handshake.cancel()
        async for connection in _some_at_a_time(self._connections):
            connection.drain()
        with trio.move_on_at(max(deadline, trio.current_time() + min(limit_s, ENDING_S))):
            while self._addresses.total:
                self._none_left = trio.Event()
                await self._none_left.wait()
            return True
        self._log.warning("http_connections_aborted", connections=self._addresses.total)
        async for connection in _some_at_a_time(self._connections):
            connection.abort()
        return False

    def abort(self) -> None:
        """Close every connection at once."""
        for connection in tuple(self._connections):
            connection.abort()

    async def _refuse(self, stream: trio.SocketStream, address: str) -> None:
        self._traffic.refused()
        # A client that expects TLS could not read a refusal, and a handshake is not worth it.
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
                # Until the client has read it; what the client sends is ignored.
                while await stream.receive_some():
                    pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._refusals -= 1


async def _some_at_a_time(items: Collection[_T]) -> AsyncIterator[_T]:
    """Go through what is among ``items`` now, `ENDED_MAX` in each turn of the loop.

    An item that has been removed by its turn is left out.
    """
    turns = Turns(ENDED_MAX)
    for item in tuple(items):
        if item in items:
            yield item
            await turns.worked()


def _period_s(settings: HttpSettings) -> float:
    """Return the interval between checks for overdue connections: a tenth of the least timeout."""
    shortest_ms = min(
        settings.first_byte_timeout_ms,
        settings.read_timeout_ms,
        settings.body_timeout_ms,
        settings.keep_alive_timeout_ms,
    )
    return min(PERIOD_MAX_S, max(PERIOD_MIN_S, shortest_ms / 10_000))


def _refusal(policy: Policy, request_id: str) -> bytes:
    """Render the answer of a server whose connections are all taken."""
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
