"""How large the database is and how old its oldest transaction, as shown to operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.database.driver import open_database
from actors.database.extent import PERIOD_S, ExtentMeter
from tests.postgres import quiet_log

if TYPE_CHECKING:
    import pytest
    from trio.testing import MockClock

    from tests.postgres import PostgresServer

SNAPSHOT = "begin isolation level repeatable read read only; select 1 from world"


async def test_extent_tells_size_and_age_of_the_oldest_transaction(
    postgres: PostgresServer,
) -> None:
    """An idle transaction counts: it keeps every row that was replaced since it began."""
    dsn = await postgres.create_database_async()
    async with open_database(dsn, log=quiet_log()) as database, trio.open_nursery() as nursery:
        meter = ExtentMeter()
        assert meter.latest is None
        await nursery.start(meter.follow, database)
        assert meter.latest is not None
        assert meter.latest.size_bytes > 1_000_000
        assert meter.latest.oldest_transaction_s == 0
        nursery.cancel_scope.cancel()
    async with open_database(dsn, log=quiet_log()) as database, trio.open_nursery() as nursery:
        holder = await database.connect(name="holder")
        await holder.run(lambda session: session.execute(SNAPSHOT))
        await holder.run(lambda session: session.execute("select pg_sleep(0.05)"))
        await nursery.start(meter.follow, database)
        assert meter.latest is not None
        assert meter.latest.oldest_transaction_s >= 0.05
        nursery.cancel_scope.cancel()


async def test_extent_is_unknown_while_the_database_is_away(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed check ends nothing, and the next one finds the database again."""
    looks: list[float] = []

    async with open_database("postgresql:///none?host=/nowhere", log=quiet_log()) as database:
        connect = database.connect

        async def noting(*, name: str) -> object:
            looks.append(trio.current_time())
            return await connect(name=name)

        monkeypatch.setattr(database, "connect", noting)
        meter = ExtentMeter()
        async with trio.open_nursery() as nursery:
            await nursery.start(meter.follow, database)
            await trio.sleep(2.5 * PERIOD_S)
            nursery.cancel_scope.cancel()
    assert meter.latest is None
    assert len(looks) == 3
