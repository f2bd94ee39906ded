"""Clients that stop where they should go on, or go on where they should stop; in each lane."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio

from actors.authx.messages import Register
from actors.ticker.messages import GetWorld, World
from tests.app.http.harness import NOW_MS, SILENT, FakeWorld, get, serving, settings_with
from tests.app.http.secure import encrypted
from tests.app.http.support import REGISTER, alive, post
from tests.app.http.test_limits import closed, slug

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import trustme

    from app.http.settings import HttpSettings
    from tests.app.http.harness import RawClient, Serving

pytestmark = pytest.mark.usefixtures("lane")

NOW = World("w", 1, 1_000, NOW_MS)


def answer_held(world: FakeWorld) -> None:
    """Send the answers that actors were silent about."""
    for message in world.held:
        assert message.reply is not None
        message.reply.send_nowait(NOW)


@asynccontextmanager
async def dripping(client: RawClient, piece: bytes) -> AsyncGenerator[None]:
    """Send a piece now and then, for as long as the context lasts or the server takes it."""

    async def drip() -> None:
        try:
            while True:
                await client.send(piece)
                await trio.sleep(0.02)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drip)
        yield
        nursery.cancel_scope.cancel()


async def test_client_that_is_told_to_continue_and_does_not_is_408() -> None:
    """A client that asks before it sends its body has the time of a body, from then on."""
    async with serving(settings=settings_with(body_timeout_ms=150)) as server:
        client = await server.connect()
        await client.send(post("Expect: 100-continue", "Content-Length: 5"))
        assert (await client.stream.receive_some()).startswith(b"HTTP/1.1 100 ")
        assert slug(await client.read_response()) == "request-timeout"
        assert await closed(client) == b""


@pytest.mark.parametrize("piece", [b"1\r\na\r\n", b"0"], ids=["chunks", "size"])
async def test_dripping_chunks_are_408(piece: bytes) -> None:
    """However a chunked body is drawn out, it has the time of any body."""
    async with serving(settings=settings_with(body_timeout_ms=150)) as server:
        client = await server.connect()
        await client.send(post("Transfer-Encoding: chunked"))
        async with dripping(client, piece):
            assert slug(await client.read_response()) == "request-timeout"
        assert server.world.asked_for(Register) == []
        assert await alive(server)


async def test_endless_trailers_are_431() -> None:
    """Trailers after the last chunk are limited as a head is."""
    async with serving() as server:
        client = await server.connect()
        await client.send(post("Transfer-Encoding: chunked") + b"0\r\n" + b"A: b\r\n" * 10_000)
        assert slug(await client.read_response()) == "headers-too-large"


@pytest.mark.parametrize(
    "request_bytes",
    [
        post("Content-Length: 100", body=REGISTER),
        post("Transfer-Encoding: chunked", body=b"5\r\n{"),
    ],
    ids=["length", "chunks"],
)
async def test_body_that_ends_too_soon_has_no_effect(request_bytes: bytes) -> None:
    """A client that sends half a body and then closes its side is refused, not obeyed."""
    async with serving() as server:
        client = await server.connect()
        await client.send(request_bytes)
        await client.stream.send_eof()
        await client.read_to_end()
        await server.wait_connections_closed(keeping=0)
        assert server.world.asked_for(Register) == []
        assert not server.world.logged


async def test_client_that_sends_on_after_a_last_answer_is_cut_off() -> None:
    """After an answer that ends the connection, reading continues only for a moment."""
    async with serving() as server:
        client = await server.connect()
        await client.send(get("/healthz", "Connection: close", "Content-Length: 60000"))
        assert (await client.read_response()).headers["connection"] == "close"
        assert await client.is_cut_off_sending(within_s=3)
        await server.wait_connections_closed(keeping=0)


async def test_request_in_the_middle_of_its_body_is_answered_at_shutdown() -> None:
    """A client that keeps sending in time gets its answer, marked as the last one."""
    async with serving() as server:
        client = await server.connect()
        await client.send(post(f"Content-Length: {len(REGISTER)}", body=REGISTER[:5]))
        await trio.sleep(0.05)
        server.stop.set()
        await trio.sleep(0.05)
        await client.send(REGISTER[5:])
        response = await client.read_response()
        assert (response.status, response.headers["connection"]) == (201, "close")
        await server.stopped.wait()


async def test_requests_behind_the_one_in_hand_are_not_begun_at_shutdown() -> None:
    """Of a client's pipelined requests, only the one in flight is answered."""
    world = FakeWorld()
    world.answers[GetWorld] = SILENT
    async with serving(world) as server:
        client = await server.connect()
        await client.send(get("/v1/world") * 5)
        await world.wait_held()
        server.stop.set()
        await trio.sleep(0.05)
        answer_held(world)
        response = await client.read_response()
        assert (response.status, response.headers["connection"]) == (200, "close")
        assert await closed(client) == b""
        await server.stopped.wait()
        assert len(world.asked_for(GetWorld)) == 1


