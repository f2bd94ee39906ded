"""A database that is killed, or once does something other than it was told; and its engine."""

from __future__ import annotations

from contextlib import asynccontextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

from actors.database.driver import Database, open_database
from actors.storage.postgres import PostgresEngine
from actors.storage.schema import declared_tables
from tests.postgres import quiet_log, run_script

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from actors.database.driver import Connection, Script, Session
    from actors.database.session import T

_KILL = """
select count(pg_terminate_backend(pid)) from pg_stat_activity
where application_name = $1 and datname = current_database()
"""
KILL_SELF = "select pg_terminate_backend(pg_backend_pid())"

_FAIL = """
create function pg_temp.fail(code text) returns int language plpgsql as
$$ begin raise 'not now' using errcode = code; end $$
"""


class Strike(Enum):
    """What happens to a commit that is one statement."""

    BEFORE = "the connection is lost before it"
    INSIDE = "the connection is lost in it"
    AFTER = "the connection is lost before it is confirmed"
    SLOW = "it takes a fifth of a second"
    SLOWER = "it takes half a minute"
    FULL = "the disk is full"
    LATE = "it takes longer than the server lets it"


async def kill(dsn: str, name: str = "holdfast storage-writer") -> int:
    """Terminate the backends with that name; return how many there were."""
    count: int = await run_script(dsn, lambda session: session.fetchval(_KILL, name))
    return count


class Saboteur:
    """A database whose connections run, once, other SQL than they were told.

    ``instead`` is by the statement, ``strikes`` are for the next commits of one statement.
    """

    def __init__(self, inner: Database) -> None:
        self.inner = inner
        self.instead: dict[str, str] = {}
        self.strikes: list[Strike] = []
        self.statements: list[str] = []

    async def connect(self, *, name: str, settings: Mapping[str, str] | None = None) -> Connection:
        """Connect, and interpose between the connection and its scripts."""
        connection = await self.inner.connect(name=name, settings=settings)
        return cast("Connection", SabotagedConnection(connection, self))


class SabotagedConnection:
    """A connection whose sessions are tampered with."""

    def __init__(self, inner: Connection, saboteur: Saboteur) -> None:
        self._inner = inner
        self._saboteur = saboteur

    def __getattr__(self, name: str) -> Any:
        """Leave everything else as it is."""
        return getattr(self._inner, name)

    async def run(self, script: Script[T], *, timeout_s: float = 5.0) -> T:
        """Run the script on a session that is tampered with."""

        async def tampered(session: Session) -> T:
            return await script(cast("Session", SabotagedSession(session, self._saboteur)))

        return await self._inner.run(tampered, timeout_s=timeout_s)


class SabotagedSession:
    """A session that runs something other than it was told, once."""

    def __init__(self, inner: Session, saboteur: Saboteur) -> None:
        self._inner = inner
        self._saboteur = saboteur

    def __getattr__(self, name: str) -> Any:
        """Leave everything else as it is."""
        return getattr(self._inner, name)

    async def execute(self, sql: str, *args: object) -> str:
        """Run the statement, or its replacement."""
        self._saboteur.statements.append(sql)
        instead = self._saboteur.instead.pop(sql, None)
        if instead is None:
            return await self._inner.execute(sql, *args)
        return await self._inner.execute(instead)

    async def fetchval(self, sql: str, *args: object) -> Any:
        """Run the query, or its replacement."""
        self._saboteur.statements.append(sql)
        instead = self._saboteur.instead.pop(sql, None)
        if instead is None:
            return await self._inner.fetchval(sql, *args)
        return await self._inner.execute(instead)

    async def fetch(self, sql: str, *args: object) -> Any:
        """Run the query, or let something happen to it."""
        self._saboteur.statements.append(sql)
        strikes = self._saboteur.strikes if "last_commit" in sql else []
        strike = strikes.pop(0) if strikes else None
        match strike:
            case Strike.BEFORE:
                await self._inner.execute(KILL_SELF)
            case Strike.INSIDE:
                sql = _with(sql, f"({KILL_SELF})::int")
            case Strike.SLOW:
                sql = _with(sql, "(select count(*) from pg_sleep(0.2))")
            case Strike.SLOWER:
                sql = _with(sql, "(select count(*) from pg_sleep(30))")
            case Strike.FULL | Strike.LATE:
                await self._inner.execute(_FAIL)
                code = "53100" if strike is Strike.FULL else "57014"
                sql = _with(sql, f"pg_temp.fail('{code}')")
            case _:
                pass
        rows = await self._inner.fetch(sql, *args)
        if strike is Strike.AFTER:
            await self._inner.execute(KILL_SELF)
        return rows


def _with(sql: str, extra: str) -> str:
    """Add a number to what a statement selects."""
    head, _, last = sql.rpartition(" select 1 / ")
    return f"{head} select {extra} + 1 / {last}"


@asynccontextmanager
async def sabotaged(
    dsn: str, *, query_timeout_s: float = 10, on_elsewhere: Callable[[], None] = lambda: None
) -> AsyncGenerator[tuple[PostgresEngine, Saboteur]]:
    """Make an engine on a database that can be sabotaged."""
    async with open_database(dsn, log=quiet_log()) as database:
        saboteur = Saboteur(database)
        engine = PostgresEngine(
            cast("Database", saboteur),
            declared_tables(),
            read_connections=1,
            query_timeout_s=query_timeout_s,
            log=quiet_log(),
            on_elsewhere=on_elsewhere,
        )
        await engine.open()
        yield engine, saboteur
        await engine.aclose()
