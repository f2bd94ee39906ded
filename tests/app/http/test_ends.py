"""How connections that do not end by themselves are ended, with and without TLS, in each lane."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import pytest
import trio
import trio.testing

from actors.ticker.messages import GetWorld
from app.http.edge import make_edge
from app.http.server import serve_http
from app.http.sockets import LINGER_BYTES_MAX
from tests.app.http.harness import (
    SETTINGS,
    SILENT,
    TABLE,
    FakeWorld,
    RawClient,
    get,
    serving,
    usual_answers,
)
from tests.app.http.secure import encrypted
from tests.app.http.support import flooding, post

if TYPE_CHECKING:
    import trustme

    from app.http.settings import HttpSettings
    from tests.app.http.harness import Serving

pytestmark = pytest.mark.usefixtures("lane")

Stream: TypeAlias = "trio.SocketStream | trio.SSLStream[trio.SocketStream]"


@dataclass(frozen=True)
class Door:
    """A way into a server: without an authority, unencrypted."""

    settings: HttpSettings
    authority: trustme.CA | None

    async def enter(
        self, server: Serving, receive_buffer: int | None = None
    ) -> tuple[RawClient, Stream]:
        """Connect; return the bare connection, and the stream to speak on."""
        client = await server.connect(receive_buffer)
        if self.authority is None:
            return client, client.stream
        return client, await encrypted(client.stream, self.authority)


@pytest.fixture(params=["plain", "tls"])
def door(request: pytest.FixtureRequest, tls_settings: HttpSettings, authority: trustme.CA) -> Door:
    """Run a test with and without TLS."""
    return Door(tls_settings, authority) if request.param == "tls" else Door(SETTINGS, None)


async def read_to_end(stream: Stream) -> bytes:
    """Read until the server ends it in order."""
    received = b""
    while data := await stream.receive_some(256 * 1024):
        received += data
    return received


async def test_refused_upload_does_not_lose_its_answer(door: Door) -> None:
    """A client that sends everything before it reads still learns that it was refused, and why."""
    async with serving(settings=door.settings) as server:
        _, stream = await door.enter(server)
        await stream.send_all(post("Content-Length: 150000"))
        for _ in range(15):
            await stream.send_all(bytes(10_000))
            await trio.sleep(0.005)
        assert (await read_to_end(stream)).startswith(b"HTTP/1.1 413 ")
        await trio.aclose_forcefully(stream)
        await server.wait_connections_closed(keeping=0)
        assert not server.world.logged


async def test_refused_upload_does_not_go_on_for_ever(door: Door) -> None:
    """Data sent after a refusal is discarded up to a limit, then the client is cut off."""
    async with serving(settings=door.settings) as server:
        _, stream = await door.enter(server)
        await stream.send_all(post("Content-Length: 100000000"))
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(bytes(256 * LINGER_BYTES_MAX))
        await server.wait_connections_closed(keeping=0)


async def test_client_that_never_reads_what_the_table_answers_is_reset(door: Door) -> None:
    """It keeps its connection no longer than the deadline, and nothing stays queued for it."""
    settings = replace(door.settings, send_timeout_ms=150)
    async with serving(settings=settings) as server:
        client, stream = await door.enter(server, receive_buffer=4_096)
        await stream.send_all(get("/openapi.json") * 100)
        await server.wait_connection_open()
        await server.wait_connections_closed(keeping=0)
        # Over TLS both the answering task and the encrypting task may be kept waiting.
        assert {event["event"] for event in server.world.logged} == {"client_stalled"}
        assert await client.is_reset()


async def test_client_that_reads_slowly_gets_all_of_it(door: Door) -> None:
    """The deadline applies to each piece of an answer, and whatever is queued still arrives."""
    size = 6 * 1024 * 1024
    settings = replace(door.settings, send_timeout_ms=400)
    async with serving(settings=settings, pages=flooding(size)) as server:
        _, stream = await door.enter(server, receive_buffer=128 * 1024)
        await stream.send_all(get("/flood", "Connection: close"))
        received, started = 0, trio.current_time()
        pauses = 0
        while data := await stream.receive_some(256 * 1024):
            received += len(data)
            if received // (256 * 1024) > pauses:
                pauses += 1
                await trio.sleep(0.02)
        assert received > size
        assert trio.current_time() - started > 0.4
        assert not server.world.logged


async def test_client_that_is_gone_is_not_answered(door: Door) -> None:
    """A request whose client has reset is abandoned long before its actor answers."""
    world = FakeWorld()
    world.answers[GetWorld] = SILENT
    settings = replace(door.settings, reply_timeout_ms=60_000)
    async with serving(world, settings) as server:
        client, stream = await door.enter(server)
        await stream.send_all(get("/v1/world"))
        await world.wait_held()
        client.reset()
        await server.wait_connections_closed(keeping=0)
        assert server.traffic.abandonments == 1
        assert world.held[0].reply is not None
        assert world.held[0].reply.send_nowait("too late") is False
        assert not world.logged


async def test_client_that_has_closed_its_side_gets_its_answer(door: Door) -> None:
    """Closing its side is not a reset, whether or not TLS is closed first."""
    async with serving(settings=door.settings) as server:
        client, stream = await door.enter(server)
        await stream.send_all(get("/v1/world"))
        await client.stream.send_eof()
        assert (await read_to_end(stream)).startswith(b"HTTP/1.1 200 ")
        await server.wait_connections_closed(keeping=0)


async def test_what_hangs_at_the_end_of_a_shutdown_is_reset(door: Door) -> None:
    """Nothing is left of a request that was not answered in time."""
    world = FakeWorld()
    world.answers[GetWorld] = SILENT
    settings = replace(door.settings, shutdown_timeout_ms=50)
    async with serving(world, settings) as server:
        client, stream = await door.enter(server)
        await stream.send_all(get("/v1/world"))
        await world.wait_held()
        server.stop.set()
        await server.stopped.wait()
        assert await client.is_reset()


async def test_client_that_has_sent_ahead_holds_no_shutdown_up(door: Door) -> None:
    """It gets the answer in flight, and then a moment, however long it stays."""
    world = FakeWorld()
    world.answers[GetWorld] = SILENT
    async with serving(world, door.settings) as server:
        _, stream = await door.enter(server)
        await stream.send_all(get("/v1/world") * 2)
        await world.wait_held()
        server.stop.set()
        await trio.testing.wait_all_tasks_blocked(0.01)
        began = trio.current_time()
        reply = world.held[0].reply
        assert reply is not None
        reply.send_nowait(usual_answers()[GetWorld])
        await server.stopped.wait()
        assert trio.current_time() - began < 0.6
        assert not world.events("http_connections_aborted")
        assert (await read_to_end(stream)).count(b"HTTP/1.1 200 ") == 1


async def test_what_is_not_read_at_the_end_of_a_shutdown_is_reset(door: Door) -> None:
    """A stuck send is cut off at the shutdown's deadline, and nothing is left of it."""
    settings = replace(door.settings, shutdown_timeout_ms=50, send_timeout_ms=60_000)
    async with serving(settings=settings, pages=flooding()) as server:
        client, stream = await door.enter(server, receive_buffer=4_096)
        await stream.send_all(get("/flood"))
        await stream.receive_some(1)
        started = trio.current_time()
        server.stop.set()
        await server.stopped.wait()
        assert trio.current_time() - started < 0.6
        assert len(server.world.events("http_connections_aborted")) == 1
        assert await client.is_reset()


async def test_cancellation_resets_what_is_unsent(door: Door) -> None:
    """When cancelled, the server is gone at once, whatever its clients leave unread."""
    world = FakeWorld()
    settings = replace(door.settings, send_timeout_ms=60_000)
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            edge = make_edge(world.gateway(), settings, TABLE, pages=flooding(), log=world.log)
            serve = partial(serve_http, edge, settings, shutdown=trio.sleep_forever, log=world.log)
            port: int = await nursery.start(serve)
            client = RawClient(await trio.open_tcp_stream("127.0.0.1", port))
            stream = client.stream
            if door.authority is not None:
                stream = await encrypted(stream, door.authority)
            await stream.send_all(get("/flood"))
            await trio.sleep(0.2)
            started = trio.current_time()
            nursery.cancel_scope.cancel()
        assert trio.current_time() - started < 0.5
        assert await client.is_reset()
        client.reset()
