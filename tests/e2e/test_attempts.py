"""Guessing passwords over real sockets, from several addresses of this machine."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import trio

from tests.e2e.players import PASSWORD, Player, client, fresh_name
from tests.e2e.server import serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.e2e.server import Server

ATTACKER, VICTIM, BYSTANDER = "127.0.0.2", "127.0.0.3", "127.0.0.4"
LIMITS = {
    "HOLDFAST_HTTP__EXEMPT_ADDRESSES": "127.0.0.1",
    "HOLDFAST_AUTH__ATTEMPTS_PER_USER": "3",
    "HOLDFAST_AUTH__ATTEMPTS_PER_USER_ANYWHERE": "5",
    "HOLDFAST_AUTH__ATTEMPTS_PER_ADDRESS": "8",
}


@asynccontextmanager
async def coming_from(address: str, server: Server) -> AsyncGenerator[httpx.AsyncClient]:
    """Open a client whose connections come from the address."""
    transport = httpx.AsyncHTTPTransport(local_address=address, verify=False)
    async with httpx.AsyncClient(base_url=server.url, transport=transport) as opened:
        yield opened


async def log_in(http: httpx.AsyncClient, username: str, password: str) -> httpx.Response:
    """Try to log in."""
    return await http.post("/v1/sessions", json={"username": username, "password": password})


def check_refusal(answer: httpx.Response, at_least_s: int) -> None:
    """Check that an attempt came too soon, and how long it must wait."""
    assert answer.status_code == 429
    assert answer.json()["type"] == "/problems/too-many-attempts"
    assert int(answer.headers["retry-after"]) >= at_least_s


async def test_attacker_waits_longer_and_longer_and_the_victim_does_not(
    place: Path, database_dsn: str
) -> None:
    """Delays grow per user and per address where the failures come from, and only there."""
    with serving(place, HOLDFAST_DATABASE__DSN=database_dsn, **LIMITS) as server:
        async with (
            client(server.url) as http,
            coming_from(ATTACKER, server) as attacker,
            coming_from(VICTIM, server) as victim,
            coming_from(BYSTANDER, server) as bystander,
        ):
            player, other = await Player.join(http), await Player.join(http)
            for _ in range(3):
                assert (await log_in(attacker, player.name, "a guess")).status_code == 401
            check_refusal(await log_in(attacker, player.name, PASSWORD), 1)
            await trio.sleep(1.1)
            assert (await log_in(attacker, player.name, "a guess")).status_code == 401
            check_refusal(await log_in(attacker, player.name, PASSWORD), 2)
            # The victim comes from elsewhere: one mistake costs one wait, and no more.
            for password, status in ((PASSWORD, 201), (PASSWORD, 201), ("mistyped", 401)):
                assert (await log_in(victim, player.name, password)).status_code == status
            check_refusal(await log_in(victim, player.name, PASSWORD), 1)
            await trio.sleep(1.1)
            assert (await log_in(victim, player.name, PASSWORD)).status_code == 201
            # Until the address has failed for too many users, it may try others.
            for _ in range(4):
                answer = await log_in(attacker, fresh_name(), "a guess")
                assert answer.status_code == 401
            check_refusal(await log_in(attacker, other.name, PASSWORD), 1)
            assert (await log_in(bystander, other.name, PASSWORD)).status_code == 201
            assert (await player.http.request("GET", "/healthz")).status_code == 200
        assert server.stop() == 0
        assert server.failures() == []
