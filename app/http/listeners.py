"""Opens the listening sockets, or says in one line why it cannot."""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import trio

from app.http.errors import HttpBindError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

# An address family or address that this machine lacks is skipped if another one binds.
_ABSENT = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""The errors of a socket when files or memory run out; this passes when connections end."""

EVERYWHERE: Final = "*"
"""The ``http.host`` that means every address of either family."""

_EXHAUSTED_S = 0.1
_ACCEPTED_MAX = 64
"""How many connections are accepted before other tasks have their turn."""


UNACKNOWLEDGED_MS: Final = 45_000
"""How long sent data may stay unacknowledged before the connection counts as dead.

A client that has lost its network does not close, and a stream's events never fill the buffer; by
default Linux retries for a quarter of an hour. A client takes a silent stream for dead after the
same time.
"""


async def open_listeners(
    host: str, port: int, backlog: int
) -> tuple[list[trio.SocketListener], int]:
    """Listen on every address of ``host``; return the listeners and the port.

    `EVERYWHERE` stands for all IPv4 and IPv6 addresses of this machine. With port 0 the system
    picks one, the same for every address.

    Raises:
        HttpBindError: no address could be bound, or one is taken; nothing is left open.
    """
    found = await _addresses_of(host, port)
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


async def _addresses_of(
    host: str, port: int
) -> Sequence[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[object, ...]]]:
    """Return what the system's resolver gives for a host."""
    try:
        return await trio.socket.getaddrinfo(
            None if host == EVERYWHERE else host,
            port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
    except OSError as error:
        raise HttpBindError(host, port, error.strerror or str(error)) from error
    except ValueError:
        # Part of the name is empty, as in "127.0.0..1", or too long, or it has a NUL in it.
        raise HttpBindError(host, port, "not the name of a host") from None


async def accept_connections(
    listeners: Sequence[trio.SocketListener],
    handle: Callable[[socket.socket, str], Awaitable[None]],
    nursery: trio.Nursery,
    tell_exhausted: Callable[[OSError], None],
) -> None:
    """Accept on all listeners until cancelled, then close them.

    ``handle`` runs for each connection, a non-blocking socket and its client's address, in a task
    of ``nursery``. ``tell_exhausted`` is called each time the system has no file left for one.
    """
    async with trio.open_nursery() as accepting:
        for listener in listeners:
            accepting.start_soon(_accept, listener, handle, nursery, tell_exhausted)


async def _accept(
    listener: trio.SocketListener,
    handle: Callable[[socket.socket, str], Awaitable[None]],
    nursery: trio.Nursery,
    tell_exhausted: Callable[[OSError], None],
) -> None:
    family, kind, protocol = listener.socket.family, listener.socket.type, listener.socket.proto
    with socket.socket(family, kind, protocol, fileno=listener.socket.detach()) as sock:
        while True:
            await trio.lowlevel.wait_readable(sock)
            for _ in range(_ACCEPTED_MAX):
                try:
                    client, address = sock.accept()
                except BlockingIOError:
                    break
                except OSError as error:
                    if error.errno not in EXHAUSTED:
                        continue  # The client left before it was accepted.
                    tell_exhausted(error)
                    await trio.sleep(_EXHAUSTED_S)
                    break
                client.setblocking(False)  # noqa: FBT003 - as the standard library has it
                with suppress(OSError):
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                nursery.start_soon(handle, client, address[0])


async def _listen(
    family: socket.AddressFamily, address: tuple[object, ...], backlog: int
) -> trio.SocketListener:
    sock = trio.socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Each connection inherits it from its listener.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
        if family == socket.AF_INET6:
            # The IPv4 side of the same port has a socket of its own.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        await sock.bind(address)
        sock.listen(backlog)
        return trio.SocketListener(sock)
    except BaseException:
        sock.close()
        raise
