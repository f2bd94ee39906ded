"""A running Authx on a real database, with a bus to ask it through."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trio
from structlog.testing import LogCapture

from actors.authx.actor import Authx
from actors.authx.errors import InvalidToken
from actors.authx.keys import KeyRing
from actors.authx.messages import Authorize, Identity, Login, Register, Tokens
from actors.database.driver import open_database
from actors.shutdown import Phase, Shutdown
from bus import Bus, Interest, Message, Topic, open_broadcast_channel
from tests.actors.authx.support import CHEAP, WallClock, counting_passwords
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    from actors.authx.messages import Account, AuthMessage
    from actors.authx.passwords import Passwords
    from actors.authx.settings import AuthxSettings
    from actors.database.driver import Database
    from tests.actors.authx.support import CountingEngine

KEYRING = KeyRing.generate()
PASSWORD = "correct horse"
_NAMES = (f"player{number}" for number in itertools.count(1))
_BUFFER = 1000


@dataclass(frozen=True, slots=True)
class Running:
    """A running Authx and everything a test may want to inspect."""

    bus: Bus
    authx: Authx
    database: Database
    clock: WallClock
    engine: CountingEngine
    passwords: Passwords
    logged: LogCapture

    async def ask(self, message: AuthMessage, timeout_s: float = 10.0) -> Any:
        """Ask Authx and return its answer, or raise its error."""
        return await self.bus.ask(Topic.AUTH, message, timeout_s=timeout_s)

    async def register(self, username: str | None = None) -> Account:
        """Register someone with the tests' password."""
        account: Account = await self.ask(Register(username or next(_NAMES), PASSWORD))
        return account

    async def login(self, username: str, password: str = PASSWORD) -> Tokens:
        """Log someone in."""
        tokens: Tokens = await self.ask(Login(username, password))
        return tokens

    async def newcomer(self) -> tuple[Account, Tokens]:
        """Register someone new and log them in."""
        account = await self.register()
        return account, await self.login(account.username)

    async def authorize(self, tokens: Tokens) -> Identity:
        """Have an access token checked."""
        identity: Identity = await self.ask(Authorize(tokens.access_token))
        return identity

    async def refuses(self, tokens: Tokens) -> bool:
        """Return whether a session's access token is no longer valid."""
        try:
            await self.authorize(tokens)
        except InvalidToken:
            return True
        return False

    def events(self, name: str) -> list[Any]:
        """Return the log entries of one event."""
        return [entry for entry in self.logged.entries if entry["event"] == name]

    @contextmanager
    def every_turn_taken(self) -> Generator[None]:
        """Keep all hashing threads busy until the block is left."""
        # Cheap hashes would be done before anybody can be late.
        turns = self.passwords.turns
        taken = [turns.begin_nowait() for _ in range(turns.free)]
        try:
            yield
        finally:
            for _ in taken:
                turns.end()

    async def fetchval(self, sql: str, *args: object) -> Any:
        """Query the database."""
        connection = await self.database.connect(name="test")
        try:
            return await connection.run(lambda session: session.fetchval(sql, *args))
        finally:
            await connection.aclose()

    async def wait_until(self, condition: Callable[[], Awaitable[object]]) -> None:
        """Wait for a condition that only the database, or another process, can report."""
        with trio.fail_after(10):
            while not await condition():
                await trio.lowlevel.checkpoint()

    async def wait_listening(self) -> None:
        """Wait until changes from outside are noticed."""

        async def is_listening() -> bool:
            return bool(self.events("authx_listening"))

        await self.wait_until(is_listening)


@asynccontextmanager
async def running_authx(
    dsn: str,
    settings: AuthxSettings = CHEAP,
    *,
    clock: WallClock | None = None,
    database_type: Any = None,
) -> AsyncGenerator[Running, None]:
    """Run an Authx on a database; leaving shuts it down over the bus and waits for its end."""
    clock = clock or WallClock()
    logged = LogCapture()
    log = quiet_log(logged)
    passwords, engine = counting_passwords(settings)
    bus = open_broadcast_channel()
    subscription = bus.subscribe(Interest(Topic.AUTH), Interest(Topic.SHUTDOWN), buffer=_BUFFER)
    async with open_database(dsn, log=log, connect_timeout_s=5) as database:
        authx = Authx(
            subscription,
            bus,
            database if database_type is None else database_type(database),
            KEYRING,
            settings,
            wall_clock=clock,
            log=log,
            passwords=passwords,
        )
        with bus:
            async with trio.open_nursery() as nursery:
                await nursery.start(authx.run)
                yield Running(bus, authx, database, clock, engine, passwords, logged)
                # A test may have ended it already.
                with suppress(trio.BrokenResourceError):
                    bus.send_nowait(Message(Topic.SHUTDOWN, Shutdown(Phase.STORAGE, "test")))
                nursery.cancel_scope.deadline = trio.current_time() + 10
        assert not nursery.cancel_scope.cancelled_caught
