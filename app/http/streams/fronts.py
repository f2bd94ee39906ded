"""Which requests are for a stream, and what serves them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from app.http.errors import HttpError, MalformedRequest, MethodNotAllowed
from app.http.streams.handshake import check_handshake
from app.http.streams.routes import SSE_PATH, WEBSOCKET_PATH
from app.http.streams.sse import SseStream
from app.http.streams.websocket import WebSocketStream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.http.exchange import Headers
    from app.http.streams.front import StreamFront

_FRONTS: Mapping[str, type[StreamFront]] = MappingProxyType(
    {SSE_PATH: SseStream, WEBSOCKET_PATH: WebSocketStream}
)


def front_of(target: bytes) -> type[StreamFront] | None:
    """Say what serves a request target; None where it is not for a stream."""
    return _FRONTS.get(target.partition(b"?")[0].decode("latin-1"))


def stream_fault(
    front: type[StreamFront], method: str, headers: Headers, http_version: bytes
) -> HttpError | None:
    """Say why a request for a stream is refused before anybody asks whose it is."""
    if method != front.endpoint.method:
        return MethodNotAllowed((front.endpoint.method,))
    if headers.all(b"content-length") not in ([], [b"0"]) or headers.all(b"transfer-encoding"):
        return MalformedRequest("a request for a stream has no body")
    if front is WebSocketStream:
        try:
            check_handshake(headers, http_version)
        except HttpError as fault:
            return fault
    return None