async def test_shutdown_does_not_wait_for_clients_that_were_refused() -> None:
    """A client that keeps sending unread data is disconnected at once."""
    async with serving() as server:
        client = await server.connect()
        await client.send(post("Content-Length: 100000000"))
        async with dripping(client, bytes(10)):
            assert (await client.read_response()).status == 413
            started = trio.current_time()
            server.stop.set()
            await server.stopped.wait()
            assert trio.current_time() - started < 0.5


async def connect(server: Serving, authority: trustme.CA) -> trio.SSLStream[trio.SocketStream]:
    """Open an encrypted connection."""
    return await encrypted((await server.connect()).stream, authority)


async def test_dripping_handshake_is_closed(tls_settings: HttpSettings) -> None:
    """A byte of the handshake now and then does not extend its deadline."""
    settings = replace(tls_settings, first_byte_timeout_ms=150)
    async with serving(settings=settings) as server:
        client = await server.connect()
        hello = bytes.fromhex("16030101000100 00fc".replace(" ", ""))
        await client.send(hello)
        async with dripping(client, b"\x03"):
            await server.wait_connection_open()
            await server.wait_connections_closed(keeping=0)
        assert not server.world.logged


async def test_silent_and_idle_clients_of_tls_are_closed(
    tls_settings: HttpSettings, authority: trustme.CA
) -> None:
    """The deadlines hold under TLS as they do without."""
    settings = replace(tls_settings, first_byte_timeout_ms=300, keep_alive_timeout_ms=100)
    async with serving(settings=settings) as server:
        silent = await connect(server, authority)
        idle = await connect(server, authority)
        await idle.send_all(get())
        for stream in (idle, silent):
            while await stream.receive_some():
                pass
        await server.wait_connections_closed(keeping=0)


async def test_client_of_tls_beyond_the_limit_is_closed_without_a_word(
    tls_settings: HttpSettings, authority: trustme.CA
) -> None:
    """Nothing unencrypted is sent to it."""
    async with serving(settings=replace(tls_settings, connections_max=1)) as server:
        held = await connect(server, authority)
        beyond = await server.connect()
        assert await beyond.read_to_end() == b""
        await held.send_all(get())
        assert (await held.receive_some()).startswith(b"HTTP/1.1 200 ")


async def test_shutdown_over_tls_answers_what_is_in_hand(
    tls_settings: HttpSettings, authority: trustme.CA
) -> None:
    """The answer arrives, marked as the last one."""
    world = FakeWorld()
    world.answers[GetWorld] = SILENT
    async with serving(world, tls_settings) as server:
        stream = await connect(server, authority)
        await stream.send_all(get("/v1/world"))
        await world.wait_held()
        server.stop.set()
        await trio.sleep(0.05)
        answer_held(world)
        answer = b""
        while data := await stream.receive_some():
            answer += data
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nconnection: close\r\n" in answer
        await server.stopped.wait()
        assert not world.logged
