"""How every socket that a client holds is used, whoever speaks on it."""

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
"""How long, and for how many bytes, a client that was refused may go on sending.

Closing a socket with unread input resets the connection, and the reset may destroy the refusal
before the client reads it (RFC 9112, 9.6).
"""

_RESET: Final = struct.pack("ii", 1, 0)


def reset_on_close(sock: socket.socket | trio.socket.SocketType) -> None:
    """Have the socket's end be a reset, which drops what was not sent.

    Raises:
        OSError: the client has reset it already.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
