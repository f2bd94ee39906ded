"""Selects the requests for a stream, and what serves them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from app.http.streams.routes import SSE_PATH, WEBSOCKET_PATH
from app.http.streams.sse import SseStream
from app.http.streams.websocket import WebSocketStream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.http.streams.front import StreamFront

FRONTS: Final[Mapping[str, type[StreamFront]]] = MappingProxyType(
    {SSE_PATH: SseStream, WEBSOCKET_PATH: WebSocketStream}
)
"""What serves each decoded path that is for a stream."""
