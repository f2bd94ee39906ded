"""Migrations on an operator's own server, whatever time limits it sets for its sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.database.driver import open_database
from actors.database.migrate import Migration, migrate
from tests.postgres import quiet_log, run_script

if TYPE_CHECKING:
    from actors.database.session import Session

LIMITS = ("statement_timeout", "lock_timeout", "transaction_timeout")
LONG = Migration(
    1,
    "long",
    "create table limits as select name, setting from pg_settings where name like '%\\_timeout'; "
    "select pg_sleep(0.2)",
)


@pytest.mark.parametrize("limit", LIMITS)
async def test_migrate_takes_its_time_whatever_the_server_allows(
    empty_dsn: str, limit: str
) -> None:
    """Hosts of PostgreSQL limit the statements of a role to seconds or minutes.

    A migration that they cut off never ends, and leaves a schema for neither program. A later
    session has the limit again.
    """

    async def set_limit(session: Session) -> None:
        name = await session.fetchval("select quote_ident(current_database())")
        await session.execute(f"alter database {name} set {limit} = '100ms'")

    await run_script(empty_dsn, set_limit)
    async with open_database(empty_dsn, log=quiet_log()) as database:
        connection = await database.connect(name="migrate")
        assert await migrate(connection, migrations=[LONG]) == (1,)
        find = "select setting from limits where name = $1"
        assert await connection.run(lambda session: session.fetchval(find, limit)) == "0"
        now = f"select current_setting('{limit}')"
        assert await connection.run(lambda session: session.fetchval(now)) == "100ms"
