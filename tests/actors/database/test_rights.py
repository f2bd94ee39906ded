"""An upgrade on an operator's own server begins only if the role may do all of it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from actors.database.driver import open_database
from actors.database.errors import StatementError
from actors.database.migrate import Migration, seen_versions, shipped_migrations
from actors.database.upgrade import upgrade
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from actors.database.driver import Connection
    from actors.database.upgrade import Upgrade

SHIPPED = shipped_migrations()
NEWER = (
    *SHIPPED,
    # Adding a column takes no more than owning the table.
    Migration(SHIPPED[-1].version + 1, "column", "alter table world add column later bigint"),
    Migration(SHIPPED[-1].version + 2, "table", "create table later (id bigint)"),
)
OWN = """
do $$ declare each regclass;
begin
    for each in select oid from pg_class
        where relnamespace = 'public'::regnamespace and relkind = 'r'
    loop
        execute format('alter table %s owner to tenant', each);
    end loop;
end $$;
alter function erase_account_rows owner to tenant;
"""
AWAY = "reassign owned by tenant to current_user; drop owned by tenant; drop role tenant"


@asynccontextmanager
async def tenant(dsn: str, granted: str = "select 1") -> AsyncGenerator[Connection]:
    """Yield a connection of a role that owns the world's tables, and may do what is granted."""
    async with open_database(dsn, log=quiet_log()) as database:
        maker = await database.connect(name="maker")
        await maker.run(lambda session: session.execute(f"create role tenant; {OWN} {granted}"))
        try:
            connection = await database.connect(name="migrations")
            await connection.run(lambda session: session.execute("set role tenant"))
            yield connection
            await connection.aclose()
        finally:
            await maker.run(lambda session: session.execute(AWAY))


async def bring_up_to_date(connection: Connection, migrations: Sequence[Migration]) -> Upgrade:
    """Upgrade the database, of whose backups its operator takes care."""
    now = datetime.now(UTC)
    return await upgrade(connection, None, now=now, log=quiet_log(), migrations=migrations)


async def test_upgrade_that_would_stop_halfway_does_not_begin(dsn: str) -> None:
    """Between two versions neither program starts: the missing right is named before anything."""
    async with tenant(dsn) as connection:
        expected = (
            "the role tenant may not create anything in the schema public, which an upgrade "
            "does: grant create on schema public to tenant"
        )
        with pytest.raises(StatementError) as caught:
            await bring_up_to_date(connection, NEWER)
        assert str(caught.value) == expected
        seen = await connection.run(seen_versions)
        assert seen[-1] == SHIPPED[-1].version
        # Where nothing is to be done, no right is asked for.
        assert (await bring_up_to_date(connection, SHIPPED)).applied == ()


async def test_upgrade_by_a_role_with_the_right(dsn: str) -> None:
    """A role that may create tables needs nothing else."""
    async with tenant(dsn, "grant create on schema public to tenant") as connection:
        done = await bring_up_to_date(connection, NEWER)
        assert done.after == NEWER[-1].version
