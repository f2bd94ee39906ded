"""How an event stream takes over an HTTP connection; the same for every lane."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from app.http.streams.wire import Wire

if TYPE_CHECKING:
    import trio
    from structlog.typing import FilteringBoundLogger

    from app.http.settings import HttpSettings
    from app.http.streams.front import StreamFront, StreamRequest
    from app.http.streams.registry import Streams

STREAM_BUFFER_BYTES: Final = 64 * 1024
"""How much of an event stream the system may buffer for a client."""


def take_over(
    streams: Streams,
    stream: trio.SocketStream,
    front: type[StreamFront],
    request: StreamRequest,
    *,
    settings: HttpSettings,
    log: FilteringBoundLogger,
) -> StreamFront:
    """Make the front that serves an event stream on a connection; call its `run`."""
    wire = Wire(stream, streams.readiness, send_timeout_s=settings.send_timeout_ms / 1000, log=log)
    with suppress(OSError):  # The peer has reset it already.
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, STREAM_BUFFER_BYTES)
    return front(streams, wire, request)
