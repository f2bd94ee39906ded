"""A connection that a stream has taken over: reading, writing, and a client that is gone."""

from __future__ import annotations

import pytest
import structlog
import trio

from app.http.streams.readiness import Readiness
from app.http.streams.wire import ClientGone, Wire


async def pair() -> tuple[trio.SocketStream, trio.SocketStream, Wire]:
    """Make a connection; return the server's side, the client's side, and the wire on the first."""
    near, far = (trio.SocketStream(sock) for sock in trio.socket.socketpair())
    wire = Wire(near, Readiness(), send_timeout_s=0.05, log=structlog.get_logger())
    return near, far, wire


async def test_wire_gives_what_has_come_and_does_not_wait() -> None:
    """There is data, none yet, or none any more."""
    near, far, wire = await pair()
    assert wire.receive_nowait() == b""
    await far.send_all(b"hello")
    assert wire.receive_nowait() == b"hello"
    await far.aclose()
    with pytest.raises(ClientGone):
        wire.receive_nowait()
    await near.aclose()
    with pytest.raises(ClientGone):
        wire.receive_nowait()


async def test_wire_sends_until_the_client_is_gone() -> None:
    """The sender learns that the client is gone."""
    near, far, wire = await pair()
    await wire.send(b"hello")
    assert await far.receive_some() == b"hello"
    await far.aclose()
    with pytest.raises(ClientGone):
        await wire.send(b"hello?")
    wire.send_last(b"hello?")
    await near.aclose()
    wire.send_last(b"hello?")


async def test_wire_has_sent_its_last() -> None:
    """The client reads it and the end at once; a heartbeat that was due is no reason to reset."""
    near, far, wire = await pair()
    await wire.send(b"hello")
    wire.send_last(b" and goodbye")
    await wire.send(b"hello?")
    assert await far.receive_some() == b"hello and goodbye"
    assert await far.receive_some() == b""
    await far.aclose()
    await near.aclose()


async def test_wire_waits_for_no_turn_with_what_the_system_takes() -> None:
    """A goodbye that is due in between would be lost."""
    near, far, wire = await pair()
    sending = wire.send(b"beat")
    with pytest.raises(StopIteration):
        sending.send(None)
    wire.send_last(b" and goodbye")
    assert await far.receive_some() == b"beat and goodbye"
    await far.aclose()
    await near.aclose()


async def test_wire_lets_nothing_last_follow_half_a_message() -> None:
    """A goodbye in the middle of a message that the client does not read would garble it."""
    near, far, wire = await pair()
    with pytest.raises(ClientGone):
        await wire.send(bytes(10**7))
    wire.send_last(b"bye")
    near.socket.shutdown(trio.socket.SHUT_WR)
    received = 0
    async for piece in far:
        assert b"bye" not in piece
        received += len(piece)
    assert 0 < received < 10**7
    await far.aclose()
    await near.aclose()
