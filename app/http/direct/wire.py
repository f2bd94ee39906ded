"""One client's socket as the fast lane uses it: receive, send with a deadline, linger, reset."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import trio

from app.http.sockets import LINGER_BYTES_MAX, LINGER_S, SEND_BYTES_MAX, reset_on_close

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

HURRIED_LINGER_S: Final = 0.1
"""How long a client may take to read its last answer when the server stops.

Much less than a phase of the shutdown, which a client that stays would use up: see `LINGER_S`.
"""

RECEIVE_BYTES_MAX: Final = 16 * 1024
"""How much is read from a socket at once; also the maximum held of pipelined requests."""


class ClientSocket:
    """A connected, non-blocking socket for one task; others may call `reset` and `hurry`."""

    __slots__ = (
        "_aborted",
        "_linger_s",
        "_lingering",
        "_log",
        "_reset_read",
        "_send_s",
        "_sending",
        "_sock",
        "was_cut_off",
    )

    def __init__(self, sock: socket.socket, send_s: float, log: FilteringBoundLogger) -> None:
        """Own ``sock``; a client must take each piece of an answer within ``send_s``."""
        self._sock = sock
        self._send_s = send_s
        self._log = log
        self._aborted = False
        self._reset_read = False
        self.was_cut_off = False
        self._sending: trio.CancelScope | None = None
        self._lingering: trio.CancelScope | None = None
        self._linger_s = LINGER_S

    def stream(self) -> trio.SocketStream:
        """Return the socket as a Trio stream, for code that needs one."""
        return trio.SocketStream(trio.socket.from_stdlib_socket(self._sock))

    def close(self) -> None:
        """Close it; what was sent still arrives."""
        self._sock.close()

    def hurry(self) -> bool:
        """Stop lingering; return whether it was. A later linger lasts only `HURRIED_LINGER_S`."""
        self._linger_s = HURRIED_LINGER_S
        if self._lingering is None:
            return False
        self._lingering.cancel()
        return True

    def abort(self) -> None:
        """Reset it, and wake the task that waits for it in here."""
        self._aborted = True
        for scope in (self._sending, self._lingering):
            if scope is not None:
                scope.cancel()
        self.reset()

    async def receive(self) -> bytes:
        """Wait for data and receive it; empty at the end of input."""
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            try:
                return self._sock.recv(RECEIVE_BYTES_MAX)
            except BlockingIOError:
                continue
            except OSError:
                return b""

    async def send(self, data: bytes) -> bool:
        """Send all of it; False if the client is gone or did not take it in time."""
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return False
        if sent == len(data):
            return True
        return await self._send_rest(memoryview(data)[sent:])

    async def _send_rest(self, data: memoryview) -> bool:
        try:
            # Shielded: half an answer would be worse than none. The deadline bounds it.
            with trio.CancelScope(shield=True) as deadline:
                self._sending = deadline
                while data:
                    deadline.deadline = trio.current_time() + self._send_s
                    piece = data[:SEND_BYTES_MAX]
                    while piece:
                        await trio.lowlevel.wait_writable(self._sock)
                        with suppress(BlockingIOError):
                            piece = piece[self._sock.send(piece) :]
                    data = data[SEND_BYTES_MAX:]
        except OSError:
            return False
        finally:
            self._sending = None
        if deadline.cancelled_caught:
            if not self._aborted:
                self._log.info("client_stalled", timeout_ms=round(1000 * self._send_s))
            self.reset()
            return False
        return True

    async def linger(self) -> None:
        """Signal the end of output, and let the client finish sending, within bounds."""
        left = LINGER_BYTES_MAX
        with trio.CancelScope(deadline=trio.current_time() + self._linger_s) as lingering:
            self._lingering = lingering
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)
                while left > 0:
                    data = await self.receive()
                    if not data:
                        break
                    left -= len(data)
        self._lingering = None

    def has_hung_up(self) -> bool:
        """Whether the client has closed its side, and so may be gone; it may still read.

        Data that it sent before, and that was not received yet, hides this.
        """
        try:
            return not self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            # The system reports a reset once: keep it for `was_reset`.
            self._reset_read = True
            return True

    def was_reset(self) -> bool:
        """Whether the client has reset the connection, without reading from it."""
        with suppress(OSError):
            error = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            return self._reset_read or error != 0
        return True

    def reset(self) -> None:
        """Close at once with a reset; do nothing if it is closed."""
        self.was_cut_off = True
        if self._sock.fileno() < 0:
            return
        with suppress(OSError):  # The peer has reset it already.
            reset_on_close(self._sock)
        trio.lowlevel.notify_closing(self._sock)
        self._sock.close()
