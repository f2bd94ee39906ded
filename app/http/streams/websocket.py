"""The same stream over WebSocket (RFC 6455), one JSON message for each event.

The framing is wsproto's; the handshake is checked here, strictly, because what is wrong with one
must be an answer to its client and nothing else. Compression is not offered: its state would cost
many times what a stream costs.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

import msgspec
import trio
from hypercorn.protocol.events import Data
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import LocalProtocolError, generate_accept_token

from app.http.errors import HttpError, MalformedRequest, UpgradeRequired
from app.http.exchange import Headers
from app.http.json import decode_body
from app.http.streams.front import STREAM_ID, Admission, StreamFront, headers_of
from app.http.streams.routes import WEBSOCKET
from app.http.streams.translate import BYE
from app.http.types.events import StreamLogin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import h11
    from hypercorn.protocol.events import Event
    from wsproto.events import Event as FrameEvent

    from app.http.streams.registry import Streams
    from app.http.streams.translate import WireEvent

SUBPROTOCOL: Final = b"holdfast.events"
"""What a client may offer; the server then says that it speaks it."""

TOKEN_SUBPROTOCOL: Final = b"bearer."
"""What begins an offered subprotocol that carries the token: browsers can set no header."""

LOGIN_BYTES_MAX: Final = 16 * 1024
"""How long the message may be with which a client logs in."""

CLOSE_S: Final = 1.0
"""How long the other side may take to answer a close."""

VERSION: Final = b"13"
_KEY_BYTES = 16

_GOING_AWAY = 1001
_POLICY = 1008
_TOO_BIG = 1009
_INTERNAL_ERROR = 1011
_TRY_AGAIN_LATER = 1013
_SERVER_ERROR = 500


class _Slug(msgspec.Struct):
    """The one member of a problem that fits into a close frame."""

    type: str


class LoginFailed(Exception):
    """The first message did not log anybody in; the reason is told in the close frame."""


class WebSocketStream(StreamFront):
    """One account's events on one WebSocket."""

    endpoint = WEBSOCKET

    def __init__(
        self,
        streams: Streams,
        request: h11.Request,
        send: Callable[[Event], Awaitable[None]],
    ) -> None:
        super().__init__(streams, request, send)
        self._fault = _fault(request)
        self._wire: Connection | None = None
        self._accepting: list[tuple[bytes, bytes]] = []
        self._early = b""
        self._login = bytearray()
        self._login_came: trio.Event | None = None

    @property
    def is_handshake(self) -> bool:
        """Whether what follows the request may be frames; otherwise it is refused as HTTP."""
        return self._fault is None

    # ------------------------------------------------------------- the handshake

    async def admit(self) -> Admission:
        """Check the request, or let the client in and wait for its first message.

        Raises whatever the request is to be refused with; `LoginFailed` once it was let in.
        """
        request = self.take_request()
        if self._fault is not None:
            raise self._fault
        headers = headers_of(request)
        offered = _offered(headers)
        self._accepting = _accepting(headers, offered)
        if not headers.all(b"authorization"):
            token = next((each for each in offered if each.startswith(TOKEN_SUBPROTOCOL)), None)
            if token is None:
                return await self._let_in(request, headers)
            headers = _with_token(headers, token.removeprefix(TOKEN_SUBPROTOCOL))
        return await self.check(request, headers)

    async def _let_in(self, request: h11.Request, headers: Headers) -> Admission:
        """Open the WebSocket for somebody who then says who it is."""
        await self.begin()
        login = await self._wait_for_login()
        token = login.access_token.encode("utf-8")
        return await self.check(request, _with_token(headers, token), login.after)

    async def begin(self) -> None:
        """Accept the handshake, once."""
        if self._wire is not None:
            return
        await self.start(101, self._accepting)
        self._accepting = []
        self._wire = Connection(ConnectionType.SERVER)
        early, self._early = self._early, b""
        if early:
            await self._take(self._wire, early)

    async def _wait_for_login(self) -> StreamLogin:
        came = self._login_came = trio.Event()
        with trio.move_on_after(self._streams.settings.login_seconds):
            await came.wait()
            return decode_body(bytes(self._login), StreamLogin)
        raise LoginFailed("no access token came in time")

    # ------------------------------------------------------------- what the client sends

    async def received(self, event: Event) -> None:
        """Take bytes; those that came before the handshake was answered wait, within bounds."""
        if not isinstance(event, Data):
            return
        if self._wire is not None:
            await self._take(self._wire, event.data)
        elif len(self._early) + len(event.data) <= LOGIN_BYTES_MAX:
            self._early += event.data
        else:
            self.stop()

    async def _take(self, wire: Connection, data: bytes) -> None:
        try:
            wire.receive_data(data)
        except LocalProtocolError:
            return  # It is closed: what still comes is of no interest.
        for event in wire.events():
            match event:
                case Ping():
                    await self._frame(event.response())
                case TextMessage() | BytesMessage():
                    await self._take_message(event)
                case CloseConnection():
                    await self._frame(event.response())
                    self.stop()
                case _:
                    pass

    async def _take_message(self, message: TextMessage | BytesMessage) -> None:
        """Take a piece of the login; nothing else is asked of a client."""
        if self._login_came is None or self._login_came.is_set():
            await self._close(_POLICY, "nothing is expected from the client")
            self.stop()
            return
        data = message.data
        self._login += data.encode("utf-8") if isinstance(data, str) else data
        if len(self._login) > LOGIN_BYTES_MAX:
            await self._close(_TOO_BIG, "the message is too long")
            self.stop()
        elif message.message_finished:
            self._login_came.set()

    # ------------------------------------------------------------- what is told

    async def tell(self, events: Sequence[WireEvent]) -> None:
        """Send events, each as a message of its own, in one piece."""
        await self._write(b"".join(map(self._message, events)))
        self._streams.told(len(events))

    async def beat(self) -> None:
        """Send a ping."""
        await self._frame(Ping())

    async def end(self, last: WireEvent | None) -> None:
        """Say why, close, and give the client a moment to do the same."""
        if last is None:
            await self._close(_INTERNAL_ERROR, "the server met something it did not foresee")
            return
        await self._write(self._message(last))
        await self._close(_GOING_AWAY if last.name == BYE else _POLICY, last.name)
        # The answer to the close ends this wait by stopping the stream.
        if not self.draining:
            await trio.sleep(CLOSE_S)

    async def failed(self, error: Exception) -> None:
        """Say what it is: as a problem to the request, or once that was granted, in closing."""
        if self._wire is None:
            await super().failed(error)
            return
        if isinstance(error, LoginFailed):
            await self._close(_POLICY, str(error))
            return
        response = self.refusal(error)
        slug = msgspec.json.decode(response.body, type=_Slug).type.removeprefix("/problems/")
        await self._close(_POLICY if response.status < _SERVER_ERROR else _TRY_AGAIN_LATER, slug)

    def _message(self, event: WireEvent) -> bytes:
        whole = {"id": event.id, "event": event.name, "data": msgspec.Raw(event.data)}
        return self._framed(TextMessage(msgspec.json.encode(whole).decode("utf-8")))

    def _framed(self, event: FrameEvent) -> bytes:
        if self._wire is None:
            return b""
        try:
            return self._wire.send(event)
        except LocalProtocolError:
            return b""  # It is closed: there is nobody to tell.

    async def _frame(self, event: FrameEvent) -> None:
        await self._write(self._framed(event))

    async def _close(self, code: int, reason: str) -> None:
        await self._frame(CloseConnection(code, reason))

    async def _write(self, data: bytes) -> None:
        if data:
            await self._send(Data(stream_id=STREAM_ID, data=data))


