"""A connection taken over by an event stream: bytes out with a deadline, bytes in if any."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from app.http.sockets import SEND_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from app.http.streams.readiness import Readiness

RECEIVE_BYTES_MAX = 16 * 1024


class ClientGone(Exception):
    """The client has closed the connection, or does not read."""


class Wire:
    """One client's connection. Only `send` waits; call `forget` before closing the socket."""

    __slots__ = ("_fd", "_log", "_over", "_readiness", "_send_timeout_s", "_sending", "_stream")

    def __init__(
        self,
        stream: trio.SocketStream,
        readiness: Readiness,
        *,
        send_timeout_s: float,
        log: FilteringBoundLogger,
    ) -> None:
        self._stream = stream
        # Once the socket is closed, its number may be another connection's.
        self._fd = stream.socket.fileno()
        self._readiness = readiness
        self._send_timeout_s = send_timeout_s
        self._log = log
        self._sending = False
        self._over = False

    async def send(self, data: bytes) -> None:
        """Send, and wait until the system has taken all of it; do nothing after `send_last`.

        Raises:
            ClientGone: the connection is closed, or the client took too long.
        """
        if self._over:
            return
        try:
            sent = self._send_now(data)
            if sent < len(data):
                await self._send_rest(memoryview(data)[sent:])
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            raise ClientGone from None

    def _send_now(self, data: bytes) -> int:
        """Send what the system takes at once; return how much that is."""
        try:
            return os.write(self._stream.socket.fileno(), data)
        except BlockingIOError:
            return 0

    async def _send_rest(self, data: memoryview) -> None:
        self._sending = True
        for start in range(0, len(data), SEND_BYTES_MAX):
            with trio.move_on_after(self._send_timeout_s) as deadline:
                await self._stream.send_all(data[start : start + SEND_BYTES_MAX])
            if deadline.cancelled_caught:
                self._log.info("client_stalled", timeout_ms=round(1000 * self._send_timeout_s))
                raise ClientGone
        self._sending = False

    def send_last(self, data: bytes) -> None:
        """Send the last data, and their end, without waiting.

        They are lost if the client has not read the rest.
        """
        if not self._sending:
            self._over = True
            with suppress(OSError):
                os.write(self._stream.socket.fileno(), data)
                self._stream.socket.shutdown(socket.SHUT_WR)

    def receive_nowait(self) -> bytes:
        """Receive what the client has sent; empty if there is nothing.

        Raises:
            ClientGone: nothing more will come.
        """
        try:
            data = os.read(self._stream.socket.fileno(), RECEIVE_BYTES_MAX)
        except BlockingIOError:
            return b""
        except OSError:
            raise ClientGone from None
        if not data:
            raise ClientGone
        return data

    def watch(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once when there is something to receive."""
        self._readiness.watch(self._fd, callback)

    def forget(self) -> None:
        """Cancel the callback; call this before the socket is closed."""
        self._readiness.forget(self._fd)
