"""How every client's socket is used, whichever lane or stream owns it."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import trio

SEND_BYTES_MAX: Final = 64 * 1024
"""How much of an answer a client must take within the send timeout."""

LINGER_S: Final = 1.0
LINGER_BYTES_MAX: Final = 256 * 1024
"""How long, and for how many bytes, a refused client may go on sending.

Closing a socket with unread input resets the connection, and the reset may destroy the refusal
before the client reads it (RFC 9112, 9.6).
"""

_RESET: Final = struct.pack("ii", 1, 0)


def reset_on_close(sock: socket.socket | trio.socket.SocketType) -> None:
    """Make closing the socket a reset, which drops unsent data.

    Raises:
        OSError: the client has reset it already.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
