"""HTTP/1.1 with Hypercorn and h11, without the features that this server does not need.

It disables Hypercorn's own upgrades to WebSocket and HTTP/2 (a failed WebSocket handshake raises
through its connection), and anything that would let two servers disagree on where a request ends.
What Hypercorn itself refuses becomes a problem with a request id, like everything else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import h11
from hypercorn.events import RawData
from hypercorn.protocol.events import Request, Response, StreamClosed
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import ConnectionState

from app.http.asgi.arrival import Arrival
from app.http.direct.body import ChunkedBody
from app.http.edge import request_id_of
from app.http.errors import HttpError, MalformedRequest
from app.http.exchange import Headers
from app.http.head import HEAD_END, NEVER_SERVED, TOO_SHORT, check_begun, parse_head, path_of
from app.http.reasons import reason_of
from app.http.streams.front import StreamRequest
from app.http.streams.fronts import FRONTS

if TYPE_CHECKING:
    from hypercorn.events import Event as ConnectionEvent
    from hypercorn.protocol.events import Event
    from hypercorn.typing import H11SendableEvent

    from app.http.bodies import BodyRoom
    from app.http.head import Head, HeadLimits
    from app.http.refusals import Refusals
    from app.http.streams.front import StreamFront

_CLOSE = (b"connection", b"close")


class _StrictConnection(h11.Connection):
    """h11 that checks, before it accepts a request, whether its head may be served."""

    def __init__(self, limits: HeadLimits, room: BodyRoom) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size=limits.bytes_max)
        self._limits = limits
        self._room = room
        self._body_size = self._body_bytes = 0
        self.head: Head | None = None
        """The head of the current request."""
        self.fault: HttpError | None = None
        """Why the connection cannot go on."""
        self.body_fault: HttpError | None = None
        """The same, if the fault is in the body of the current request."""
        self._in_body = False
        self._chunks: ChunkedBody | None = None

    @property
    def they_are_waiting_for_100_continue(self) -> bool:
        """Always False for Hypercorn, which would not wait until the body is requested."""
        return False

    @property
    def waits_to_continue(self) -> bool:
        """Whether the client waits for 100 Continue before it sends a body that may come."""
        if self.head is None or (self.head.length or 0) > self._limits.body_bytes_max:
            return False
        return super().they_are_waiting_for_100_continue and not self.trailing_data[0]

    def next_event(self) -> type[h11.NEED_DATA | h11.PAUSED] | h11.Event:
        """Return the next event like h11; raises like h11 if the head is at fault.

        A body that cannot be read ends early, and nothing follows it: see `body_fault`.
        """
        if self.fault is None:
            try:
                return self._next_event()
            except HttpError as fault:
                # Its traceback would keep the received data alive, in a cycle.
                self.fault = fault.with_traceback(None)
            except h11.RemoteProtocolError:
                text = TOO_SHORT if self.trailing_data[1] else "this is not HTTP/1.1"
                self.fault = MalformedRequest(text)
        if not self._in_body:
            raise h11.RemoteProtocolError(str(self.fault))
        if self.body_fault is not None:
            return h11.PAUSED
        self.body_fault = self.fault
        return h11.EndOfMessage()

    def _next_event(self) -> type[h11.NEED_DATA | h11.PAUSED] | h11.Event:
        if self.their_state is h11.IDLE:
            self._check(self.trailing_data[0])
        if self.their_state is h11.MUST_CLOSE and self.trailing_data[0]:
            # Data after a last request is ignored; h11 would refuse that request because of it.
            return h11.PAUSED
        event = super().next_event()
        if isinstance(event, h11.Data):
            self._body_size += len(event.data)
            self._body_bytes = self._room.take(self._body_bytes, self._body_size)
        elif isinstance(event, h11.Request):
            self._in_body = True
            self._body_size = 0
            if self.head is not None and self.head.length is None:
                # h11 accepts bare line feeds as line ends: a stricter parser reads along.
                limits = self._limits
                self._chunks = ChunkedBody(limits.body_bytes_max, limits.bytes_max)
                self._read_along(self.trailing_data[0])
        elif isinstance(event, h11.EndOfMessage):
            self._in_body = False
        return event

    def give_back(self) -> None:
        """Give back the room that the body of the current request takes."""
        self._room.give_back(self._body_bytes)
        self._body_bytes = 0

    def receive_data(self, data: bytes) -> None:
        """Process received data."""
        super().receive_data(data)
        self._read_along(data)

    def _read_along(self, data: bytes) -> None:
        if self._chunks is None or self.fault is not None:
            return
        try:
            if self._chunks.feed(data) is not None:
                self._chunks = None
        except HttpError as fault:
            self.fault = fault

    def _check(self, data: bytes) -> None:
        end = data.find(HEAD_END)
        if end >= 0:
            self.head = parse_head(data[: end + len(HEAD_END)], self._limits)
        elif data:
            check_begun(data, self._limits)


class HttpProtocol(H11Protocol):
    """One connection's HTTP, driven by `app.http.asgi.connection`.

    If there are ``streams``, a request for an event stream is not served here: it is left in
    ``handover`` for the owner of the connection, and nothing more is read.
    """

    def __init__(
        self,
        *args: Any,
        limits: HeadLimits,
        room: BodyRoom,
        refusals: Refusals,
        pipelined_max: int,
        streams: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.connection = self._strict = _StrictConnection(limits, room)
        self._refusals = refusals
        self._pipelined_max = pipelined_max
        self._answered_in_a_row = 0
        self._method = ""
        self._cut_short = False
        self._cut_off = False
        self._streams = streams
        self.handover: tuple[type[StreamFront], StreamRequest] | None = None

    @property
    def input_left(self) -> bool:
        """Whether the client may still be sending data that will not be read."""
        return (
            self._cut_short
            or self._strict.fault is not None
            or self.connection.their_state in {h11.SEND_BODY, h11.ERROR}
            or self.connection.trailing_data[0] != b""
        )

    @property
    def head_begun(self) -> bool:
        """Whether a request's head has arrived in part."""
        return self.connection.their_state is h11.IDLE and self.connection.trailing_data[0] != b""

    async def handle(self, event: ConnectionEvent) -> None:
        """Process received data; it is answered before this is called with more."""
        self._answered_in_a_row = 0
        await super().handle(event)

    async def stream_send(self, event: Event) -> None:
        """Send what the application answers, and mark the connection's last answer.

        An answer that was cut off while it began stays cut off: Hypercorn would begin another.
        """
        if isinstance(event, Response):
            self._cut_off = self.connection.our_state not in {h11.IDLE, h11.SEND_RESPONSE}
            if self._cut_off:
                return
            self._answered_in_a_row += 1
            if self._answers_last():
                event = replace(event, headers=[*event.headers, _CLOSE])
                self._cut_short = not self.context.terminated.is_set()
        if not self._cut_off or isinstance(event, StreamClosed):
            await super().stream_send(event)

    def _answers_last(self) -> bool:
        """Whether an answer is the connection's last one.

        It is at shutdown, after a method that is never served, after as many answers as a client
        may pipeline requests, and if the request's body was not awaited: the rest of it cannot be
        told from a next request.
        """
        return (
            self.connection.their_state in {h11.SEND_BODY, h11.ERROR}
            or self._answered_in_a_row >= self._pipelined_max
            or self._method in NEVER_SERVED
            or self.context.terminated.is_set()
        )

    def give_back(self) -> None:
        """Give back the room for bodies that the current request takes."""
        self._strict.give_back()

    async def _maybe_recycle(self) -> None:
        self.give_back()
        await super()._maybe_recycle()

    async def _check_protocol(self, event: h11.Request) -> None:
        """Never upgrade."""

    async def _create_stream(self, request: h11.Request) -> None:
        self._method = request.method.decode("ascii")
        path = path_of(request.target.partition(b"?")[0])
        front = FRONTS.get(path) if self._streams else None
        if front is not None:
            self._hand_over(front, request)
            return
        self.stream = HTTPStream(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        self.keep_alive_requests += 1
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=list(request.headers),
                http_version=request.http_version.decode("ascii"),
                method=self._method,
                raw_path=request.target,
                state=ConnectionState({"arrival": Arrival(self._go_on, self._body_fault)}),
            )
        )

    async def _go_on(self) -> None:
        if self._strict.waits_to_continue:
            await self._send_h11_event(h11.InformationalResponse(status_code=100, headers=[]))

    def _body_fault(self) -> HttpError | None:
        return self._strict.body_fault

    def _hand_over(self, front: type[StreamFront], request: h11.Request) -> None:
        headers = Headers(request.headers)
        stream_request = StreamRequest(
            self._method,
            request.target,
            request.http_version,
            headers,
            request_id_of(headers),
            client=self.client[0] if self.client else "",
            early=self.connection.trailing_data[0],
        )
        self.handover = (front, stream_request)

    async def _send_error_response(self, status_code: int) -> None:  # noqa: ARG002 - as Hypercorn has it
        """Answer a refused head; Hypercorn then closes the connection."""
        fault = self._strict.fault or MalformedRequest("this is not HTTP/1.1")
        client = self.client[0] if self.client else ""
        head = self.connection.trailing_data[0]
        await self.send(RawData(self._refusals.answer(fault, head, client)))

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        if isinstance(event, h11.Response | h11.InformationalResponse):
            status = event.status_code
            event = type(event)(headers=event.headers, status_code=status, reason=reason_of(status))
        await super()._send_h11_event(event)
