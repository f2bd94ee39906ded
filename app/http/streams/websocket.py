"""The same stream over WebSocket (RFC 6455), one JSON message for each event.

wsproto does the framing. Compression is not offered: its state would cost many times as much as a
stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import trio
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import LocalProtocolError

from app.http.exchange import Headers
from app.http.json import decode_body
from app.http.streams.front import Admission, StreamFront, StreamOver
from app.http.streams.handshake import (
    accepting_headers,
    check_handshake,
    offered_subprotocols,
    offered_token,
)
from app.http.streams.routes import WEBSOCKET
from app.http.streams.translate import BYE, end_of
from app.http.types.events import StreamLogin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsproto.events import Event as FrameEvent

    from app.http.exchange import HttpResponse
    from app.http.streams.front import StreamRequest
    from app.http.streams.registry import Streams
    from app.http.streams.translate import WireEvent
    from app.http.streams.wire import Wire

LOGIN_BYTES_MAX: Final = 16 * 1024
"""How long a client's login message may be."""

FRAMES_MAX: Final = 64
"""How many frames a client may send between two messages of the server.

It has few to send: a login, pings, an answer to each of the server's pings. A flood would take the
CPU from everybody, because the rate limits do not apply to data on a stream.
"""

CLOSE_S: Final = 1.0
"""How long the other side may take to answer a close."""

_GOING_AWAY = 1001
_POLICY = 1008
_TOO_BIG = 1009
_TRY_AGAIN_LATER = 1013
_SERVER_ERROR = 500


class _Slug(msgspec.Struct):
    """The one member of a problem that fits into a close frame."""

    type: str


class WebSocketStream(StreamFront):
    """One account's events on one WebSocket."""

    __slots__ = (
        "_accepted",
        "_accepting",
        "_early",
        "_frames",
        "_frames_left",
        "_login",
        "_login_whole",
    )

    endpoint = WEBSOCKET

    def __init__(self, streams: Streams, wire: Wire, request: StreamRequest) -> None:
        super().__init__(streams, wire, request)
        self._accepting: Sequence[tuple[bytes, bytes]] = ()
        self._early = b""
        self._frames = Connection(ConnectionType.SERVER)
        self._frames_left = FRAMES_MAX
        self._accepted = False
        # The login message received so far; None while none is expected.
        self._login: bytearray | None = None
        self._login_whole = False

    # ------------------------------------------------------------- who it is

    def check_form(self, request: StreamRequest) -> None:
        """Check the handshake as well."""
        super().check_form(request)
        check_handshake(request.headers, request.http_version)

    async def admit(self, request: StreamRequest) -> Admission:
        """Check the request, or accept the client and wait for its first message."""
        headers = request.headers
        self._accepting = accepting_headers(headers)
        self._early = request.early
        if headers.all(b"authorization"):
            return await self.check(request, headers)
        token = offered_token(offered_subprotocols(headers))
        if token is not None:
            return await self.check(request, _with_token(headers, token))
        await self.begin()
        login = await self._wait_for_login()
        headers = _with_token(headers, login.access_token.encode("utf-8"))
        return await self.check(request, headers, login.after)

    async def begin(self) -> None:
        """Accept the handshake, once."""
        if not self._accepted:
            self._accepted = True
            await self.start(101, self._accepting)
            self._accepting = ()

    async def _wait_for_login(self) -> StreamLogin:
        self._login = bytearray()
        early, self._early = self._early, b""
        await self.take(early)
        with trio.move_on_after(self.streams.settings.login_seconds):
            while not self._login_whole:
                await self.wait_for_client()
        if not self._login_whole:
            await self._close(_POLICY, "no access token arrived in time")
            raise StreamOver
        login, self._login = bytes(self._login), None
        return decode_body(login, StreamLogin)

    # ------------------------------------------------------------- what the client sends

    async def take(self, data: bytes) -> None:
        """Process frames."""
        self._frames.receive_data(data)
        for event in self._frames.events():
            part = isinstance(event, TextMessage | BytesMessage) and not event.frame_finished
            self._frames_left -= not part
            if self._frames_left < 0:
                await self._close(_POLICY, "too many frames")
                raise StreamOver
            match event:
                case Ping():
                    await self._send(event.response())
                case TextMessage() | BytesMessage():
                    await self._take_message(event)
                case CloseConnection():
                    await self._send(event.response())
                    # A close caused by an invalid frame is ours: the client goes on sending.
                    self.input_left = self._frames.state is not ConnectionState.CLOSED
                    raise StreamOver
                case _:
                    pass

    async def _take_message(self, message: TextMessage | BytesMessage) -> None:
        """Process a piece of the login; nothing else is expected from a client."""
        if self._login is None or self._login_whole:
            await self._close(_POLICY, "messages from the client are not expected")
            raise StreamOver
        data = message.data
        self._login += data.encode("utf-8") if isinstance(data, str) else data
        if len(self._login) > LOGIN_BYTES_MAX:
            await self._close(_TOO_BIG, "the message is too long")
            raise StreamOver
        self._login_whole = message.message_finished

    # ------------------------------------------------------------- what is told

    async def tell(self, events: Sequence[WireEvent]) -> None:
        """Send events, each as its own message, all in one piece."""
        early, self._early = self._early, b""
        if early:
            await self.take(early)
        if events:
            self._frames_left = FRAMES_MAX
            await self.wire.send(b"".join(map(self._message, events)))
            self.streams.told(len(events))

    async def beat(self) -> None:
        """Send a ping."""
        self._frames_left = FRAMES_MAX
        await self._send(Ping())

    async def end(self, last: WireEvent) -> None:
        """Send the reason, close, and give the client a moment to do the same."""
        await self.wire.send(self._message(last))
        await self._close(_POLICY, last.name)
        with trio.move_on_after(CLOSE_S):
            # Earlier data has woken the follower, which does not follow any more.
            await self.heed()
            while True:
                await self.wait_for_client()
        self.input_left = False

    def say_goodbye(self) -> None:
        """Announce that the server stops, and close, without waiting."""
        closing = self._message(end_of(BYE)) + self._framed(CloseConnection(_GOING_AWAY, BYE))
        self.wire.send_last(closing)

    async def fail(self, problem: HttpResponse) -> None:
        """Refuse the request, or once it was accepted, put the problem into the close frame."""
        if not self._accepted:
            await super().fail(problem)
            return
        code = _POLICY if problem.status < _SERVER_ERROR else _TRY_AGAIN_LATER
        slug = msgspec.json.decode(problem.body, type=_Slug).type.removeprefix("/problems/")
        await self._close(code, slug)

    def _message(self, event: WireEvent) -> bytes:
        whole = {"id": event.id, "event": event.name, "data": msgspec.Raw(event.data)}
        return self._framed(TextMessage(msgspec.json.encode(whole).decode("utf-8")))

    def _framed(self, event: FrameEvent) -> bytes:
        try:
            return self._frames.send(event)
        except LocalProtocolError:
            return b""  # It is closed: there is no receiver.

    async def _send(self, event: FrameEvent) -> None:
        await self.wire.send(self._framed(event))

    async def _close(self, code: int, reason: str) -> None:
        self.input_left = True
        await self._send(CloseConnection(code, reason))


def _with_token(headers: Headers, token: bytes) -> Headers:
    """Return the relevant headers, as if they had carried the token."""
    return Headers(
        [
            *((b"last-event-id", value) for value in headers.all(b"last-event-id")),
            (b"authorization", b"Bearer " + token),
        ]
    )
