"""The driver: asyncpg on an asyncio island inside Trio. No other module imports asyncpg.

The island opens and closes connections, and reads and writes their sockets. Scripts do not cross
over to it: they run in Trio's own tasks, which wait for the server's answers themselves
(`actors.database.waiter`). Nothing here waits without a deadline. A late script loses its
connection (`Connection.terminate` needs no server), as asking a frozen server to cancel is no use.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import asyncpg
import trio

from actors.database.codecs import set_codecs
from actors.database.crossing import Crossing
from actors.database.dsn import check_dsn, describe_dsn
from actors.database.errors import (
    ConnectionLost,
    DatabaseError,
    DatabaseTimeout,
    DatabaseUnavailable,
    StatementError,
)
from actors.database.hosts import Host, Hosts, NotReached
from actors.database.island import Executor, open_loop
from actors.database.server_version import check_server
from actors.database.session import Record, Script, Session, T
from actors.database.session_settings import set_settings
from actors.database.sqlstates import CLIENT_DATA_ERROR, CLIENT_USAGE_ERROR, error_of
from actors.database.tunnel import Line
from actors.database.waiter import WaiterLoop

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
    from types import TracebackType

    from structlog.typing import FilteringBoundLogger

__all__ = ["Connection", "Database", "Record", "Script", "Session", "open_database"]

# Neither asyncpg nor the loop of its island ships annotations: this is where Any enters, and
# `Session`, `Connection` and `Database` are where it ends.
_asyncpg: Any = asyncpg

_DRIVER_ERRORS: tuple[type[Exception], ...] = (
    _asyncpg.PostgresError,
    _asyncpg.InterfaceError,
    _asyncpg.InternalClientError,
    OSError,  # of the socket; asyncio's timeout is one too
)

# ValueError: a DSN whose port is not a number; OverflowError: its port is out of range.
_CONNECT_ERRORS: tuple[type[Exception], ...] = (*_DRIVER_ERRORS, ValueError, OverflowError)
_STATEMENT_CACHE_SIZE = 512
_NO_TIMEOUT_S = 86_400.0  # for asyncpg, whose own timeouts need the server; ours do not


class Database:
    """Access to one database; made by `open_database`."""

    def __init__(
        self, loop: Any, dsn: str, *, connect_timeout_s: float, log: FilteringBoundLogger
    ) -> None:
        self._loop = loop
        self._dsn, self._hosts = dsn, Hosts(dsn)
        self._connect_timeout_s, self._log = connect_timeout_s, log
        self._connections: set[Connection] = set()
        loop.set_default_executor(_AbandoningExecutor())
        loop.set_exception_handler(self._log_loop_error)
        # Beyond what asyncio's loop does, trio-asyncio checks each callback, and runs all scheduled
        # ones after each read, which yields by itself: a third of a statement's cost.
        loop._check_callback = _unchecked  # noqa: SLF001
        loop.synchronize = trio.lowlevel.checkpoint_if_cancelled

    async def connect(self, *, name: str, settings: Mapping[str, str] | None = None) -> Connection:
        """Open a connection; ``name`` shows in the server's views, ``settings`` are PostgreSQL's.

        Takes at most the connect timeout, which the hosts of the DSN share, plus half a second;
        may be cancelled at any time.

        Raises:
            DatabaseUnavailable: wrong DSN, no server, one that is too old, refused, no answer in
                time, or the block of `open_database` has been left.
        """
        check_dsn(self._dsn)
        if self._loop.is_closed():
            raise self._unavailable("the database is closed")
        told = {"application_name": f"holdfast {name}", "timezone": "UTC", **(settings or {})}
        loop = WaiterLoop(self._loop)
        reach = partial(self._reach, told, loop)
        try:
            raw = await self._hosts.first(reach, timeout_s=self._connect_timeout_s)
        except NotReached as failure:
            raise self._unavailable(str(failure)) from failure.__cause__
        connection = Connection(loop, raw, name=name, place=describe_dsn(self._dsn), log=self._log)
        self._connections = {connection, *(each for each in self._connections if not each.closed)}
        return connection

    async def _reach(
        self, settings: dict[str, str], loop: WaiterLoop, host: Host | None, timeout_s: float
    ) -> Any:
        work = partial(_open_raw, self._dsn, host, settings, loop)
        crossing = Crossing(self._loop, work, unwanted=lambda raw: raw.terminate())
        if not await crossing.finish(timeout_s=timeout_s):
            raise NotReached(f"no answer within {timeout_s:g} s")
        try:
            return crossing.result()
        except _CONNECT_ERRORS as error:
            raise NotReached(_reason(error)) from error

    def terminate(self) -> None:
        """Terminate every connection at once."""
        for connection in self._connections:
            connection.terminate()
        self._connections.clear()

    def _unavailable(self, reason: str) -> DatabaseUnavailable:
        where = describe_dsn(self._dsn)
        return DatabaseUnavailable(f"cannot connect to PostgreSQL ({where}): {reason}")

    def _log_loop_error(self, _loop: Any, context: Mapping[str, Any]) -> None:
        # trio-asyncio's own handler would end the whole program over one library's complaint.
        message, failure = context.get("message"), context.get("exception")
        self._log.error("database_loop_error", message=message, exc_info=failure)


class Connection:
    """One connection to the server; scripts run on it one after the other."""

    def __init__(
        self, loop: WaiterLoop, raw: Any, *, name: str, place: str, log: FilteringBoundLogger
    ) -> None:
        self._loop, self._raw = loop, raw
        self._name, self._place, self._log = name, place, log
        self._session, self._turn, self._gone = _Session(raw), trio.Lock(), trio.Event()
        raw.add_termination_listener(self._notice_end)

    @property
    def closed(self) -> bool:
        """Whether the connection is gone, for whatever reason."""
        return bool(self._raw.is_closed())

    def line(self) -> Line | None:
        """Return how it reached the server; None if it is not encrypted."""
        return Line.of(self._raw)

    async def wait_closed(self) -> None:
        """Wait until the connection is gone, for whatever reason."""
        await self._gone.wait()

    async def run(self, script: Script[T], *, timeout_s: float = 5.0) -> T:
        """Run a script on this connection, and return what it returns.

        A caller cancelled before the script's turn comes never starts it. From then on the
        caller is shielded until the script ends or ``timeout_s`` (counted from the call) has
        passed, and gets the result even if cancelled meanwhile. At the timeout the connection
        is terminated and the script cancelled, whatever the server does. Scripts of several tasks
        run in the order of their calls.

        Raises:
            ConnectionLost: the connection is gone (``started`` says whether the script had begun).
            TransientError: the server cannot do it now; the connection is terminated.
            DatabaseTimeout: ``timeout_s`` has passed.
            DatabaseError: whatever the script's statements raised.
            Exception: whatever else the script raised.
        """
        deadline = trio.current_time() + timeout_s
        await self._take_turn(deadline)
        try:
            if self.closed:
                raise ConnectionLost(f"connection {self._name!r} is closed", started=False)
            failure: Exception | None = None
            with trio.CancelScope(deadline=deadline, shield=True) as scope:
                try:
                    return await script(self._session)
                except Exception as error:  # noqa: BLE001 - raised below
                    failure = error
            if failure is None or scope.cancel_called:
                self._give_up(timeout_s, failure)
            if isinstance(failure, DatabaseError):
                failure.place = self._place
            elif self._raw.is_closed():
                # asyncpg's objects fail in assorted ways once their connection is gone.
                raise ConnectionLost(f"connection {self._name!r} was lost") from failure
            if isinstance(failure, ConnectionLost):
                # As `TransientError` says; for all others the server's close may still be unread.
                self.terminate()
                self._log.warning("database_lost", connection=self._name, reason=str(failure))
            raise failure
        finally:
            self._turn.release()

    async def listen(
        self, channel: str, callback: Callable[[str], None], *, timeout_s: float = 5.0
    ) -> None:
        """Call ``callback`` with the payload of every NOTIFY on ``channel`` from now on.

        The callback runs in Trio's thread between tasks: it may use ``*_nowait`` methods and must
        not fail; what it raises is logged. The connection must stay open, and may run scripts.

        Raises: as `run`.
        """
        token = trio.lowlevel.current_trio_token()

        def deliver(payload: str) -> None:
            try:
                callback(payload)
            except Exception:  # noqa: BLE001 - escaping from here it would end Trio's whole run
                self._log.exception("notification_failed", channel=channel)

        def relay(_raw: object, _pid: int, _channel: str, payload: object) -> None:
            token.run_sync_soon(deliver, str(payload))

        async def script(_session: Session) -> None:
            await _translating(self._raw, self._raw.add_listener(channel, relay))

        await self.run(script, timeout_s=timeout_s)

    def terminate(self) -> None:
        """Drop the connection at once, without the server; a running script ends in error."""
        self._raw.terminate()
        self._gone.set()

    async def aclose(self, *, timeout_s: float = 0.5) -> None:
        """Say goodbye to the server, or drop the connection after ``timeout_s``.

        Cancelled or not, the connection is closed when this returns; it does not wait for a
        running script.
        """
        if not self.closed and not self._turn.locked():
            self._turn.acquire_nowait()  # The next to have a turn finds it closed.
            try:
                self._loop.give_up = None
                crossing = Crossing(self._loop, self._raw.close)
                if not await crossing.wait(deadline=trio.current_time() + timeout_s):
                    self.terminate()
                    await crossing.give_up()
            finally:
                self.terminate()
                self._turn.release()
        self.terminate()
        await trio.lowlevel.checkpoint()

    def _notice_end(self, _raw: object) -> None:
        self._gone.set()

    async def _take_turn(self, deadline: float) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            self._turn.acquire_nowait()
        except trio.WouldBlock:
            with trio.move_on_at(deadline) as waiting:
                await self._turn.acquire()
            if waiting.cancelled_caught:
                message = f"connection {self._name!r} was busy the whole time"
                raise DatabaseTimeout(message, started=False) from None

    def _give_up(self, timeout_s: float, failure: Exception | None) -> NoReturn:
        self.terminate()
        self._log.warning("database_timeout", connection=self._name, timeout_s=timeout_s)
        error = DatabaseTimeout(f"no answer on connection {self._name!r} within {timeout_s:g} s")
        error.place = self._place
        raise error from failure


class _Session:
    """A `Session` on an asyncpg connection: the same calls, our errors."""

    __slots__ = ("_raw",)

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    async def fetch(self, sql: str, *args: object) -> list[Record]:
        return await _translating(self._raw, self._raw.fetch(sql, *args))

    async def fetchrow(self, sql: str, *args: object) -> Record | None:
        return await _translating(self._raw, self._raw.fetchrow(sql, *args))

    async def fetchval(self, sql: str, *args: object) -> Any:
        return await _translating(self._raw, self._raw.fetchval(sql, *args))

    async def execute(self, sql: str, *args: object) -> str:
        return await _translating(self._raw, self._raw.execute(sql, *args))

    def transaction(self) -> _Transaction:
        return _Transaction(self._raw)


class _Transaction:
    __slots__ = ("_inner", "_raw")

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._inner: Any = None

    async def __aenter__(self) -> None:
        try:
            self._inner = self._raw.transaction()
        except _DRIVER_ERRORS as error:
            raise _translated(self._raw, error) from error
        await _translating(self._raw, self._inner.start())

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        end = self._inner.commit if kind is None else self._inner.rollback
        await _translating(self._raw, end())


class _AbandoningExecutor(Executor):  # type: ignore[misc]  # untyped base
    """Threads that nobody waits for: they resolve names, which may take half a minute to fail."""

    async def submit(self, func: Callable[..., Any], *args: Any) -> Any:
        return await trio.to_thread.run_sync(func, *args, abandon_on_cancel=True)


@asynccontextmanager
async def open_database(
    dsn: str, *, connect_timeout_s: float = 5.0, log: FilteringBoundLogger
) -> AsyncGenerator[Database, None]:
    """Open the asyncio island for one database; connects to nothing yet.

    At the end every connection is terminated, without waiting for the server. What the body
    raises propagates unchanged, not in a group.
    """
    failure: BaseException | None = None
    async with open_loop() as loop:
        database = Database(loop, dsn, connect_timeout_s=connect_timeout_s, log=log)
        try:
            yield database
        except BaseException as error:  # noqa: BLE001 - raised again below, outside the nurseries
            failure = error
        finally:
            database.terminate()
            del loop.synchronize  # At the end every callback has its turn.
    if failure is not None:
        raise failure


async def _open_raw(dsn: str, host: Host | None, settings: dict[str, str], loop: WaiterLoop) -> Any:
    raw = await _asyncpg.connect(
        dsn,
        **({} if host is None else {"host": host.name, "port": host.port}),
        loop=loop,
        timeout=_NO_TIMEOUT_S,
        server_settings=settings,
        statement_cache_size=_STATEMENT_CACHE_SIZE,
        max_cached_statement_lifetime=0,  # a lifetime is one asyncio timer per statement
    )
    try:
        check_server(raw.get_server_version().major, raw.get_settings().server_encoding)
        await set_codecs(raw)
        await set_settings(raw)
    except BaseException:
        raw.terminate()
        raise
    loop.give_up = raw.terminate
    return raw


def _unchecked(*_: object) -> None: ...


async def _translating(raw: Any, awaitable: Awaitable[T]) -> T:
    try:
        return await awaitable
    except _DRIVER_ERRORS as error:
        raise _translated(raw, error) from error


def _translated(raw: Any, error: Exception) -> DatabaseError:
    """Return our error for one of asyncpg's or the socket's."""
    reason = _reason(error)
    if isinstance(error, _asyncpg.PostgresError):
        sqlstate: str | None = getattr(error, "sqlstate", None)
        constraint: str | None = getattr(error, "constraint_name", None)
        return error_of(sqlstate or CLIENT_USAGE_ERROR, reason, constraint=constraint)
    if raw.is_closed() or not isinstance(error, _asyncpg.InterfaceError):
        # The server's farewell may have been read but not its close: nobody may use it again.
        raw.terminate()
        is_internal = isinstance(error, _asyncpg.InternalClientError)
        return ConnectionLost("the server ended the connection" if is_internal else reason)
    code = CLIENT_DATA_ERROR if isinstance(error, ValueError) else CLIENT_USAGE_ERROR
    return StatementError(reason, sqlstate=code)


def _reason(error: Exception) -> str:
    """Return the first line: the rest may quote a row's values, or a DSN's password."""
    if isinstance(error, ValueError) and not isinstance(error, _asyncpg.InterfaceError):
        no_text = isinstance(error, UnicodeDecodeError)
        return "PGPASSFILE or ~/.pgpass cannot be decoded" if no_text else "the DSN is malformed"
    return next(iter(str(error).splitlines()), type(error).__name__)
