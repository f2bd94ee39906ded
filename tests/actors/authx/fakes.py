"""A database played by the test, where real time or real failures would be slow."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, cast

import trio

from actors.database.errors import ConnectionLost, DatabaseTimeout, DatabaseUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.database.driver import Database


_OF_THE_BACKGROUND = ("actors.authx.suspension", "actors.authx.operators")


class FakeConnection:
    """A connection whose scripts are plain values, and which breaks when told to."""

    def __init__(self, database: FakeDatabase) -> None:
        self._database = database
        self._gone = trio.Event()
        self.ended_by_server = False
        self.callbacks: dict[str, Callable[[str], None]] = {}

    @property
    def closed(self) -> bool:
        """Whether it is gone."""
        return self._gone.is_set()

    async def wait_closed(self) -> None:
        """Wait until it is gone."""
        await self._gone.wait()

    async def run(self, script: Any, *, timeout_s: float) -> Any:
        """Take ``query_s`` seconds, then do what the database has been told to do next."""
        await trio.sleep(self._database.query_s)
        if self._database.frozen:
            await trio.sleep(timeout_s)
            self.terminate()
            raise DatabaseTimeout("frozen")
        if self._database.failure is not None:
            raise self._database.failure
        if self._database.losses:
            self._database.losses -= 1
            self.terminate()
        if self.ended_by_server:
            self.terminate()
        if self.closed:
            raise ConnectionLost("lost")
        if getattr(script, "__module__", "") in _OF_THE_BACKGROUND:
            return []  # here no world stands still, and nobody is an operator
        self._database.ran.append(script)
        return self._database.answers.popleft() if self._database.answers else script

    async def listen(self, channel: str, callback: Callable[[str], None]) -> None:
        """Remember who listens."""
        await trio.lowlevel.checkpoint()
        self.callbacks[channel] = callback

    def terminate(self) -> None:
        """Be gone."""
        self._gone.set()

    async def aclose(self) -> None:
        """Be gone."""
        self.terminate()
        await trio.lowlevel.checkpoint()


class FakeDatabase:
    """Returns fake connections and counts the requests for them."""

    def __init__(self) -> None:
        self.away = self.frozen = False
        self.losses = 0
        self.failure: Exception | None = None
        self.answers: deque[object] = deque()
        self.query_s = 0.0
        self.attempts: list[float] = []
        self.connections: list[FakeConnection] = []
        self.ran: list[Any] = []

    async def connect(self, *, name: str) -> FakeConnection:
        """Return a connection, unless the database is away."""
        self.attempts.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if self.away:
            raise DatabaseUnavailable(f"no connection for {name}")
        connection = FakeConnection(self)
        self.connections.append(connection)
        return connection

    @property
    def open(self) -> list[FakeConnection]:
        """The connections that are not gone."""
        return [connection for connection in self.connections if not connection.closed]

    def as_database(self) -> Database:
        """Return it as the type the product expects."""
        return cast("Database", self)
