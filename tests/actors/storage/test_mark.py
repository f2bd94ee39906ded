"""The mark of each commit: left where its row is, without a search for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.actors.storage.conftest import postgres_engine
from tests.actors.storage.support import new_id, new_world, tick, world
from tests.postgres import run_script

if TYPE_CHECKING:
    from actors.database.session import Session
    from actors.storage.postgres import PostgresEngine
    from tests.postgres import PostgresServer


async def scans_of_marks(engine: PostgresEngine) -> int:
    """Return how often the row with the mark was looked for by its key."""

    async def look(session: Session) -> int:
        await session.fetchval("select pg_stat_force_next_flush()")
        scans: int = await session.fetchval(
            "select idx_scan::int from pg_stat_user_indexes where relname = 'last_commit'"
        )
        return scans

    assert engine._writer is not None
    return await engine._writer.run(look)


async def test_commit_does_not_go_through_the_marks_of_those_before(
    postgres: PostgresServer,
) -> None:
    """All marks have one key, and none can be removed during a backup or the like."""
    name = new_id()
    async with postgres_engine(await postgres.create_database_async()) as engine:
        assert await engine.commit([(new_world(name),)]) == [None]
        scans = await scans_of_marks(engine)
        for number in range(1, 20):
            # Two waves: a transaction of two statements.
            units = [(tick(name, number),), (tick(name, number),)]
            assert await engine.commit(units) == [None, None]
            assert await engine.commit([(tick(name, number),)]) == [None]
        assert await scans_of_marks(engine) == scans


async def test_row_of_the_mark_that_was_moved_is_found(postgres: PostgresServer) -> None:
    """A rewrite of the table moves the row: that costs one batch some time, and no unit."""
    dsn, name = await postgres.create_database_async(), new_id()
    async with postgres_engine(dsn) as engine:
        assert await engine.commit([(new_world(name),)]) == [None]
        await run_script(dsn, lambda session: session.execute("vacuum full last_commit"))
        assert await engine.commit([(tick(name, 1),), (tick(name, 2),)]) == [None, None]
        scans = await scans_of_marks(engine)
        assert await engine.commit([(tick(name, 3),)]) == [None]
        assert await scans_of_marks(engine) == scans
    assert await world(dsn, name) == (3, 4)
