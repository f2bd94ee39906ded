"""PostgreSQL goes away under load: 503 while it is away, then on, and nothing answered is lost."""

from __future__ import annotations

import os
import signal
from collections import Counter
from typing import TYPE_CHECKING

import trio

from bench.wire import Broken
from tests.e2e.players import Json, Player, check_books, client, fresh_key, until
from tests.e2e.server import SHUTDOWN_MAX_S, serving
from tests.postgres import frozen

if TYPE_CHECKING:
    from pathlib import Path

    from bench.wire import Client, Response
    from tests.e2e.server import Server

PLAYERS = 8


class Orders:
    """Players who order one guard after another, and what they were told of each."""

    def __init__(self, players: list[Player]) -> None:
        self.players = players
        self.placed: dict[str, Json] = {}
        self.unanswered: list[tuple[Player, dict[str, str]]] = []
        self.statuses: Counter[int] = Counter()
        self.stopping = False

    async def place(self, player: Player) -> None:
        """Order until told to stop."""
        while not self.stopping:
            key = fresh_key()
            try:
                answer = await player.order("guard", 1, key)
            except Broken:
                self.unanswered.append((player, key))
                await trio.sleep(0.02)
                continue
            self.statuses[answer.status_code] += 1
            if answer.status_code == 201:
                self.placed[key["Idempotency-Key"]] = answer.json()
            else:
                assert answer.status_code in {503, 504}, answer.text
                self.unanswered.append((player, key))
                await trio.sleep(0.02)

    async def settle(self) -> None:
        """Ask again, with the same key, for whatever was not answered with an order."""
        for player, key in self.unanswered:
            answer = await player.order("guard", 1, key)
            assert answer.status_code in {200, 201}, answer.text
            self.placed[key["Idempotency-Key"]] = answer.json()

    async def check(self) -> None:
        """Check that every key has its own one order, and that there is no other."""
        ids = {order["id"] for order in self.placed.values()}
        assert len(ids) == len(self.placed)
        there: set[str] = set()
        for player in self.players:
            entries = await check_books(player)
            orders = [e["order_id"] for e in entries if e["cause"] == "order-placed"]
            assert await player.amount("gold") == 1000 - len(orders)
            there.update(orders)
        assert there == ids


async def test_killed_postgres_is_restarted_and_nothing_answered_is_lost(place: Path) -> None:
    """The server outlives its database twice: each order that was answered is there once."""
    with serving(place) as server:
        async with client(server.url) as http:
            orders = Orders([await Player.join(http) for _ in range(PLAYERS)])
            async with trio.open_nursery() as nursery:
                for player in orders.players:
                    nursery.start_soon(orders.place, player)
                for _ in range(2):
                    await progress(orders)
                    killed = server.postmaster()
                    os.kill(killed, signal.SIGKILL)
                    await restarted(server, http, killed)
                await progress(orders)
                orders.stopping = True
            assert orders.statuses[503] > 0
            await orders.settle()
            await orders.check()
        assert server.stop() == 0


async def progress(orders: Orders) -> None:
    """Wait until more orders have been answered."""
    before = len(orders.placed)

    async def more() -> bool:
        return len(orders.placed) > before + 2 * PLAYERS

    await until(more)


async def restarted(server: Server, http: Client, killed: int) -> None:
    """Wait until another PostgreSQL runs and the server is ready again."""

    async def ready() -> bool:
        said = server.cluster.postmaster()
        if said is None or said.pid == killed or not said.ready:
            return False
        return (await http.get("/readyz")).status_code == 200

    await until(ready)
    assert server.process.poll() is None


async def test_requests_get_503_while_the_database_is_away(place: Path) -> None:
    """With PostgreSQL frozen a request is refused within the reply timeout, and later goes on."""
    with serving(place, HOLDFAST_HTTP__REPLY_TIMEOUT_MS="400") as server:
        async with client(server.url) as http:
            player = await Player.join(http)
            key = fresh_key()
            with frozen(*server.postgres_pids()):
                with trio.fail_after(SHUTDOWN_MAX_S):
                    answer = await player.order("keep", key=key)
                assert answer.status_code in {503, 504}, answer.text
                assert (await http.get("/healthz")).status_code == 200

            async def answered() -> Response | None:
                again = await player.order("keep", key=key)
                return again if again.status_code in {200, 201} else None

            first = await until(answered)
            assert first.json()["asset"] == "keep"
            assert await player.amount("gold") == 999
            await check_books(player)
        assert server.stop() == 0


async def test_killed_server_keeps_what_it_answered(place: Path) -> None:
    """``kill -9`` under load: after the restart each answered order is there once, and no other."""
    with serving(place) as server:
        async with client(server.url) as http:
            orders = Orders([await Player.join(http) for _ in range(PLAYERS)])
            async with trio.open_nursery() as nursery:
                for player in orders.players:
                    nursery.start_soon(orders.place, player)
                await progress(orders)
                server.kill()
                orders.stopping = True
        server.start()
        async with client(server.url) as http:
            for player in orders.players:
                player.http = http
            told = {key: dict(order) for key, order in orders.placed.items()}
            await orders.settle()
            await orders.check()
            for key, order in told.items():
                owner = next(p for p in orders.players if await has(p, order))
                again = await owner.order("guard", 1, {"Idempotency-Key": key})
                assert (again.status_code, again.json()) == (200, order)
            await orders.check()
        assert server.stop() == 0


async def has(player: Player, order: Json) -> bool:
    """Tell whether an order is this player's."""
    answer = await player.send("GET", f"/v1/inventory/orders/{order['id']}")
    return answer.status_code == 200
