"""The fast lane's socket: readiness that is premature or never reported ends no connection."""

from __future__ import annotations

import random
import socket
from typing import TYPE_CHECKING

import pytest
import trio
from structlog.testing import LogCapture
from trio.testing import wait_all_tasks_blocked

from actors.authx.messages import Refresh
from app.http.direct.wire import ClientSocket
from app.http.sockets import reset_on_close
from bus import Overloaded
from tests.app.http.harness import SETTINGS, SILENT, FakeWorld, serving
from tests.app.http.secure import encrypted
from tests.app.http.support import post
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    import trustme

    from app.http.settings import HttpSettings


class Hasty(socket.socket):
    """A socket that is reported ready once before it is."""

    blocked = 0

    def recv(self, *arguments: int) -> bytes:
        """Receive, but not at first."""
        self._block()
        return super().recv(*arguments)

    def send(self, *arguments: object) -> int:
        """Send, but not at first."""
        self._block()
        return super().send(*arguments)  # type: ignore[arg-type]

    def _block(self) -> None:
        if self.blocked < 2:
            self.blocked += 1
            raise BlockingIOError


@pytest.fixture
def pair() -> Iterator[tuple[Hasty, socket.socket]]:
    """Connect a hasty socket with another."""
    ours, theirs = socket.socketpair()
    with theirs, Hasty(fileno=ours.detach()) as hasty:
        hasty.setblocking(False)
        yield hasty, theirs


async def test_socket_that_is_not_ready_after_all_is_waited_for(
    pair: tuple[Hasty, socket.socket],
) -> None:
    """The announced data is received when it is there."""
    hasty, theirs = pair
    theirs.send(b"request")
    with trio.fail_after(1):
        assert await ClientSocket(hasty, 1.0, quiet_log()).receive() == b"request"
    assert hasty.blocked == 2


async def test_socket_that_takes_nothing_yet_gets_all_of_it(
    pair: tuple[Hasty, socket.socket],
) -> None:
    """A full buffer loses no part of an answer."""
    hasty, theirs = pair
    with trio.fail_after(1):
        assert await ClientSocket(hasty, 1.0, quiet_log()).send(b"answer")
    assert theirs.recv(100) == b"answer"
    assert hasty.blocked == 2


async def test_answer_that_has_begun_is_sent_whole() -> None:
    """Half of one would be worse than none, even if the server is about to end."""
    ours, theirs = socket.socketpair()
    for each in (ours, theirs):
        each.setblocking(False)
    client, stopping = ClientSocket(ours, 1000.0, quiet_log()), trio.CancelScope()
    answer = random.Random(1).randbytes(3_000_000)

    async def send() -> None:
        with stopping:
            assert await client.send(answer)
        client.close()

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await wait_all_tasks_blocked()
            stopping.cancel()
            received = b""
            async with trio.SocketStream(trio.socket.from_stdlib_socket(theirs)) as stream:
                async for piece in stream:
                    received += piece
    assert received == answer
    assert not client.was_cut_off


async def test_client_that_goes_in_the_middle_of_an_answer_has_not_got_it() -> None:
    """The sender learns of it, and it is not the server's failure."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with trio.fail_after(1), ours:
        async with trio.open_nursery() as nursery:
            sent: list[bool] = []

            async def send() -> None:
                sent.append(await ClientSocket(ours, 1000.0, quiet_log()).send(bytes(3_000_000)))

            nursery.start_soon(send)
            await wait_all_tasks_blocked()
            theirs.close()
    assert sent == [False]


@pytest.mark.parametrize("what", ["send", "linger"])
async def test_socket_that_is_aborted_keeps_nobody_waiting(what: str) -> None:
    """Sending or lingering ends at once, and it is not the client's failure."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    log = LogCapture()
    client = ClientSocket(ours, 1000.0, quiet_log(log))
    ended: list[object] = []

    async def use() -> None:
        ended.append(await (client.send(bytes(10_000_000)) if what == "send" else client.linger()))

    with theirs, trio.fail_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(use)
            await wait_all_tasks_blocked()
            client.abort()
    assert ended == [False if what == "send" else None]
    assert (client.was_cut_off, ours.fileno(), log.entries) == (True, -1, [])


async def test_socket_tells_that_its_client_has_hung_up_and_takes_nothing_from_it(
    pair: tuple[Hasty, socket.socket],
) -> None:
    """Not while it is silent, nor while data waits; after closing, for good."""
    hasty, theirs = pair
    hasty.blocked = 2
    wire = ClientSocket(hasty, 1.0, quiet_log())
    assert not wire.has_hung_up()
    theirs.send(b"request")
    assert not wire.has_hung_up()
    assert await wire.receive() == b"request"
    assert not wire.has_hung_up()
    theirs.shutdown(socket.SHUT_WR)
    assert wire.has_hung_up()
    theirs.close()
    assert wire.has_hung_up()
    wire.close()
    assert wire.has_hung_up()


def test_socket_that_was_asked_for_a_hang_up_still_shows_a_reset() -> None:
    """The system reports a reset only once, and the check of connections comes later."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    with ours:
        ours.setblocking(False)
        wire = ClientSocket(ours, 1.0, quiet_log())
        assert not wire.has_hung_up()
        assert not wire.was_reset()
        reset_on_close(theirs)
        theirs.close()
        while not wire.has_hung_up():
            pass
        assert wire.was_reset()


@pytest.mark.parametrize("encrypting", [False, True])
async def test_refresh_says_whether_its_client_has_hung_up(
    tls_settings: HttpSettings,
    authority: trustme.CA,
    encrypting: bool,
) -> None:
    """Until it is answered (fast lane); a half-closed client still gets its answer."""
    world = FakeWorld()
    world.answers[Refresh] = SILENT
    async with serving(world, tls_settings if encrypting else SETTINGS) as server:
        client = await server.connect()
        stream = await encrypted(client.stream, authority) if encrypting else client.stream
        body = b'{"refresh_token": "x"}'
        length = f"Content-Length: {len(body)}"
        await stream.send_all(post(length, body=body, path="/v1/sessions/refresh"))
        await world.wait_held()
        [held] = world.held
        assert isinstance(held.body, Refresh)
        assert not held.body.has_hung_up()
        await client.stream.send_eof()
        with trio.fail_after(5):
            while not held.body.has_hung_up():
                await trio.lowlevel.checkpoint()
        assert held.reply is not None
        assert held.reply.fail(Overloaded())
        assert (await stream.receive_some(65_536)).startswith(b"HTTP/1.1 503 ")
