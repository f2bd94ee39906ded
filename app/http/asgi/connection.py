"""Drives one client's connection: bytes in, bytes out, deadlines on both.

It replaces Hypercorn's own ``TCPServer`` between a socket and the protocol, and closes its gaps:
an error ends only this connection; every send has a deadline, after which the socket is aborted;
nothing waits for a client that is gone; whatever ends a connection wakes all its tasks.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING

import trio
from hypercorn.events import Closed, RawData, Updated
from hypercorn.trio.task_group import TaskGroup
from hypercorn.typing import ConnectionState, LifespanState

from app.http.asgi.protocol import HttpProtocol
from app.http.cancellation import split_failure
from app.http.head import HeadLimits
from app.http.sockets import LINGER_BYTES_MAX, LINGER_S, SEND_BYTES_MAX, reset_on_close
from app.http.streams.takeover import take_over
from app.http.streams.wire import ClientGone

if TYPE_CHECKING:
    from hypercorn.config import Config
    from hypercorn.events import Event
    from hypercorn.trio.worker_context import WorkerContext
    from hypercorn.typing import AppWrapper
    from structlog.typing import FilteringBoundLogger

    from app.http.bodies import BodyRoom
    from app.http.refusals import Refusals
    from app.http.settings import HttpSettings
    from app.http.streams import Streams
    from app.http.streams.front import StreamFront, StreamRequest

RECEIVE_BYTES_MAX = 64 * 1024
"""How much is read from a socket at once."""


class Connection:
    """One client's connection, from accept to close."""

    def __init__(
        self,
        stream: trio.SocketStream,
        app: AppWrapper,
        *,
        config: Config,
        context: WorkerContext,
        settings: HttpSettings,
        room: BodyRoom,
        refusals: Refusals,
        log: FilteringBoundLogger,
        streams: Streams | None = None,
        client: str | None = None,
        begin_by: float = math.inf,
    ) -> None:
        """Serve ``stream``.

        ``client`` is the client's address, if the socket does not know it. The client may stay
        silent until ``begin_by``, a time of Trio's clock.
        """
        self._client = client
        self._streams = streams
        self._stream = stream
        self._app = app
        self._config = config
        self._context = context
        self._settings = settings
        self._room = room
        self._refusals = refusals
        self._log = log
        self._send_lock = trio.Lock()
        self._reading = trio.CancelScope(deadline=begin_by)
        self._lingering = trio.CancelScope()
        self._quiet = trio.Event()
        self._idle = True
        self._head_begun = False
        self._aborted = False
        self._protocol: HttpProtocol | None = None
        self._events: StreamFront | None = None
        self._stream_input_left = False

    async def serve(self) -> None:
        """Serve the connection until either side closes it; raises only cancellations."""
        try:
            await self._serve()
        # One connection's failure affects no other.
        except Exception as error:  # noqa: BLE001
            self._failed(error)
        except BaseExceptionGroup as group:
            failed, cancelled = split_failure(group)
            self._failed(failed)
            raise cancelled from None
        finally:
            if self._protocol is not None:
                self._protocol.give_back()
            await self._close()

    def drain(self) -> None:
        """Finish the request in flight, if there is one, then close (the server shuts down)."""
        self._lingering.cancel()
        if self._idle:
            self._reading.cancel()
        elif self._events is not None:
            self._events.drain()

    def abort(self) -> None:
        """Close at once with a reset, whatever is in progress; wakes all its tasks."""
        if self._aborted:
            return
        self._aborted = True
        if self._events is not None:
            self._events.cut()
        sock = self._stream.socket
        with suppress(OSError):  # The peer has reset it already, or it is closed.
            reset_on_close(sock)
        sock.close()
        self._reading.cancel()

    @property
    def cut_off(self) -> bool:
        """Whether it ended with a reset."""
        return self._aborted

    async def _serve(self) -> None:
        sock = self._stream.socket
        try:
            client, server = sock.getpeername()[:2], sock.getsockname()[:2]
        except OSError:
            return  # The client left before it was served.
        if self._client is not None:
            client = (self._client, 0)
        async with TaskGroup() as group:
            protocol = self._protocol = HttpProtocol(
                self._app,
                self._config,
                self._context,
                group,
                ConnectionState(LifespanState({})),
                ssl=False,
                client=client,
                server=server,
                send=self._send,
                limits=HeadLimits.of(self._settings),
                room=self._room,
                refusals=self._refusals,
                pipelined_max=self._settings.pipelined_max,
                streams=self._streams is not None,
            )
            if self._context.terminated.is_set():
                self._reading.cancel()
            with self._reading:
                await self._read(protocol)
            await protocol.handle(Closed())
            handover = protocol.handover
        if handover is not None and self._streams is not None and not self._aborted:
            # A stream lasts: release what served the request so far, and its body.
            protocol.give_back()
            self._protocol = None
            del protocol, group
            await self._follow(self._streams, *handover)

    async def _follow(
        self, streams: Streams, front: type[StreamFront], request: StreamRequest
    ) -> None:
        """Serve an event stream on what was an HTTP connection, until it ends."""
        events = self._events = take_over(
            streams, self._stream, front, request, settings=self._settings, log=self._log
        )
        del request
        if self._context.terminated.is_set():
            events.drain()
        try:
            await events.run()
        except ClientGone:
            self.abort()
        self._stream_input_left = events.input_left

    async def _read(self, protocol: HttpProtocol) -> None:
        while True:
            try:
                data = await self._stream.receive_some(RECEIVE_BYTES_MAX)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            await protocol.handle(RawData(bytes(data)))
            if protocol.handover is not None:
                return
            if not data:
                break
            if self._idle and not self._head_begun and protocol.head_begun:
                self._head_begun = True
                self._reading.deadline = trio.current_time() + self._settings.read_timeout_ms / 1000
        # The client has sent all it will, but may still wait for its answer.
        while not self._idle:
            self._quiet = trio.Event()
            await self._quiet.wait()

    async def _send(self, event: Event) -> None:
        """Handle the protocol's output to the client or about the connection."""
        if isinstance(event, RawData):
            if event.data and not self._aborted:
                async with self._send_lock:
                    await self._send_all(event.data)
        elif isinstance(event, Updated):
            self._set_idle(idle=event.idle)
        else:
            await self._end()

    async def _send_all(self, data: bytes) -> None:
        timeout_s = self._settings.send_timeout_ms / 1000
        try:
            # Shielded: half an answer would garble what follows. The deadline bounds it.
            with trio.CancelScope(shield=True) as deadline:
                for start in range(0, len(data), SEND_BYTES_MAX):
                    deadline.deadline = trio.current_time() + timeout_s
                    await self._stream.send_all(data[start : start + SEND_BYTES_MAX])
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        else:
            if not deadline.cancelled_caught:
                return
            self._log.info("client_stalled", timeout_ms=self._settings.send_timeout_ms)
        try:
            await self._end()
        finally:
            self.abort()

    async def _end(self) -> None:
        """Notify the application that its client is gone, then stop reading.

        In this order, because the reading task itself may be running this.
        """
        try:
            if self._protocol is not None:  # pragma: no branch - only the protocol ends itself
                await self._protocol.handle(Closed())
        finally:
            self._reading.cancel()

    def _set_idle(self, *, idle: bool) -> None:
        self._idle = idle
        self._head_begun = False
        if idle:
            timeout_s = self._settings.keep_alive_timeout_ms / 1000
            self._reading.deadline = trio.current_time() + timeout_s
            self._quiet.set()
        else:
            self._reading.deadline = float("inf")

    async def _close(self) -> None:
        try:
            left = self._stream_input_left or (
                self._protocol is not None and self._protocol.input_left
            )
            if left and not self._aborted:
                await self._linger()
        finally:
            self._stream.socket.close()

    async def _linger(self) -> None:
        """Signal the end of output, and let the client finish sending, within bounds."""
        left = LINGER_BYTES_MAX
        self._lingering.deadline = trio.current_time() + LINGER_S
        try:
            with self._lingering:
                await self._stream.send_eof()
                while left > 0:
                    data = await self._stream.receive_some(RECEIVE_BYTES_MAX)
                    if not data:
                        return
                    left -= len(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    def _failed(self, error: Exception) -> None:
        self._log.error("connection_failed", exc_info=error)
