"""The memory that all request bodies may take together, through both lanes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from actors.authx.messages import Register
from app.http.bodies import FREE_BYTES, BodyRoom
from app.http.errors import TooManyBodyBytes
from tests.app.http.harness import SETTINGS, SILENT, FakeWorld, serving
from tests.app.http.support import post
from tests.app.http.test_limits import slug

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.app.http.harness import RawClient, RawResponse

ROOM = 4_096
SIZE = SETTINGS.max_body_bytes
NARROW = replace(SETTINGS, bodies_in_flight_max_bytes=ROOM, body_timeout_ms=5_000)
BODY = b'{"username": "ada", "password": "correct horse"}'
LARGE = BODY.ljust(SIZE)
JSON = {"Content-Type": "application/json"}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 3_000)), max_size=50))
def test_room_is_what_is_taken_and_not_given_back(steps: list[tuple[int, int]]) -> None:
    """It never exceeds the limit, and all of it comes back."""
    room, taken, sizes = BodyRoom(ROOM), [0] * 4, [0] * 4
    for which, grown in steps:
        if grown < 0:
            room.give_back(taken[which])
            taken[which] = sizes[which] = 0
            continue
        sizes[which] += grown
        try:
            taken[which] = room.take(taken[which], sizes[which])
        except TooManyBodyBytes:
            assert sum(taken) - taken[which] + sizes[which] > ROOM
            sizes[which] = taken[which]
        assert taken[which] in {0, sizes[which]}
        assert taken[which] or sizes[which] <= FREE_BYTES
        assert room.bytes == sum(taken) <= ROOM
    for each in taken:
        room.give_back(each)
    assert room.bytes == 0


def begun(size: int, *, chunked: bool = False) -> bytes:
    """Write out a request with the first ``size`` bytes of a large body."""
    if chunked:
        start = b"%x\r\n" % SIZE + LARGE[:size]
        return post("Transfer-Encoding: chunked", "Content-Type: application/json", body=start)
    length = f"Content-Length: {SIZE}"
    return post(length, "Content-Type: application/json", body=LARGE[:size])


def check_refused(response: RawResponse) -> None:
    """Check that a client is told to retry later, on another connection."""
    assert (response.status, slug(response)) == (503, "overloaded")
    assert response.headers["retry-after"] == "1"
    assert response.headers["connection"] == "close"


@pytest.mark.usefixtures("lane")
@pytest.mark.parametrize("chunked", [False, True])
async def test_bodies_on_their_way_have_a_limit(*, chunked: bool) -> None:
    """Beyond it the answer is 503 before a body is complete; commands pass, and room comes back."""
    async with serving(settings=NARROW) as server:
        first, second, third = [await server.connect() for _ in range(3)]
        for client in (first, second):
            await client.send(begun(2_000, chunked=chunked))
        await server.wait_body_bytes(4_000)
        await third.send(begun(FREE_BYTES, chunked=chunked))
        await trio.sleep(0.02)
        await third.send(bytes(1))
        check_refused(await third.read_response())
        assert server.room.bytes == server.traffic.bodies_bytes == 4_000
        small = await server.client.post("/v1/accounts", content=BODY, headers=JSON)
        assert small.status_code == 201
        for client in (first, second):
            await client.send(LARGE[2_000:] + (b"\r\n0\r\n\r\n" if chunked else b""))
            assert (await client.read_response()).status == 201
        await server.wait_body_bytes(0)
        assert server.traffic.connections_open >= 2
        assert len(server.world.asked_for(Register)) == 3


@pytest.mark.usefixtures("lane")
async def test_body_that_comes_whole_has_no_more_room_than_others() -> None:
    """A body that arrives with its head counts while its request is in flight."""
    world = FakeWorld()
    world.answers[Register] = SILENT
    settings = replace(NARROW, bodies_in_flight_max_bytes=SIZE, reply_timeout_ms=100)
    async with serving(world, settings) as server:
        first, second = await server.connect(), await server.connect()
        await first.send(begun(SIZE))
        await world.wait_held()
        assert server.room.bytes == server.traffic.bodies_bytes == SIZE
        assert server.traffic.in_hand == 1
        await second.send(begun(SIZE))
        check_refused(await second.read_response())
        assert await second.read_to_end() == b""
        assert (await first.read_response()).status == 504
        assert server.traffic.in_hand == 0
        await server.wait_body_bytes(0)
        assert len(world.asked_for(Register)) == 1


async def _send_no_more(client: RawClient) -> None:
    await client.stream.send_eof()
    assert (await client.read_response()).status == 400


async def _send_nonsense(client: RawClient) -> None:
    await client.send(bytes(SIZE) + b"no end of a chunk")
    assert (await client.read_response()).status == 400


async def _wait(client: RawClient) -> None:
    assert (await client.read_response()).status == 408


async def _reset(client: RawClient) -> None:
    client.reset()


@pytest.mark.usefixtures("lane")
@pytest.mark.parametrize("end", [_send_no_more, _send_nonsense, _wait, _reset])
async def test_room_comes_back_whatever_ends_a_body(
    end: Callable[[RawClient], object],
) -> None:
    """A client that stops, errs, waits or disconnects no longer takes any room."""
    settings = replace(NARROW, body_timeout_ms=150 if end is _wait else 5_000)
    async with serving(settings=settings) as server:
        client = await server.connect()
        await client.send(begun(2_000, chunked=end is _send_nonsense))
        await server.wait_body_bytes(2_000)
        await end(client)  # type: ignore[misc]
        await server.wait_body_bytes(0)


@pytest.mark.usefixtures("lane")
@pytest.mark.parametrize("client_goes", [False, True])
async def test_room_comes_back_where_a_request_in_hand_is_cut_off(*, client_goes: bool) -> None:
    """Both if its client goes away and if the server is stopped."""
    world = FakeWorld()
    world.answers[Register] = SILENT
    settings = replace(NARROW, shutdown_timeout_ms=50)
    async with serving(world, settings) as server:
        client = await server.connect()
        await client.send(begun(SIZE))
        await world.wait_held()
        assert server.room.bytes == SIZE
        if client_goes:
            client.reset()
        else:
            server.stop.set()
            await server.stopped.wait()
        await server.wait_body_bytes(0)


@pytest.mark.usefixtures("lane")
async def test_room_comes_back_where_a_body_is_cut_off_by_a_shutdown() -> None:
    """The rest of the body is no longer awaited."""
    async with serving(settings=replace(NARROW, shutdown_timeout_ms=50)) as server:
        client = await server.connect()
        await client.send(begun(2_000))
        await server.wait_body_bytes(2_000)
        server.stop.set()
        await server.stopped.wait()
        await server.wait_body_bytes(0)