def _fault(request: h11.Request) -> HttpError | None:
    try:
        check_handshake(request)
    except HttpError as fault:
        return fault
    return None


def check_handshake(request: h11.Request) -> None:
    """Check everything about an opening handshake but who it is (RFC 6455, 4.2.1).

    Raises:
        UpgradeRequired: it is none.
        MalformedRequest: it is one, but not as it must be.
    """
    headers = headers_of(request)
    if b"websocket" not in _tokens(headers, b"upgrade"):
        raise UpgradeRequired("open a WebSocket here: send Upgrade: websocket")
    if request.http_version != b"1.1" or b"upgrade" not in _tokens(headers, b"connection"):
        raise MalformedRequest("a handshake is an HTTP/1.1 request with Connection: Upgrade")
    if headers.all(b"sec-websocket-version") != [VERSION]:
        raise UpgradeRequired("this server speaks version 13 of WebSocket")
    keys = headers.all(b"sec-websocket-key")
    if len(keys) != 1 or not _is_key(keys[0]):
        raise MalformedRequest("Sec-WebSocket-Key must be 16 bytes in base64, given once")
    if headers.all(b"content-length") not in ([], [b"0"]) or headers.all(b"transfer-encoding"):
        raise MalformedRequest("a handshake has no body")


def _is_key(text: bytes) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == _KEY_BYTES
    except binascii.Error:
        return False


def _tokens(headers: Headers, name: bytes) -> set[bytes]:
    """Give the elements of a header that is a list, in lower case."""
    return {token.strip().lower() for value in headers.all(name) for token in value.split(b",")}


def _offered(headers: Headers) -> list[bytes]:
    """Give the subprotocols that a client offers, in its order."""
    values = headers.all(b"sec-websocket-protocol")
    return [token.strip() for value in values for token in value.split(b",")]


def _accepting(headers: Headers, offered: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    """Give the headers that accept a handshake; a token that was offered is never repeated."""
    [key] = headers.all(b"sec-websocket-key")
    accepting = [
        (b"upgrade", b"websocket"),
        (b"connection", b"Upgrade"),
        (b"sec-websocket-accept", generate_accept_token(key)),
    ]
    if SUBPROTOCOL in offered:
        accepting.append((b"sec-websocket-protocol", SUBPROTOCOL))
    return accepting


def _with_token(headers: Headers, token: bytes) -> Headers:
    """Give a request's headers as if they had carried the token."""
    return Headers(
        [
            *((b"last-event-id", value) for value in headers.all(b"last-event-id")),
            (b"authorization", b"Bearer " + token),
        ]
    )
