"""The PostgreSQL engine: one writer connection that commits batches, a few that read.

A batch is one transaction, and if no two units touch the same row it is one statement, sent and
answered once. It is tried optimistically; if a statement touches fewer rows than it should, the
transaction is rolled back, the units to blame are identified, and the rest is retried; if that
does not help, each unit of the batch gets its own savepoint. Either way, a batch has one commit,
and leaves its mark in ``last_commit``. If the connection is lost around the commit, the mark shows
whether it took effect: only the holder of the server lock reads it, and the lock is free only once
the lost session, which is told to end, and its transaction have ended.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Protocol

import trio

from actors.database.errors import (
    AlreadyServed,
    CheckViolation,
    ConnectionLost,
    DatabaseError,
    DatabaseUnavailable,
    ForeignKeyViolation,
    StatementError,
    TransientError,
    UniqueViolation,
)
from actors.database.locks import Backend, acquire_server_lock, end_backends, own_backend
from actors.database.sqlstates import DIVISION_BY_ZERO
from actors.storage import sql
from actors.storage.engine import EngineUnavailable
from actors.storage.errors import Conflict, Duplicate, Orphaned, Rejected, StorageError
from actors.storage.forms import Forms
from actors.storage.mark import BEFORE_ALL, Doubt, Mark, read_mark, set_mark
from actors.storage.operations import Create
from actors.storage.plans import plan_each_time, plan_once
from actors.storage.reading import Reading

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from structlog.typing import FilteringBoundLogger

    from actors.database.driver import Connection, Database, Session
    from actors.storage.engine import Unit
    from actors.storage.operations import Read, Row
    from actors.storage.tables import Table

_REFUSALS = (UniqueViolation, ForeignKeyViolation, CheckViolation, StatementError)
_ROUNDS_MAX = 2
"""Attempts to commit a batch as a whole before its units are taken one by one."""
_PATIENCE_S = 2.0
"""How long to wait for the lock: the session of a killed server may outlive it by a second, but a
live one does not let go. After the start it is half the query timeout at most."""


class PostgresEngine:
    """Carries out units and reads on a PostgreSQL of whose game tables it is the only writer.

    The writer's connection holds the server lock: no writing without it. If it was lost, and
    another server has it or has written meanwhile, ``on_elsewhere`` is called: anything cached
    from the tables may be outdated. It must not fail.
    """

    def __init__(
        self,
        database: Database,
        tables: Mapping[str, Table],
        *,
        read_connections: int,
        query_timeout_s: float,
        log: FilteringBoundLogger,
        on_elsewhere: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_elsewhere = on_elsewhere
        self._database = database
        self._tables = tables
        self._forms = Forms(tables)
        self._timeout_s = query_timeout_s
        self._log = log
        self._writer: Connection | None = None
        self._doubt: Doubt | None = None
        self._mark: Mark | None = None
        self._left: tuple[int | None, ...] = ()
        self._sessions: frozenset[Backend] = frozenset()
        self._idle_readers: list[Connection | None] = [None] * read_connections
        self._reader_slots = trio.CapacityLimiter(read_connections)

    async def open(self) -> None:
        """Connect the writer, taking the server lock; does nothing if it is connected.

        Raises:
            AlreadyServed: another server holds the lock.
            DatabaseUnavailable: the database cannot be reached.
        """
        if self._writer is None or self._writer.closed:
            await self._connect_writer(_PATIENCE_S, _PATIENCE_S + self._timeout_s)

    def forget(self) -> None:
        """See `Engine.forget`: the transaction in doubt belonged to another batch."""
        self._doubt = None

    async def commit(self, units: Sequence[Unit]) -> list[StorageError | None]:
        """See `Engine.commit`."""
        try:
            writer = self._writer
            if writer is None or writer.closed:
                patience_s = min(_PATIENCE_S, self._timeout_s / 2)
                writer = await self._connect_writer(patience_s, self._timeout_s)
            mark = self._mark or await self._find_mark(writer)
            doubt = self._doubt
            settled = None if doubt is None else await self._settled(writer, mark, doubt)
            return settled if settled is not None else await self._commit_all(writer, units)
        except (ConnectionLost, DatabaseUnavailable) as error:
            raise EngineUnavailable(str(error), in_doubt=self._doubt is not None) from error

    async def read(self, reads: Sequence[Read]) -> list[list[Row]]:
        """See `Engine.read`: reads that differ in one value become one statement."""
        reading = Reading(reads, self._tables)
        async with self._reader_slots:
            reader = self._idle_readers.pop()
            try:
                if reader is None or reader.closed:
                    reader = await self._connect_reader()
                await reader.run(reading.fetch, timeout_s=self._timeout_s)
            except (ConnectionLost, DatabaseUnavailable) as error:
                raise EngineUnavailable(str(error)) from error
            finally:
                self._idle_readers.append(reader)
        return await reading.rows()

    async def aclose(self) -> None:
        """Close every connection; each close is bounded by the driver."""
        for connection in (self._writer, *self._idle_readers):
            if connection is not None:
                await connection.aclose()
        self._writer = None

    async def _connect_reader(self) -> Connection:
        connection = await self._database.connect(name="storage-reader")
        try:
            await connection.run(plan_each_time, timeout_s=self._timeout_s)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _connect_writer(self, patience_s: float, timeout_s: float) -> Connection:
        """Make the writer's connection: it takes the server lock, and knows no mark."""
        connection = await self._database.connect(name="storage-writer")
        try:
            await connection.run(
                lambda session: self._take_lock(session, patience_s), timeout_s=timeout_s
            )
        except BaseException as error:
            connection.terminate()
            if isinstance(error, AlreadyServed):
                self._on_elsewhere()
            raise
        self._writer = connection
        self._mark = None
        return connection

    async def _take_lock(self, session: Session, patience_s: float) -> None:
        # Recorded before waiting for the lock: it may be granted after the wait was given up.
        lost = await end_backends(session, self._sessions)
        self._sessions = frozenset((*lost, await own_backend(session)))
        await acquire_server_lock(session, patience_ms=int(patience_s * 1000), lost=lost)
        await plan_once(session)

    async def _find_mark(self, writer: Connection) -> Mark:
        """Read the last commit's mark on a new connection; `LookupError` if the world has ended.

        Only another server, which held the lock in between, leaves a mark that this one has not.
        """
        mark = await writer.run(read_mark, timeout_s=self._timeout_s)
        if self._left and mark.value not in self._left:
            self._log.warning("database_changed_elsewhere")
            self._on_elsewhere()
            if mark.value == BEFORE_ALL:
                raise LookupError("the world was ended while this server had lost the database")
        self._mark, self._left = mark, (mark.value,)
        return mark

    async def _settled(
        self, writer: Connection, mark: Mark, doubt: Doubt
    ) -> list[StorageError | None] | None:
        """Return the outcomes of the commit in doubt if it took effect; otherwise None."""
        took_effect = mark.value == doubt.mark
        if not took_effect and mark.value != doubt.before:
            raise LookupError("another server has written since the commit in doubt")
        if took_effect:
            # A commit that lost its session waiting for a standby is there without it: wait again.
            self._mark = await writer.run(
                lambda session: set_mark(session, mark), timeout_s=self._timeout_s
            )
        self._log.warning("commit_outcome_found", took_effect=took_effect)
        self._doubt = None
        return doubt.outcomes if took_effect else None

    async def _commit_all(
        self, writer: Connection, units: Sequence[Unit]
    ) -> list[StorageError | None]:
        """Commit what can be, all in one transaction; a failed round shows which must go."""
        outcomes: list[StorageError | None] = [None] * len(units)
        left = list(range(len(units)))
        for _ in range(_ROUNDS_MAX):
            statements = sql.plan(list(map(units.__getitem__, left)), self._forms)
            try:
                if not left or await self._together(writer, statements, outcomes):
                    return outcomes
                failed = await writer.run(_Blame(statements), timeout_s=self._timeout_s)
            except _REFUSALS:
                break
            for position, failure in failed.items():
                outcomes[left[position]] = failure
            left = [index for position, index in enumerate(left) if position not in failed]
        if left:
            plans = {index: sql.plan([units[index]], self._forms) for index in left}
            await self._transact(writer, _OneByOne(plans, outcomes), outcomes)
        return outcomes

    async def _together(
        self,
        writer: Connection,
        statements: Sequence[sql.Statement],
        outcomes: list[StorageError | None],
    ) -> bool:
        """Commit all at once; False if the database's content prevents it."""
        try:
            await self._transact(writer, _Together(statements, self._forms), outcomes)
        except StatementError as refusal:
            if refusal.sqlstate != DIVISION_BY_ZERO:
                raise
            return False
        return True

    async def _transact(
        self, writer: Connection, work: _Work, outcomes: list[StorageError | None]
    ) -> None:
        """Run a transaction.

        It is in doubt from the moment it may commit until that is confirmed; ``outcomes`` hold if
        it took effect.
        """
        before = self._mark or await self._find_mark(writer)
        mark = before.next()
        doubt = Doubt(mark.value, before.value, outcomes)

        def commits_next() -> None:
            self._doubt, self._left = doubt, (before.value, mark.value)

        try:
            mark = await writer.run(
                lambda session: work(session, mark, commits_next), timeout_s=self._timeout_s
            )
        except (*_REFUSALS, TransientError):
            self._doubt, self._left = None, (before.value,)
            raise
        self._doubt, self._left = None, (mark.value,)
        self._mark = mark


