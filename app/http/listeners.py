"""Opens the listening sockets, or says in one line why that cannot be."""

from __future__ import annotations

import errno
import socket

import trio

from app.http.errors import HttpBindError

# An address family or address that this machine does not have is passed over if another binds.
_ABSENT = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


async def open_listeners(
    host: str, port: int, backlog: int
) -> tuple[list[trio.SocketListener], int]:
    """Listen on every address of ``host``; return the listeners and the port.

    With port 0 the system picks one, the same for every address.

    Raises:
        HttpBindError: no address could be bound, or one is taken; nothing is left open.
    """
    try:
        found = await trio.socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise HttpBindError(host, port, error.strerror or str(error)) from error
    listeners: list[trio.SocketListener] = []
    absent: OSError | None = None
    bound_port = port
    try:
        for family, *_, address in found:
            try:
                listener = await _listen(family, (address[0], bound_port, *address[2:]), backlog)
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                absent = error
                continue
            listeners.append(listener)
            bound_port = listener.socket.getsockname()[1]
        if absent is not None and not listeners:
            raise absent
    except OSError as error:
        for listener in listeners:
            listener.socket.close()
        raise HttpBindError(host, port, error.strerror or str(error)) from error
    return listeners, bound_port


async def _listen(
    family: socket.AddressFamily, address: tuple[object, ...], backlog: int
) -> trio.SocketListener:
    sock = trio.socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # The IPv4 side of the same port has a socket of its own.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        await sock.bind(address)
        sock.listen(backlog)
        return trio.SocketListener(sock)
    except BaseException:
        sock.close()
        raise
