"""HTTPS through both lanes, with a certificate made for the tests."""

from __future__ import annotations

import errno
import socket
import ssl
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio

from app.http import server as server_module
from app.http.edge import make_edge
from app.http.errors import TlsError
from app.http.server import serve_http
from app.http.tls import HANDSHAKES_MAX, tls_context
from tests.app.http.harness import PAGES, TABLE, FakeWorld, get, serving
from tests.app.http.secure import encrypted
from tests.app.http.support import post

if TYPE_CHECKING:
    from pathlib import Path

    import trustme
    from structlog.typing import FilteringBoundLogger
    from trio.testing import MockClock

    from app.http.settings import HttpSettings
    from tests.app.http.harness import Serving

pytestmark = pytest.mark.usefixtures("lane")

TOGETHER = 60
"""Clients that connect at once: many times the handshakes that one turn computes."""


async def connect(server: Serving, authority: trustme.CA) -> trio.SSLStream[trio.SocketStream]:
    """Open a connection that trusts the authority."""
    return await encrypted(await trio.open_tcp_stream("127.0.0.1", server.port), authority)


async def read_until(stream: trio.SSLStream[trio.SocketStream], end: bytes) -> bytes:
    """Read until these bytes have arrived."""
    received = b""
    while end not in received:
        data = await stream.receive_some()
        assert data, received
        received += data
    return received


def no_files_left() -> None:
    """Fail for want of sockets."""
    raise OSError(errno.EMFILE, "Too many open files")


class LoopTurns(trio.abc.Instrument):
    """Counts the turns of Trio's loop."""

    now = 0

    def before_io_wait(self, timeout: float) -> None:
        """Count one: no task is left to run."""
        self.now += 1


