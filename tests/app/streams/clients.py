"""Clients that follow an account on a real server, and the events they must receive."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import trio

from bench.wire import Broken
from tests.app.http.streams.harness import HANDSHAKE, SseClient, Told, WebSocketClient

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncGenerator

    from tests.e2e.players import Player

QUICK = {"HOLDFAST_EVENTS__HEARTBEAT_SECONDS": "0.3"}
"""Settings that make heartbeats frequent, so that whatever they reveal is noticed soon."""

RETRY_S = 0.05
FINISH_S = 20.0


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator[trio.SocketStream]:
    """Connect to a server; disconnect without a goodbye."""
    address = urlsplit(url)
    stream = await trio.open_tcp_stream(address.hostname or "", address.port or 0)
    try:
        yield stream
    finally:
        await trio.aclose_forcefully(stream)


@asynccontextmanager
async def sse(url: str, player: Player, after: int | None = None) -> AsyncGenerator[SseClient]:
    """Follow a player's account."""
    async with connected(url) as stream:
        client = SseClient(stream)
        resume = () if after is None else (f"Last-Event-ID: {after}",)
        await client.open("/v1/events", *(f"{k}: {v}" for k, v in player.bearer.items()), *resume)
        assert client.status == 200
        yield client


@asynccontextmanager
async def websocket(
    url: str, player: Player, after: int | None = None
) -> AsyncGenerator[WebSocketClient]:
    """Follow a player's account over WebSocket."""
    async with connected(url) as stream:
        client = WebSocketClient(stream)
        query = "" if after is None else f"?after={after}"
        bearer = (f"{k}: {v}" for k, v in player.bearer.items())
        await client.open(f"/v1/events/ws{query}", *HANDSHAKE, *bearer)
        yield client


@dataclass
class Faithful:
    """A client that is cut off again and again, and records events by their last id."""

    player: Player
    rng: random.Random
    over_websocket: bool = False
    last: int = 0
    told: list[Told] = field(default_factory=list[Told])
    connections: int = 0
    url: str = ""

    async def follow(self) -> None:
        """Follow until cancelled, reconnecting after any failure."""
        opening = websocket if self.over_websocket else sse
        while True:
            try:
                async with opening(self.url or self.player.http.url, self.player, self.last) as it:
                    self.connections += 1
                    await self._take(it)
            except (OSError, EOFError, Broken, trio.BrokenResourceError, AssertionError):
                await trio.sleep(RETRY_S)

    async def _take(self, client: SseClient | WebSocketClient) -> None:
        """Read for a while, then leave in the middle of whatever comes."""
        with trio.move_on_after(self.rng.expovariate(1 / 0.1)):
            while True:
                told = await client.next()
                if told is None:
                    return
                if told.id is not None:
                    self.told.append(told)
                    self.last = told.id

    async def wait_for(self, seq: int) -> None:
        """Wait until everything up to an entry has arrived."""
        with trio.fail_after(FINISH_S):
            while self.last < seq:  # noqa: ASYNC110 - real sockets
                await trio.sleep(0.01)


def expected(ledger: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """Return the events of a ledger without full stocks."""
    return [(e["seq"], e["cause"]) for e in ledger if e["cause"] != "production"]


def names(told: list[Told]) -> list[tuple[int | None, str]]:
    """Return the ids and names of the events received."""
    return [(each.id, each.name) for each in told]


async def next_named(client: SseClient | WebSocketClient, name: str) -> Told:
    """Read until an event of this name."""
    while True:
        told = await client.next()
        assert told is not None, f"the stream ended without {name}"
        if told.name == name:
            return told
