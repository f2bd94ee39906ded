"""Settings at their bounds: a server that starts with them works with them."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from tests.e2e.players import PASSWORD, Player, at_once, client, fresh_name
from tests.e2e.server import run_command, serving

if TYPE_CHECKING:
    from pathlib import Path

    from bench.wire import Response

CROWD = 100


async def test_embedded_database_admits_every_connection_of_its_server(place: Path) -> None:
    """With most connections for reading and for accounts, a crowd uses them beside commands."""
    settings = {
        "HOLDFAST_STORAGE__READ_CONNECTIONS": "100",
        "HOLDFAST_AUTH__DATABASE_CONNECTIONS": "100",
        "HOLDFAST_AUTH__HASH_QUEUE": "1000",
        "HOLDFAST_HTTP__REPLY_TIMEOUT_MS": "60000",
        "HOLDFAST_AUTH__REGISTRATIONS_PER_ADDRESS": "1000",
    }
    with serving(place, **settings) as server:
        async with client(server.url) as http:
            names = (fresh_name() for _ in range(CROWD))
            joins = (
                partial(http.post, "/v1/accounts", json={"username": name, "password": PASSWORD})
                for name in names
            )
            answers: list[Response] = await at_once(joins)
            assert Counter(answer.status_code for answer in answers) == {201: CROWD}
        assert run_command(place, "accounts", "list", **settings).returncode == 0
        assert server.complaints() == {}
        assert server.stop() == 0


async def test_longest_issuer_lets_players_in(place: Path, database_dsn: str) -> None:
    """The tokens that a server gives are tokens that it takes, however long its name is."""
    settings = {"HOLDFAST_AUTH__ISSUER": "🏰" * 200, "HOLDFAST_DATABASE__DSN": database_dsn}
    with serving(place, **settings) as server:
        async with client(server.url) as http:
            player = await Player.join(http)
            assert await player.amount("gold") == 1000
        assert server.stop() == 0
