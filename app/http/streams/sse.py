"""Server-Sent Events, as the HTML Living Standard defines them (section 9.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.http.streams.front import Admission, StreamFront
from app.http.streams.routes import EVENT_STREAM, SSE
from app.http.streams.translate import BYE, end_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.http.streams.front import StreamRequest
    from app.http.streams.registry import Streams
    from app.http.streams.translate import WireEvent
    from app.http.streams.wire import Wire

RETRY_MS: Final = 1_000
"""How long clients are asked to wait before they reconnect."""

_HEADERS: Final = (
    (b"content-type", EVENT_STREAM),
    (b"cache-control", b"no-store"),
    # Asks buffering proxies not to buffer this answer.
    (b"x-accel-buffering", b"no"),
    (b"connection", b"close"),
)
_CHUNKED: Final = (b"transfer-encoding", b"chunked")
_LAST_CHUNK: Final = b"0\r\n\r\n"
# A blank line ends an event, and in some clients (httpx-sse) even one without data, which ends
# their stream. So only data is followed by one: these lines precede the next event.
_BEAT: Final = b":\n"
_RETRY: Final = b"retry: %d\n" % RETRY_MS


class SseStream(StreamFront):
    """One account's events on one endless HTTP response."""

    __slots__ = ("_chunked",)

    endpoint = SSE

    def __init__(self, streams: Streams, wire: Wire, request: StreamRequest) -> None:
        super().__init__(streams, wire, request)
        self._chunked = True

    async def admit(self, request: StreamRequest) -> Admission:
        """Check the request."""
        # HTTP/1.0 has no chunks: there the end of the connection is the end of the answer.
        self._chunked = request.http_version == b"1.1"
        return await self.check(request, request.headers)

    async def take(self, data: bytes) -> None:
        """Ignore what follows the request: the connection will answer nothing else."""

    async def begin(self) -> None:
        """Start the response."""
        await self.start(200, (*_HEADERS, _CHUNKED) if self._chunked else _HEADERS)
        await self._write(_RETRY)

    async def tell(self, events: Sequence[WireEvent]) -> None:
        """Send events, all in one piece."""
        if events:
            await self._write(b"".join(map(encode, events)))
            self.streams.told(len(events))

    async def beat(self) -> None:
        """Send a comment."""
        await self._write(_BEAT)

    async def end(self, last: WireEvent) -> None:
        """End the response."""
        await self.wire.send(self._ending(last))

    def say_goodbye(self) -> None:
        """End the response without waiting."""
        self.wire.send_last(self._ending(end_of(BYE)))

    def _ending(self, last: WireEvent) -> bytes:
        return self._framed(encode(last)) + (_LAST_CHUNK if self._chunked else b"")

    async def _write(self, data: bytes) -> None:
        await self.wire.send(self._framed(data))

    def _framed(self, data: bytes) -> bytes:
        return b"%x\r\n%s\r\n" % (len(data), data) if self._chunked else data


def encode(event: WireEvent) -> bytes:
    """Encode an event; its JSON contains no line breaks."""
    head = b"" if event.id is None else b"id: %d\n" % event.id
    return b"%sevent: %s\ndata: %s\n\n" % (head, event.name.encode("utf-8"), event.data)
