"""TLS in front of every lane: a connection is decrypted here and served like a plain one.

A socket pair within this process connects the two sides, so lanes and event streams are unaware
of TLS. What a lane does to its end is done to the client: bytes, a half-close with lingering, a
close, a reset. A pair cannot carry a reset, so the lane reports it; the reset of a client that had
sent far ahead is noticed when its request is answered. TLS costs two more tasks and two more files
for each connection: if there are many, a proxy in front is cheaper.
"""

from __future__ import annotations

import socket
import ssl
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import trio

from app.http.errors import TlsError
from app.http.sockets import reset_on_close

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

PIECE_BYTES_MAX: Final = 16 * 1024
"""How much is passed on at once: one TLS record."""

HANDSHAKES_MAX: Final = 8
"""How many new handshakes are computed in one turn of the loop, and how many begun earlier.

After a restart all players connect at once. Each handshake takes milliseconds of processor time;
a turn with all of them would stop the world for seconds.
"""


class Handshakes:
    """The places in which one server computes handshakes.

    A task that is handed a place runs in the next turn of the loop. Handshakes already begun have
    their own places: queued behind all new ones, they would time out with half the work done.
    """

    __slots__ = ("begun", "new")

    def __init__(self) -> None:
        self.new = trio.CapacityLimiter(HANDSHAKES_MAX)
        self.begun = trio.CapacityLimiter(HANDSHAKES_MAX)


def tls_context(certificate: Path, key: Path, *, log: FilteringBoundLogger) -> ssl.SSLContext:
    """Make the server's TLS context from a certificate with its chain, and its key, as PEM.

    A world-readable key only causes a warning, because some systems mount secrets that way; a
    group that may read keys is usual.

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
    serve: Callable[[socket.socket], Awaitable[bool]],
    *,
    handshake: trio.CancelScope,
    at_work: Handshakes,
    send_s: float,
    log: FilteringBoundLogger,
) -> None:
    """Shake hands, then ``serve`` the decrypted connection until either side ends it.

    ``serve`` owns the socket that it gets, and returns whether it cut the client off. A place of
    ``at_work`` is held while this handshake is computed, never while its client is awaited. A
    handshake that fails, or is cancelled by the scope ``handshake``, and a client that does not
    take a piece within ``send_s``, end only this connection. If either side ends it out of order,
    it is reset, so that the system keeps nothing of it.

    Raises:
        OSError: the system has no more sockets; the connection is closed.
    """
    in_order = False
    with sock:
        _bound_what_is_not_sent(sock)
        try:
            client = _Client(sock, context)
            try:
                with handshake:
                    await client.shake_hands(at_work)
            except OSError:
                in_order = True
                return
            if not handshake.cancelled_caught:
                ours, theirs = socket.socketpair()
                ours.setblocking(False)  # noqa: FBT003 - as the standard library has it
                theirs.setblocking(False)  # noqa: FBT003
                with ours:
                    in_order = await _Front(client, ours, send_s, log).run(serve, theirs)
        finally:
            if not in_order:
                with suppress(OSError):  # The client has reset it already.
                    reset_on_close(sock)


def _bound_what_is_not_sent(sock: socket.socket) -> None:
    """Bound what the system buffers for a stalled client, as for a plain connection."""
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, PIECE_BYTES_MAX)


class _Client:
    """A client's socket with its TLS. One task may receive while another sends."""

    __slots__ = ("_ended", "_incoming", "_outgoing", "_sock", "_tls")

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._ended = False

    async def shake_hands(self, at_work: Handshakes) -> None:
        """Shake hands; on failure tells the client why and raises OSError."""
        places, shaken = at_work.new, False
        while not shaken:
            if not await self._take_in():
                raise ConnectionResetError
            try:
                async with places:
                    self._tls.do_handshake()
                shaken = True
            except ssl.SSLWantReadError:
                places = at_work.begun
            finally:
                await self._flush()

    async def receive(self) -> bytes:
        """Receive a piece; empty at the end of input.

        After `end` it returns raw bytes from the wire, only for dropping them.

        Raises:
            OSError: the client has reset the connection, or does not send TLS.
        """
        while not self._ended:
            try:
                return self._tls.read(PIECE_BYTES_MAX)
            except ssl.SSLWantReadError:
                # TLS itself answers some input. Such answers go out with the next piece.
                if self._outgoing.pending > PIECE_BYTES_MAX:
                    raise
                # An end without TLS's close_notify will do: HTTP says where a message ends.
                if not await self._take_in():
                    return b""
        return await _receive(self._sock)

    async def send(self, data: bytes, within_s: float, *, last: bool) -> None:
        """Send a piece, and if it is the ``last``, the end of output; both together.

        Raises:
            OSError: the client is gone.
            trio.TooSlowError: it did not take the piece within ``within_s``.
        """
        if data:
            self._tls.write(data)
        if last:
            self._ended = True
            with suppress(ssl.SSLError):  # It would wait for the client's close_notify.
                self._tls.unwrap()
        left = _send_now(self._sock, memoryview(self._outgoing.read()))
        if left:
            with trio.fail_after(within_s):
                await _send_all(self._sock, left)
        if last:
            self._sock.shutdown(socket.SHUT_WR)

    async def _take_in(self) -> bool:
        """Receive more; False at the end of input."""
        data = await _receive(self._sock)
        self._incoming.write(data)
        return data != b""

    async def _flush(self) -> None:
        await _send_all(self._sock, memoryview(self._outgoing.read()))


