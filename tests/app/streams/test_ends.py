"""How streams end: with the session, with the token, with the server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import trio

from tests.app.streams.clients import QUICK, next_named, sse, websocket
from tests.e2e.players import PASSWORD, Player, client
from tests.e2e.server import SHUTDOWN_MAX_S, run_command, serving

if TYPE_CHECKING:
    from pathlib import Path

    from bench.wire import Client
    from tests.e2e.server import Server
    from tests.postgres import PostgresServer

STREAMS = 100

QUARRY = """
title = "Quarry"
[resources.stone]
start = 0
base_per_hour = 72000
base_capacity = 20
[queues.yard]
[buildings.hut]
queue = "yard"
cost = { stone = 15 }
duration = 1
"""


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "/v1/sessions/current", None),
        ("DELETE", "/v1/sessions/{session_id}", None),
        ("DELETE", "/v1/sessions", None),
        ("DELETE", "/v1/accounts/me", {"password": PASSWORD}),
    ],
)
async def test_stream_ends_with_its_session(
    server: Server, http: Client, method: str, path: str, body: object
) -> None:
    """Whatever ends the session ends its streams, at once and with a goodbye."""
    player = await Player.join(http)
    async with sse(server.url, player) as one, websocket(server.url, player) as two:
        await next_named(one, "snapshot")
        await next_named(two, "snapshot")
        path = path.format(session_id=player.tokens["session_id"])
        assert (await player.send(method, path, body)).status_code == 204
        with trio.fail_after(5):
            await next_named(one, "session-ended")
            assert await one.next() is None
            await next_named(two, "session-ended")
            assert await two.next() is None
        assert two.closed == (1008, "session-ended")


async def test_session_ended_from_another_loses_its_streams_alone(
    server: Server, http: Client
) -> None:
    """A lost phone's stream ends at once; the session that ended it continues."""
    player = await Player.join(http)
    phone = await Player.login(http, player.name)
    async with sse(server.url, player) as kept, sse(server.url, phone) as lost:
        await next_named(kept, "snapshot")
        await next_named(lost, "snapshot")
        ended = await player.send("DELETE", f"/v1/sessions/{phone.tokens['session_id']}")
        assert ended.status_code == 204
        with trio.fail_after(5):
            await next_named(lost, "session-ended")
        await player.ordered("hut")
        await next_named(kept, "order-completed")


async def test_change_of_password_ends_the_streams_of_other_sessions(
    server: Server, http: Client
) -> None:
    """The requesting session keeps its stream; the others lose theirs."""
    player = await Player.join(http)
    other = await Player.login(http, player.name)
    async with sse(server.url, player) as kept, sse(server.url, other) as lost:
        await next_named(kept, "snapshot")
        changed = await player.send(
            "PUT",
            "/v1/accounts/me/password",
            {"current_password": PASSWORD, "new_password": "another good one"},
        )
        assert changed.status_code == 204
        await next_named(lost, "session-ended")
        await player.ordered("hut")
        await next_named(kept, "order-completed")


async def test_suspension_by_an_operator_ends_the_streams(place: Path) -> None:
    """An account suspended from outside the server receives nothing more."""
    with serving(place, **QUICK) as server:
        async with client(server.url) as http:
            player = await Player.join(http)
            async with sse(server.url, player) as stream:
                await next_named(stream, "snapshot")
                done = await trio.to_thread.run_sync(
                    lambda: run_command(place, "accounts", "suspend", player.name)
                )
                assert done.returncode == 0, done.stderr
                await next_named(stream, "session-ended")


async def test_stream_ends_when_its_token_runs_out(place: Path, postgres: PostgresServer) -> None:
    """The client comes back with a fresh token, and resumes where it was."""
    dsn = await postgres.create_database_async()
    # A token's times are whole seconds: this one is valid for two seconds at least.
    settings = {"HOLDFAST_AUTH__TOKEN_SECONDS": "3", "HOLDFAST_DATABASE__DSN": dsn}
    with serving(place, **QUICK, **settings) as server:
        async with client(server.url) as http:
            player = await Player.join(http)
            async with sse(server.url, player) as stream:
                last = await next_named(stream, "snapshot")
                await next_named(stream, "token-expired")
                assert await stream.next() is None
            player = await Player.login(http, player.name)
            await player.ordered("hut")
            async with sse(server.url, player, last.id) as stream:
                await next_named(stream, "order-placed")
        assert server.stop() == 0


async def test_full_stock_is_told_without_a_command(place: Path, postgres: PostgresServer) -> None:
    """A stock that fills up by itself is one event, also for a client that was away."""
    dsn = await postgres.create_database_async()
    rules = place / "quarry.toml"
    rules.write_text(QUARRY, encoding="utf-8")
    settings = {"HOLDFAST_WORLD__RULESET": str(rules), "HOLDFAST_DATABASE__DSN": dsn}
    with serving(place, **QUICK, **settings) as server:
        async with client(server.url) as http:
            player = await Player.join(http)
            async with sse(server.url, player) as stream:
                told = await next_named(stream, "resource-full")
                assert told.data["full"] == ["stone"]
                assert told.data["rates"]["stone"]["amount"] == 20
                assert told.data["rates"]["stone"]["full_at"] is None
            async with sse(server.url, player, told.id) as stream:
                await player.ordered("hut")
                last = await next_named(stream, "order-started")
            # It takes three quarters of a second to fill again, the hut takes one.
            await trio.sleep(1.2)
            async with sse(server.url, player, last.id) as stream:
                told = await next_named(stream, "resource-full")
                assert told.id == (last.id or 0) + 1
                assert told.data["full"] == ["stone"]
                await next_named(stream, "order-completed")


async def test_shutdown_is_not_delayed_by_streams(place: Path, postgres: PostgresServer) -> None:
    """A server with many open streams stops like one without, in order, after a goodbye."""
    dsn = await postgres.create_database_async()
    with serving(place, HOLDFAST_DATABASE__DSN=dsn) as server:
        async with client(server.url) as http:
            players = [await Player.join(http) for _ in range(5)]
        async with trio.open_nursery() as nursery:

            async def follow(player: Player, *, over_websocket: bool) -> None:
                opening = websocket if over_websocket else sse
                async with opening(server.url, player) as stream:
                    await next_named(stream, "snapshot")
                    opened.append(1)
                    await next_named(stream, "bye")
                    byes.append(1)

            opened: list[int] = []
            byes: list[int] = []
            for number in range(STREAMS):
                player = players[number % len(players)]
                nursery.start_soon(
                    lambda player=player, odd=number % 2 == 1: follow(player, over_websocket=odd)
                )
            while len(opened) < STREAMS:  # noqa: ASYNC110 - real sockets
                await trio.sleep(0.01)
            began = time.monotonic()
            status = await trio.to_thread.run_sync(server.stop)
            took_s = time.monotonic() - began
        assert status == 0
        assert took_s < SHUTDOWN_MAX_S
        assert len(byes) == STREAMS
        assert server.failures() == []
