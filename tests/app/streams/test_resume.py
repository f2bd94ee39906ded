"""No loss and no duplicate, whatever happens to clients and servers."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.app.streams.clients import QUICK, Faithful, expected, names, next_named, sse, websocket
from tests.e2e.players import Player, client
from tests.e2e.server import serving

if TYPE_CHECKING:
    from pathlib import Path

    from bench.wire import Client
    from tests.e2e.server import Server

ORDERS = 60


async def play(player: Player, other: Player, rng: random.Random, steps: int) -> None:
    """Order, cancel and send in a random sequence; refusals are part of the game."""
    placed: list[str] = []
    for _ in range(steps):
        match rng.randrange(5):
            case 0 | 1:
                answer = await player.order("scout", rng.randint(1, 3))
                if answer.status_code == 201:
                    placed.append(answer.json()["id"])
            case 2:
                answer = await player.order("keep")
                if answer.status_code == 201:
                    placed.append(answer.json()["id"])
            case 3 if placed:
                order = placed.pop(rng.randrange(len(placed)))
                await player.send("DELETE", f"/v1/inventory/orders/{order}")
            case _:
                await player.transfer(other.name, {"gold": 1})
        await trio.sleep(rng.expovariate(100))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("over_websocket", [False, True], ids=["sse", "websocket"])
async def test_clients_that_are_cut_off_are_told_everything_once(
    http: Client, seed: int, over_websocket: bool
) -> None:
    """Random disconnects during concurrent commands lose nothing and repeat nothing."""
    rng = random.Random(seed)
    ann, ben = await Player.join(http), await Player.join(http)
    clients = [Faithful(ann, random.Random(seed * 10 + n), over_websocket) for n in range(3)]
    async with trio.open_nursery() as following:
        for each in clients:
            following.start_soon(each.follow)
        async with trio.open_nursery() as playing:
            for number in range(3):
                playing.start_soon(play, ann, ben, random.Random(rng.random() + number), ORDERS)
            playing.start_soon(play, ben, ann, random.Random(rng.random()), ORDERS)
        await trio.sleep(0.3)
        wanted = expected(await ann.ledger())
        for each in clients:
            await each.wait_for(wanted[-1][0])
        following.cancel_scope.cancel()
    ledger = await ann.ledger()
    for each in clients:
        assert each.connections > 3
        assert names(each.told) == expected(ledger)[: len(each.told)]
        assert len(each.told) >= len(wanted)


@pytest.mark.parametrize("over_websocket", [False, True], ids=["sse", "websocket"])
async def test_client_resumes_across_a_restart_of_the_server(
    place: Path, over_websocket: bool
) -> None:
    """A server that is killed and restarted resumes where each client stands."""
    with serving(place, **QUICK) as server:
        async with client(server.url) as http:
            player, other = await Player.join(http), await Player.join(http)
        faithful = Faithful(player, random.Random(1), over_websocket)
        ledger: list[dict[str, Any]] = []
        wanted: list[tuple[int, str]] = []
        for end in ("kill", "stop", "none"):
            async with client(server.url) as http:
                player.http = other.http = http
                faithful.url = server.url
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(faithful.follow)
                    await play(player, other, random.Random(7), 30)
                    if end == "none":
                        await trio.sleep(0.3)
                        wanted = expected(await player.ledger())
                        await faithful.wait_for(wanted[-1][0])
                    nursery.cancel_scope.cancel()
                ledger = await player.ledger()
            if end == "kill":
                server.kill()
                server.start()
            elif end == "stop":
                assert server.stop() == 0
                server.start()
        assert len(faithful.told) >= len(wanted)
        assert names(faithful.told) == expected(ledger)[: len(faithful.told)]
        assert server.failures() == []


async def test_rates_let_a_client_know_what_it_has(server: Server, http: Client) -> None:
    """An event's rates, extrapolated from its moment, are what the inventory then shows."""
    player = await Player.join(http)
    async with sse(server.url, player) as stream:
        await next_named(stream, "snapshot")
        await player.ordered("hut")
        told = await next_named(stream, "order-completed")
        shown = await player.inventory()
        rate, now = told.data["rates"]["wood"], shown["resources"]["wood"]
        assert rate["per_hour"] == now["per_hour"]
        passed_h = (_seconds(shown["at"]) - _seconds(told.data["at"])) / 3600
        assert abs(rate["amount"] + rate["per_hour"] * passed_h - now["amount"]) <= 1


def _seconds(at: str) -> float:
    hours, minutes, seconds = at.removesuffix("Z").partition("T")[2].split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


async def test_both_protocols_tell_the_same(server: Server, http: Client) -> None:
    """WebSocket and Server-Sent Events carry the same events."""
    player = await Player.join(http)
    async with sse(server.url, player, 0) as one, websocket(server.url, player, 0) as two:
        await player.ordered("hut")
        for _ in range(4):
            told, same = await one.next(), await two.next()
            assert told is not None
            assert same is not None
            assert (told.id, told.name, told.data["entry"]) == (
                same.id,
                same.name,
                same.data["entry"],
            )