class _Front:
    """Passes one connection's bytes between its client and a lane."""

    __slots__ = ("_client", "_in_order", "_log", "_ours", "_over", "_scope", "_send_s")

    _scope: trio.CancelScope

    def __init__(
        self, client: _Client, ours: socket.socket, send_s: float, log: FilteringBoundLogger
    ) -> None:
        self._client = client
        self._ours = ours
        self._send_s = send_s
        self._log = log
        self._over = trio.Event()
        self._in_order = False

    async def run(
        self, serve: Callable[[socket.socket], Awaitable[bool]], theirs: socket.socket
    ) -> bool:
        """Pass on what either side sends until both are done; return whether both ended cleanly."""
        cut_off = True
        async with trio.open_nursery() as nursery:
            self._scope = nursery.cancel_scope
            nursery.start_soon(self._pass_in)
            nursery.start_soon(self._pass_out)
            cut_off = await serve(theirs)
            if not cut_off:
                await self._over.wait()
            nursery.cancel_scope.cancel()
        return self._in_order and not cut_off

    async def _pass_in(self) -> None:
        """Pass on the client's input, and its end."""
        data = b" "
        while data:
            try:
                data = await self._client.receive()
            except OSError:
                self._cut_off()
                return
            try:
                if data:
                    await _send_all(self._ours, memoryview(data))
                else:
                    self._ours.shutdown(socket.SHUT_WR)
            except OSError:
                return  # The lane reads no more: its output shows how the connection ends.

    async def _pass_out(self) -> None:
        """Pass on the answers to the client, and their end."""
        last = False
        try:
            while not last:
                data = await self._receive_answer()
                last = not data or self._is_over()
                await self._client.send(data, self._send_s, last=last)
        except OSError:
            self._cut_off()
        except trio.TooSlowError:
            self._log.info("client_stalled", timeout_ms=round(1000 * self._send_s))
            self._cut_off()
        else:
            self._in_order = True
            self._over.set()

    async def _receive_answer(self) -> bytes:
        try:
            return await _receive(self._ours)
        except OSError:
            return b""  # Closed by a lane that had more to read.

    def _is_over(self) -> bool:
        """Whether the lane has sent its last: what ends together costs one record and one send."""
        try:
            return not self._ours.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True  # As in `_receive_answer`.

    def _cut_off(self) -> None:
        """Make the lane end: nobody is left to receive its answers."""
        with suppress(OSError):
            # Its sends are shielded from cancellation.
            self._ours.shutdown(socket.SHUT_RDWR)
        self._scope.cancel()


async def _receive(sock: socket.socket) -> bytes:
    while True:
        await trio.lowlevel.wait_readable(sock)
        with suppress(BlockingIOError):
            return sock.recv(PIECE_BYTES_MAX)


async def _send_all(sock: socket.socket, data: memoryview) -> None:
    while data := _send_now(sock, data):
        await trio.lowlevel.wait_writable(sock)


def _send_now(sock: socket.socket, data: memoryview) -> memoryview:
    """Send what the system takes at once; return what is left."""
    with suppress(BlockingIOError):
        while data:
            data = data[sock.send(data) :]
    return data
