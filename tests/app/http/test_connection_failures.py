"""A failing connection ends alone, is logged, and does not block cancellation."""

from __future__ import annotations

import math
import socket
from typing import TYPE_CHECKING

import pytest
import trio
from hypercorn.events import RawData

from actors.ticker.messages import GetWorld
from app.http.asgi.connection import Connection
from app.http.direct import DirectConnection
from app.http.direct.lane import Lane
from app.http.edge import Edge
from app.http.refusals import Refusals
from app.http.routes import Router
from bus import Message, Topic
from tests.app.http.harness import FAST, SETTINGS, SILENT, FakeWorld, get, serving, settings_with
from tests.app.http.support import alive
from tests.app.http.test_edge import fail_in_two_ways

if TYPE_CHECKING:
    from app.http.asgi.protocol import HttpProtocol

pytestmark = pytest.mark.usefixtures("lane")

NOTHING = Message(Topic.TASK, None)


async def test_failing_connection_is_logged_and_ends_alone(
    lane: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception within one connection ends only that connection, whatever raised it."""

    async def fail(*_: object) -> None:
        raise ZeroDivisionError

    async with serving() as server:
        bystander = await server.connect()
        await bystander.send(get())
        assert (await bystander.read_response()).status == 200
        with monkeypatch.context() as patch:
            if lane == FAST:
                patch.setattr(DirectConnection, "_answer_requests", fail)
            else:
                patch.setattr(Connection, "_read", fail)
            client = await server.connect()
            assert await client.read_to_end() == b""
        assert len(server.world.events("connection_failed")) == 1
        await bystander.send(get())
        assert (await bystander.read_response()).status == 200
        assert await alive(server)


async def test_connection_that_fails_while_cancelled_is_logged(
    lane: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that coincides with the server's own end is logged and does not spread."""

    async def fail_in_two_ways(_: DirectConnection) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await nursery.start(fail_once_cancelled)

    async def fail_once_cancelled(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        world.held.append(NOTHING)
        try:
            await trio.sleep_forever()
        finally:
            raise ZeroDivisionError

    async def fail_at_the_end(_: Connection, protocol: HttpProtocol) -> None:
        await protocol.handle(RawData(get("/v1/world")))
        try:
            await trio.sleep_forever()
        finally:
            raise ZeroDivisionError

    world = FakeWorld()
    world.answers[GetWorld] = SILENT
    async with serving(world, settings_with(shutdown_timeout_ms=50)) as server:
        with monkeypatch.context() as patch:
            if lane == FAST:
                patch.setattr(DirectConnection, "_answer_requests", fail_in_two_ways)
            else:
                patch.setattr(Connection, "_read", fail_at_the_end)
            await server.connect()
            await world.wait_held()
            server.stop.set()
            await server.stopped.wait()
        (event,) = world.events("connection_failed")
        assert event["exc_info"].subgroup(ZeroDivisionError) is not None


async def test_connection_that_fails_while_cancelled_is_cancelled_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A failure does not keep the cancellation from taking effect (fast lane)."""
    world = FakeWorld()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    edge = Edge(Router(()), log=world.log)
    refusals = Refusals(edge, SETTINGS)
    lane = Lane(edge, SETTINGS, refusals=refusals, streams=None, log=world.log)

    async def answer_requests(_: DirectConnection) -> None:
        await fail_in_two_ways()

    monkeypatch.setattr(DirectConnection, "_answer_requests", answer_requests)
    with theirs, trio.move_on_after(0.01) as scope:
        await DirectConnection(ours, lane, "", math.inf).serve()
    assert scope.cancelled_caught
    assert ours.fileno() < 0
    (event,) = world.events("connection_failed")
    assert [type(error) for error in event["exc_info"].exceptions] == [ZeroDivisionError]