class _Work(Protocol):
    """A transaction: it leaves ``mark``, and calls ``commits_next`` before what may commit it.

    It returns the mark with the place that its row then has.
    """

    async def __call__(
        self, session: Session, mark: Mark, commits_next: Callable[[], None]
    ) -> Mark: ...


class _Together:
    """Carries out all units at once, or fails; a single wave needs no explicit transaction."""

    __slots__ = ("_forms", "_statements")

    def __init__(self, statements: Sequence[sql.Statement], forms: Forms) -> None:
        self._statements = statements
        self._forms = forms

    async def __call__(
        self, session: Session, mark: Mark, commits_next: Callable[[], None]
    ) -> Mark:
        waves = [
            sql.together(wave, self._forms, mark.value) for wave in sql.waves(self._statements)
        ]
        if len(waves) == 1:
            [(text, arguments)] = waves
            commits_next()
            return await _carry_out(session, text, arguments, mark)
        async with _transaction(session, commits_next):
            for text, arguments in waves:
                mark = await _carry_out(session, text, arguments, mark)
        return mark


async def _carry_out(session: Session, text: str, arguments: Sequence[object], mark: Mark) -> Mark:
    [row] = await session.fetch(text, *arguments, mark.place)
    return Mark(mark.value, row["ctid"])


