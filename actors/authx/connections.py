"""Authx's own few database connections, opened on demand, with a pause after a failure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self, TypeVar

import trio

from actors.authx.backoff import Backoff
from actors.database.errors import ConnectionLost, DatabaseTimeout, DatabaseUnavailable
from bus import Overloaded

if TYPE_CHECKING:
    from types import TracebackType

    from actors.authx.settings import AuthxSettings
    from actors.database.driver import Connection, Database
    from actors.database.session import Script

T = TypeVar("T")


class Connections:
    """At most ``database_connections`` connections, first come, first served.

    An async context: leaving closes them.
    """

    def __init__(self, database: Database, settings: AuthxSettings) -> None:
        self._database = database
        self._timeout_s = settings.query_timeout_ms / 1000
        self._places = trio.Semaphore(settings.database_connections)
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._backoff = Backoff(settings)

    async def run(
        self, script: Script[T], *, may_be_long: bool = False, wait_s: float = math.inf
    ) -> T:
        """Run a script on a connection, again on a new one if the first is lost meanwhile.

        Therefore running a script twice must have the same effect as once. While the database is
        away this fails at once, except for one attempt after each pause. A timeout of a script
        that ``may_be_long`` says nothing about the database. A script that has not had its turn
        after ``wait_s`` seconds is not run.

        Raises:
            Overloaded: it has not had its turn; nothing was done.
            DatabaseError: whatever the database refuses, or that it is away.
        """
        begin_by = trio.current_time() + wait_s
        try:
            return await self._run_once(script, begin_by)
        except DatabaseTimeout:
            if not may_be_long:
                self._backoff.failed()
            raise
        except ConnectionLost:
            # Most likely the others have ended as well, though that may not be noticed yet.
            for connection in self._idle:
                connection.terminate()
            return await self._run_once(script, math.inf)

    async def __aenter__(self) -> Self:
        """Use the connections as a context; none is opened yet."""
        await trio.lowlevel.checkpoint()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections, each within the driver's own deadline."""
        async with trio.open_nursery() as nursery:
            for connection in self._all:
                nursery.start_soon(connection.aclose)

    async def _run_once(self, script: Script[T], begin_by: float) -> T:
        with trio.move_on_at(begin_by) as turn:
            await self._places.acquire()
        if turn.cancelled_caught:
            raise Overloaded("too many requests are waiting for a database connection")
        try:
            connection = await self._connection()
            try:
                return await connection.run(script, timeout_s=self._timeout_s)
            finally:
                if connection.closed:
                    self._all.discard(connection)
                else:
                    self._idle.append(connection)
        finally:
            self._places.release()

    async def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
            self._all.discard(connection)
        if self._backoff.remaining_s:
            raise DatabaseUnavailable("the database was unreachable a moment ago")
        try:
            connection = await self._database.connect(name="authx")
        except DatabaseUnavailable:
            self._backoff.failed()
            raise
        self._backoff.succeeded()
        self._all.add(connection)
        return connection
