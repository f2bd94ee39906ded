"""Server-Sent Events, as the HTML Living Standard defines them (section 9.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hypercorn.protocol.events import Body, EndBody

from app.http.streams.front import STREAM_ID, Admission, StreamFront, headers_of
from app.http.streams.routes import EVENT_STREAM, SSE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypercorn.protocol.events import Event

    from app.http.streams.translate import WireEvent

RETRY_MS: Final = 1_000
"""How long a client is told to wait before it reconnects."""

_HEADERS: Final = (
    (b"content-type", EVENT_STREAM),
    (b"cache-control", b"no-store"),
    # Proxies that gather an answer before they pass it on are asked not to.
    (b"x-accel-buffering", b"no"),
)
_BEAT: Final = b":\n\n"


class SseStream(StreamFront):
    """One account's events on one HTTP response that does not end by itself."""

    endpoint = SSE

    async def received(self, event: Event) -> None:
        """Pass over a body: a stream has no use for one."""

    async def admit(self) -> Admission:
        """Check the request."""
        request = self.take_request()
        return await self.check(request, headers_of(request))

    async def begin(self) -> None:
        """Start the response."""
        await self.start(200, _HEADERS)
        await self._write(b"retry: %d\n\n" % RETRY_MS)

    async def tell(self, events: Sequence[WireEvent]) -> None:
        """Send events, as many as there are in one piece."""
        await self._write(b"".join(map(encode, events)))
        self._streams.told(len(events))

    async def beat(self) -> None:
        """Send a comment."""
        await self._write(_BEAT)

    async def end(self, last: WireEvent | None) -> None:
        """End the response."""
        if last is not None:
            await self._write(encode(last))
        await self._send(EndBody(stream_id=STREAM_ID))

    async def _write(self, data: bytes) -> None:
        await self._send(Body(stream_id=STREAM_ID, data=data))


def encode(event: WireEvent) -> bytes:
    """Spell an event out; JSON has no line breaks of its own."""
    head = b"" if event.id is None else b"id: %d\n" % event.id
    return b"%sevent: %s\ndata: %s\n\n" % (head, event.name.encode("utf-8"), event.data)
