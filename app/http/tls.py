"""TLS in front of every lane: a connection is decrypted here and served as one in the clear.

Between the two stands a pair of sockets of this process, so that lanes and event streams need not
know. That costs two more tasks and two more files for each connection: a proxy in front is cheaper
where there are many.
"""

from __future__ import annotations

import socket
import ssl
import stat
from typing import TYPE_CHECKING, Final

import trio

from app.http.errors import TlsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

PIECE_BYTES_MAX: Final = 16 * 1024
"""How much is passed on at once: one record of TLS."""


def tls_context(certificate: Path, key: Path, *, log: FilteringBoundLogger) -> ssl.SSLContext:
    """Make the server's side of TLS from a certificate with its chain, and its key, as PEM.

    A key that is open to everybody is warned of: some systems mount secrets so, and a group that
    may read keys is usual.

    Raises:
        TlsError: they cannot be read, or do not belong together.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key)
        mode = stat.S_IMODE(key.stat().st_mode)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or str(error)
        raise TlsError(f"cannot use the certificate {certificate} with {key}: {reason}") from error
    if mode & stat.S_IRWXO:
        log.warning("tls_key_not_private", file=str(key), mode=f"{mode:04o}")
    return context


async def serve_decrypted(
    sock: socket.socket,
    context: ssl.SSLContext,
    serve: Callable[[socket.socket], Awaitable[None]],
    *,
    handshake: trio.CancelScope,
    send_s: float,
) -> None:
    """Shake hands, then ``serve`` what comes out, until either side ends it.

    ``serve`` owns the socket that it gets. A handshake that fails, or is cancelled by the scope
    ``handshake``, and a client that does not take a piece within ``send_s``, end this connection
    and nothing else.

    Raises:
        OSError: the system gives no more sockets; the connection is closed.
    """
    outer = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
    stream = trio.SSLStream(outer, context, server_side=True, https_compatible=True)
    with sock:
        try:
            with handshake:
                await stream.do_handshake()
        except trio.BrokenResourceError:
            return
        if handshake.cancelled_caught:
            return
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)  # noqa: FBT003 - as the standard library has it
        ours.setblocking(False)  # noqa: FBT003
        with ours:
            inner = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_pass_in, stream, inner)
                nursery.start_soon(_pass_out, inner, stream, send_s, nursery.cancel_scope)
                await serve(theirs)


async def _pass_in(stream: trio.SSLStream[trio.SocketStream], inner: trio.SocketStream) -> None:
    """Pass on what the client sends, and that it ends."""
    try:
        while data := await stream.receive_some(PIECE_BYTES_MAX):
            await inner.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    try:
        await inner.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return


async def _pass_out(
    inner: trio.SocketStream,
    stream: trio.SSLStream[trio.SocketStream],
    send_s: float,
    connection: trio.CancelScope,
) -> None:
    """Pass on what the client is answered, then end the connection."""
    try:
        while data := await inner.receive_some(PIECE_BYTES_MAX):
            with trio.fail_after(send_s):
                await stream.send_all(data)
        with trio.move_on_after(send_s):
            await stream.aclose()
    except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
        pass
    # What is still served has nobody to be sent to.
    connection.cancel()
