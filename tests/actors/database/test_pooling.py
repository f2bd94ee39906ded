"""What `check_own_session` detects, behind a pooler that is played on real connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
import trio

from actors.database.driver import open_database
from actors.database.errors import DatabaseUnavailable, StatementError
from actors.database.pooling import check_own_session, check_pooling
from actors.database.sqlstates import error_of
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.database.driver import Connection, Database
    from actors.database.session import Script, Session

COUNT_TRANSACTIONS = """
select count(*) from pg_stat_activity
where datname = current_database() and state like 'idle in transaction%'
"""


class PooledClient:
    """A client's side of a pooler in transaction mode: it has a server from begin to end."""

    def __init__(self, idle: list[Connection]) -> None:
        self._idle = idle
        self._mine: Connection | None = None

    async def run(self, script: Script[Any]) -> Any:
        """Run a script on the server used last, or on that of the transaction."""
        server = self._mine or self._idle.pop()
        try:
            return await server.run(script)
        finally:
            self._mine = server if await server.run(is_in_transaction) else None
            if self._mine is None:
                self._idle.append(server)


async def is_in_transaction(session: Session) -> bool:
    """Return whether a transaction is open: a savepoint can be made only in one."""
    try:
        await session.execute("savepoint look")
    except StatementError as error:
        return error.sqlstate == "25P02"
    return True


@pytest.fixture
async def database(database_dsn: str) -> AsyncGenerator[Database]:
    """Yield this module's database."""
    async with open_database(database_dsn, log=quiet_log()) as database:
        yield database


@pytest.fixture
async def servers(database: Database) -> list[Connection]:
    """Return connections to it."""
    return [await database.connect(name="test") for _ in range(3)]


async def test_pooler_in_transaction_mode_is_refused(servers: list[Connection]) -> None:
    """Its servers pass from client to client; all of them are released."""
    idle = list(servers)
    clients = [cast("Connection", PooledClient(idle)) for _ in range(2)]
    with pytest.raises(DatabaseUnavailable, match="a pooler in transaction mode"):
        await check_own_session(*clients)
    assert len(idle) == len(servers)
    assert await servers[0].run(lambda session: session.fetchval(COUNT_TRANSACTIONS)) == 0


async def test_sessions_of_ones_own_are_let_pass(servers: list[Connection]) -> None:
    """PostgreSQL itself and a pooler in session mode, which look the same to a client."""
    await check_own_session(servers[0], servers[1])
    assert await servers[0].run(lambda session: session.fetchval(COUNT_TRANSACTIONS)) == 0


async def test_check_leaves_no_connection(database: Database) -> None:
    """It holds two for a moment, and then none."""
    await check_pooling(database)
    look = await database.connect(name="look")
    sql = "select count(*) from pg_stat_activity where application_name = 'holdfast check'"
    with trio.fail_after(5):
        while await look.run(lambda session: session.fetchval(sql)):  # noqa: ASYNC110 - it ends in another process
            await trio.sleep(0.01)


@pytest.mark.parametrize("sqlstate", ["26000", "42P05"])
def test_statement_that_is_prepared_elsewhere_tells_of_a_pooler(sqlstate: str) -> None:
    """A program that never runs the check, such as a command, learns where to look."""
    told = str(error_of(sqlstate, "no such statement", constraint=None))
    assert told.startswith("no such statement (")
    assert "transaction mode" in told