class _OneByOne:
    """Carries out unit after unit, each behind a savepoint, and records its outcome."""

    __slots__ = ("_outcomes", "_plans")

    def __init__(
        self,
        plans: Mapping[int, Sequence[sql.Statement]],
        outcomes: list[StorageError | None],
    ) -> None:
        self._plans = plans
        self._outcomes = outcomes

    async def __call__(
        self, session: Session, mark: Mark, commits_next: Callable[[], None]
    ) -> Mark:
        async with _transaction(session, commits_next):
            mark = await set_mark(session, mark)
            for index, statements in self._plans.items():
                await session.execute("savepoint unit")
                self._outcomes[index] = await _alone(session, statements)
                if self._outcomes[index] is not None:
                    await session.execute("rollback to savepoint unit")
                await session.execute("release savepoint unit")
        return mark


@asynccontextmanager
async def _transaction(session: Session, commits_next: Callable[[], None]) -> AsyncGenerator[None]:
    await session.execute("begin")
    try:
        yield
    except BaseException:
        await _roll_back(session)
        raise
    commits_next()
    await session.execute("commit")


async def _alone(session: Session, statements: Sequence[sql.Statement]) -> StorageError | None:
    try:
        for statement in statements:
            tag = await session.execute(statement.form.sql, *statement.arguments())
            # It ends with how many rows were touched.
            if int(tag.rpartition(" ")[2]) != len(statement.owners):
                return _failure(statement)
    except ForeignKeyViolation as refusal:
        return Orphaned(str(refusal))
    except _REFUSALS as refusal:
        return Rejected(str(refusal))
    return None


def _failure(statement: sql.Statement) -> StorageError:
    name = statement.form.table.name
    return Duplicate(name) if statement.form.kind is Create else Conflict(name)


class _Blame:
    """Runs the statements again, asking which rows they touch, and rolls back.

    Returns the units to blame, from the first failing wave only: a later wave may fail because
    of what such a unit left behind. Returns none if another writer (the erasure of an account)
    came between the two looks.
    """

    __slots__ = ("_statements",)

    def __init__(self, statements: Sequence[sql.Statement]) -> None:
        self._statements = statements

    async def __call__(self, session: Session) -> dict[int, StorageError]:
        failed: dict[int, StorageError] = {}
        wave = 0
        await session.execute("begin")
        try:
            for statement in self._statements:
                if failed and statement.wave > wave:
                    break
                wave = statement.wave
                form = statement.form
                touched = await session.fetch(form.sql + form.returning, *statement.arguments())
                for owner in sql.untouched(statement, [tuple(row.values()) for row in touched]):
                    failed.setdefault(owner, _failure(statement))
        finally:
            await _roll_back(session)
        return failed


async def _roll_back(session: Session) -> None:
    """Roll back after a failure; a connection that is gone has rolled back already."""
    # The first failure is the one to report.
    with suppress(DatabaseError):
        await session.execute("rollback")
