"""PostgreSQL fails under load: 503 while it is down, then recovery; nothing answered is lost."""

from __future__ import annotations

import os
import signal
from collections import Counter
from typing import TYPE_CHECKING

import trio

from bench.wire import Broken
from tests.e2e.players import (
    Json,
    Player,
    check_books,
    client,
    fresh_key,
    refused,
    until,
)
from tests.e2e.server import SHUTDOWN_MAX_S, postmaster_of, serving
from tests.postgres import frozen, run_script, with_database

if TYPE_CHECKING:
    from pathlib import Path

    from bench.wire import Client, Response
    from tests.e2e.server import Server

PLAYERS = 8
CREDENTIALS = {"username": "somebody", "password": "correct horse battery"}


class Orders:
    """Players who order one guard after another, and the answer to each order."""

    def __init__(self, players: list[Player]) -> None:
        self.players = players
        self.placed: dict[str, Json] = {}
        self.owners: dict[str, Player] = {}
        self.unanswered: list[tuple[Player, dict[str, str]]] = []
        self.statuses: Counter[int] = Counter()
        self.stopping = False

    async def place(self, player: Player) -> None:
        """Order until told to stop or the server is gone."""
        while not self.stopping:
            key = fresh_key()
            try:
                answer = await player.order("guard", 1, key)
            except Broken:
                self.unanswered.append((player, key))
                return
            self.statuses[answer.status_code] += 1
            if answer.status_code == 201:
                self.keep(player, key, answer)
            else:
                assert answer.status_code in {503, 504}, answer.text
                self.unanswered.append((player, key))
                await trio.sleep(0.02)

    async def settle(self) -> None:
        """Retry, with the same key, every request that was not answered with an order."""
        for player, key in self.unanswered:
            answer = await player.order("guard", 1, key)
            assert answer.status_code in {200, 201}, answer.text
            self.keep(player, key, answer)

    def keep(self, player: Player, key: dict[str, str], answer: Response) -> None:
        """Record an answered order."""
        self.placed[key["Idempotency-Key"]] = answer.json()
        self.owners[key["Idempotency-Key"]] = player

    async def check(self) -> None:
        """Check that every key still gets its one order, and that there are no others."""
        for key, order in self.placed.items():
            again = await self.owners[key].order("guard", 1, {"Idempotency-Key": key})
            assert (again.status_code, again.json()) == (200, order)
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
    """The server outlives its database twice: each order answered is there once."""
    with serving(place) as server:
        async with client(server.url) as http:
            orders = Orders([await Player.join(http) for _ in range(PLAYERS)])
            async with trio.open_nursery() as nursery:
                for player in orders.players:
                    nursery.start_soon(orders.place, player)
                for _ in range(2):
                    await progress(orders)
                    killed = postmaster_of(server)
                    os.kill(killed, signal.SIGKILL)
                    await restarted(server, http, killed)
                await progress(orders)
                orders.stopping = True
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
    """Wait until a new PostgreSQL runs and the server is ready again."""

    async def ready() -> bool:
        said = server.cluster.postmaster()
        if said is None or said.pid == killed or not said.ready:
            return False
        return (await http.get("/readyz")).status_code == 200

    await until(ready)
    assert server.process.poll() is None


async def test_requests_get_503_while_the_database_is_away(place: Path) -> None:
    """With PostgreSQL frozen, requests are refused within the reply timeout; later they succeed."""
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


async def test_own_database_that_goes_away_gives_503_and_comes_back(place: Path) -> None:
    """With an external PostgreSQL gone: 503 with Retry-After at once or soon, then recovery."""
    for name in ("own", "game"):
        (place / name).mkdir(mode=0o755)
    with serving(place / "own") as host:
        # It may be any PostgreSQL: here it is another world's embedded one.
        dsn = await another_database(host.cluster.dsn)
        with serving(place / "game", HOLDFAST_DATABASE__DSN=dsn) as server:
            async with client(server.url) as http:
                player = await Player.join(http)
                assert (await player.order("keep")).status_code == 201
                assert not (server.cluster.path).exists()
                assert host.stop() == 0
                key = fresh_key()
                answer = await player.order("keep", key=key)
                refused(answer, 503, answer.slug)
                assert int(answer.headers["retry-after"]) > 0
                refused(await http.post("/v1/sessions", json=CREDENTIALS), 503, "unavailable")
                assert (await http.get("/healthz")).status_code == 200
                assert server.process.poll() is None
                host.start()

                async def answered() -> Response | None:
                    again = await player.order("keep", key=key)
                    return again if again.status_code in {200, 201} else None

                await until(answered)
                assert await player.amount("gold") == 998
                await check_books(player)
            assert server.stop() == 0


async def another_database(dsn: str) -> str:
    """Make another database beside an embedded one; return its DSN."""
    await run_script(dsn, lambda session: session.execute("create database game"))
    return with_database(dsn, "game")