async def test_of_handshakes_that_come_together_each_turn_computes_few(
    tls_settings: HttpSettings, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other tasks do not wait for all of them, nor do handshakes in progress for all new ones."""
    turns, computed, begun_by_then = LoopTurns(), list[int](), list[int]()
    begun = set[ssl.SSLObject]()

    class Counted(ssl.SSLObject):
        def do_handshake(self) -> None:
            computed.append(turns.now)
            begun.add(self)
            super().do_handshake()
            begun_by_then.append(len(begun))

    def counting_context(*files: Path, log: FilteringBoundLogger) -> ssl.SSLContext:
        context = tls_context(*files, log=log)
        context.sslobject_class = Counted
        return context

    monkeypatch.setattr(server_module, "tls_context", counting_context)
    trio.lowlevel.add_instrument(turns)
    async with serving(settings=tls_settings) as server:
        clients = [await trio.open_tcp_stream("127.0.0.1", server.port) for _ in range(TOGETHER)]
        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(encrypted, client, authority)
        assert len(begun) == TOGETHER
        assert max(Counter(computed).values()) <= 2 * HANDSHAKES_MAX
        assert begun_by_then[HANDSHAKES_MAX - 1] < TOGETHER
        for client in clients:
            await client.aclose()


async def test_requests_are_answered_over_tls(
    tls_settings: HttpSettings, authority: trustme.CA
) -> None:
    """One after another, with a body; the connection closes as it does without TLS."""
    async with serving(settings=tls_settings) as server:
        stream = await connect(server, authority)
        for _ in range(3):
            await stream.send_all(get())
            assert (await read_until(stream, b'"ok"}')).startswith(b"HTTP/1.1 200 ")
        body = b'{"username":"ada","password":"correct horse"}'
        await stream.send_all(post(f"Content-Length: {len(body)}", "Connection: close", body=body))
        answer = b""
        while data := await stream.receive_some():
            answer += data
        assert answer.startswith(b"HTTP/1.1 201 ")
        await server.wait_connections_closed(keeping=0)
        await trio.aclose_forcefully(stream)
        assert not server.world.logged


async def test_failed_handshake_ends_one_connection(
    tls_settings: HttpSettings, authority: trustme.CA
) -> None:
    """Plain HTTP, noise, silence and a client without trust affect nobody else."""
    settings = replace(tls_settings, first_byte_timeout_ms=2_000)
    async with serving(settings=settings) as server:
        good = await connect(server, authority)
        await good.send_all(get())
        await read_until(good, b'"ok"}')
        silent = await server.connect()
        for noise in (get(), b"\x16\x03\x01\xff\xff" + bytes(300), b"x"):
            client = await server.connect()
            await client.send(noise)
            await client.stream.send_eof()
            await client.read_to_end()
        plain = await trio.open_tcp_stream("127.0.0.1", server.port)
        distrust = trio.SSLStream(plain, ssl.create_default_context(), server_hostname="localhost")
        with pytest.raises(trio.BrokenResourceError):
            await distrust.do_handshake()
        await trio.aclose_forcefully(distrust)
        with trio.fail_after(10):
            assert await silent.read_to_end() == b""
        await server.wait_connections_closed(keeping=1)
        await good.send_all(get())
        assert (await read_until(good, b'"ok"}')).startswith(b"HTTP/1.1 200 ")
        assert not server.world.logged
        await trio.aclose_forcefully(good)


async def test_late_handshake_leaves_no_more_time_to_begin(
    tls_settings: HttpSettings, authority: trustme.CA, mock_clock: MockClock
) -> None:
    """A new connection may stay silent for its time once, not before and after the handshake."""
    mock_clock.autojump_threshold = 0.01  # A real socket may need a moment.
    async with serving(settings=replace(tls_settings, first_byte_timeout_ms=5_000)) as server:
        connected = trio.current_time()
        client = await server.connect()
        await trio.sleep(4)
        stream = await encrypted(client.stream, authority)
        assert await stream.receive_some() == b""
        assert 4.5 < trio.current_time() - connected < 6.5
        await trio.aclose_forcefully(stream)


async def test_client_that_is_not_served_over_tls_is_told_why(
    tls_settings: HttpSettings,
) -> None:
    """A client whose cipher is too weak is told so, as far as TLS can express it."""
    async with serving(settings=tls_settings) as server:
        old = ssl.create_default_context()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        old.set_ciphers("AES128-SHA")
        plain = await trio.open_tcp_stream("127.0.0.1", server.port)
        stream = trio.SSLStream(plain, old, server_hostname="localhost")
        with pytest.raises(trio.BrokenResourceError) as error:
            await stream.do_handshake()
        assert "ALERT" in str(error.value.__cause__)
        await trio.aclose_forcefully(stream)


async def test_connection_without_files_left_is_closed_like_one_not_accepted(
    tls_settings: HttpSettings, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the system has no sockets left, connections end, with one log line for many."""
    async with serving(settings=tls_settings) as server:
        with monkeypatch.context() as patch:
            patch.setattr(socket, "socketpair", no_files_left)
            patch.setattr(server_module, "EXHAUSTED_LOG_S", 60.0)
            for _ in range(3):
                stream = await connect(server, authority)
                with suppress(trio.BrokenResourceError):
                    assert await stream.receive_some() == b""
                await trio.aclose_forcefully(stream)
            await server.wait_connections_closed(keeping=0)
        [told] = server.world.logged
        assert (told["event"], told["log_level"]) == ("accept_failed", "warning")
        assert "exc_info" not in told
        good = await connect(server, authority)
        await good.send_all(get())
        assert (await read_until(good, b'"ok"}')).startswith(b"HTTP/1.1 200 ")
        await trio.aclose_forcefully(good)


async def test_shutdown_closes_idle_connections_over_tls(
    tls_settings: HttpSettings, authority: trustme.CA
) -> None:
    """Neither they nor a client that has not even shaken hands delay it."""
    async with serving(settings=tls_settings) as server:
        stream = await connect(server, authority)
        await stream.send_all(get())
        await read_until(stream, b'"ok"}')
        silent = await server.connect()
        while server.traffic.connections_open < 2:  # noqa: ASYNC110 - the client cannot tell
            await trio.sleep(0.005)
        started = trio.current_time()
        server.stop.set()
        await server.stopped.wait()
        assert trio.current_time() - started < 0.8
        assert await stream.receive_some() == b""
        assert await silent.read_to_end() == b""
        await trio.aclose_forcefully(stream)


@pytest.mark.parametrize(
    ("mode", "told"),
    [(0o600, []), (0o640, []), (0o644, ["0644"]), (0o602, ["0602"])],
)
async def test_key_that_everybody_may_read_is_warned_of(
    tls_settings: HttpSettings, mode: int, told: list[str]
) -> None:
    """A group for keys is usual; a key readable by all is not the server's alone."""
    assert tls_settings.tls is not None
    _, key = tls_settings.tls
    key.chmod(mode)
    async with serving(settings=tls_settings) as server:
        events = server.world.events("tls_key_not_private")
        assert [(event["file"], event["mode"]) for event in events] == [
            (str(key), each) for each in told
        ]
        assert len(server.world.logged) == len(told)


async def test_certificate_that_cannot_be_used_is_one_clear_line(
    tls_settings: HttpSettings,
) -> None:
    """A server does not start without the certificate it was given."""
    assert tls_settings.tls is not None
    certificate, key = tls_settings.tls
    key.write_text("nonsense")
    for files in ((certificate, key), (certificate, key.with_name("absent"))):
        world = FakeWorld()
        broken = replace(tls_settings, tls=files)
        edge = make_edge(world.gateway(), broken, TABLE, pages=PAGES, log=world.log)
        with pytest.raises(TlsError) as error:
            await serve_http(edge, broken, shutdown=trio.sleep_forever, log=world.log)
        assert str(certificate) in str(error.value)
        assert "\n" not in str(error.value)
