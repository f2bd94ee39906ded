"""A failure of one account's Inventory affects only that account."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.e2e.players import Player, check_books, fresh_key, until
from tests.e2e.server import serving
from tests.postgres import reachable_directory, run_script

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.database.session import Session
    from bench.wire import Client, Response
    from tests.e2e.server import Server
    from tests.postgres import PostgresServer

IDLE_S = 0.2


@pytest.fixture(scope="module")
def server(postgres: PostgresServer) -> Iterator[Server]:
    """Run a server that passivates soon, so that records are read again, with short timeouts."""
    settings = {
        "HOLDFAST_DATABASE__DSN": postgres.create_database(),
        "HOLDFAST_INVENTORY__IDLE_SECONDS": str(IDLE_S),
        "HOLDFAST_HTTP__REPLY_TIMEOUT_MS": "1500",
    }
    with reachable_directory() as directory, serving(directory, **settings) as running:
        yield running
        assert running.stop() == 0
        failed = {event["event"] for event in running.failures()}
        assert failed <= {"inventory_given_up", "actor_escalated"}


async def run_sql(server: Server, sql: str, *values: object) -> None:
    """Change the database behind the server's back."""

    async def script(session: Session) -> None:
        await session.execute(sql, *values)

    await run_script(server.settings["HOLDFAST_DATABASE__DSN"], script)


async def test_failing_inventory_touches_no_other(http: Client, server: Server) -> None:
    """With one account's record broken the others go on; once repaired, it has lost nothing."""
    broken, other = await Player.join(http), await Player.join(http)
    assert await broken.amount("gold") == 1000
    await run_sql(
        server,
        "update inventories set state = jsonb_set(state, '{was}', state -> 'amounts') - 'amounts'"
        " where account_id = $1",
        broken.account_id,
    )

    async def fails() -> Response | None:
        await trio.sleep(3 * IDLE_S)
        answer = await broken.send("GET", "/v1/inventory")
        return answer if answer.status_code != 200 else None

    answer = await until(fails)
    assert (answer.status_code, answer.slug) == (503, "actor-stopped")

    key = fresh_key()
    underway = await other.transfer(broken.name, {"gold": 5}, key)
    assert underway.status_code in {503, 504}, underway.text
    await other.built("hut")
    assert await other.amount("gold") == 995
    for _ in range(10):
        assert (await broken.order("keep")).status_code in {503, 504}
    assert (await http.get("/readyz")).json()["status"] == "ready"
    assert (await Player.join(http)).account_id

    await run_sql(
        server,
        "update inventories set state = jsonb_set(state, '{amounts}', state -> 'was') - 'was'"
        " where account_id = $1",
        broken.account_id,
    )

    async def arrived() -> bool:
        there = await broken.send("GET", "/v1/inventory")
        return there.status_code == 200 and await broken.amount("gold") == 1005

    await until(arrived)
    again = await other.transfer(broken.name, {"gold": 5}, key)
    assert (again.status_code, again.json()["state"]) == (200, "delivered")
    await check_books(broken)
    await check_books(other)
