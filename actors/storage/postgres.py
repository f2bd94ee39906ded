"""The PostgreSQL engine: one writer connection that commits batches, a few that read.

A batch is one transaction in one crossing into the driver. It is tried optimistically; where a
statement touches fewer rows than it should, the transaction is rolled back, the units to blame
are found, and the rest is tried again; where that does not help, each unit of the batch gets a
savepoint of its own. Whichever way, a batch has one commit. When the connection is lost around
it, the transaction's own id answers whether it took effect: ``pg_xact_status`` knows, also after
a crash of the database, so nothing has to be stored for that.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from actors.database.errors import (
    CheckViolation,
    ConnectionLost,
    DatabaseError,
    DatabaseUnavailable,
    ForeignKeyViolation,
    StatementError,
    UniqueViolation,
)
from actors.database.locks import acquire_server_lock
from actors.database.outcomes import TransactionStatus, current_transaction, transaction_status
from actors.storage import sql
from actors.storage.engine import EngineUnavailable
from actors.storage.errors import Conflict, Duplicate, Rejected, StorageError
from actors.storage.forms import Forms
from actors.storage.operations import Create

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from structlog.typing import FilteringBoundLogger

    from actors.database.driver import Connection, Database, Script, Session
    from actors.storage.engine import Unit
    from actors.storage.operations import Read, Row
    from actors.storage.tables import Table

_REFUSALS = (UniqueViolation, ForeignKeyViolation, CheckViolation, StatementError)
_ROUNDS_MAX = 2
"""Attempts to commit a batch as a whole before its units are taken one by one."""
_START_PATIENCE_MS = 1_000
"""How long a start waits for the lock: another server that is alive will not let go of it."""
_RECONNECT_PATIENCE_MS = 4_000
"""How long a reconnect waits: the server's own lost session may outlive its connection a while."""
_STATUS_POLLS = 50
_STATUS_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A commit that was asked for and not confirmed, and the outcomes if it took effect."""

    xid: str
    outcomes: list[StorageError | None]


class PostgresEngine:
    """Carries out units and reads on a PostgreSQL that it alone writes game tables of.

    The writer's connection holds the server lock: whoever cannot take it cannot write.
    """

    def __init__(
        self,
        database: Database,
        tables: Mapping[str, Table],
        *,
        read_connections: int,
        query_timeout_s: float,
        log: FilteringBoundLogger,
    ) -> None:
        self._database = database
        self._tables = tables
        self._forms = Forms(tables)
        self._timeout_s = query_timeout_s
        self._log = log
        self._writer: Connection | None = None
        self._doubt: _Doubt | None = None
        self._patience_ms = _START_PATIENCE_MS
        self._idle_readers: list[Connection | None] = [None] * read_connections
        self._reader_slots = trio.CapacityLimiter(read_connections)

    async def open(self) -> None:
        """Connect the writer, taking the server lock.

        Raises:
            AlreadyServed: another server holds the lock.
            DatabaseUnavailable: the database cannot be reached.
        """
        await self._connected_writer()
        self._patience_ms = _RECONNECT_PATIENCE_MS

    def forget(self) -> None:
        """See `Engine.forget`: the transaction in doubt was that of another batch."""
        self._doubt = None

    async def commit(self, units: Sequence[Unit]) -> list[StorageError | None]:
        """See `Engine.commit`."""
        try:
            writer = await self._connected_writer()
            settled = await self._doubt_settled(writer)
            return settled if settled is not None else await self._commit_all(writer, units)
        except (ConnectionLost, DatabaseUnavailable) as error:
            raise EngineUnavailable(str(error), in_doubt=self._doubt is not None) from error

    async def read(self, reads: Sequence[Read]) -> list[list[Row]]:
        """See `Engine.read`: reads that differ in one value are one statement."""
        async with self._reader_slots:
            reader = self._idle_readers.pop()
            try:
                if reader is None or reader.closed:
                    reader = await self._database.connect(name="storage-reader")
                return await reader.run(self._reading(reads), timeout_s=self._timeout_s)
            except (ConnectionLost, DatabaseUnavailable) as error:
                raise EngineUnavailable(str(error)) from error
            finally:
                self._idle_readers.append(reader)

    async def aclose(self) -> None:
        """Close every connection; each close is bounded by the driver."""
        for connection in (self._writer, *self._idle_readers):
            if connection is not None:
                await connection.aclose()
        self._writer = None

    async def _connected_writer(self) -> Connection:
        if self._writer is None or self._writer.closed:
            connection = await self._database.connect(name="storage-writer")
            try:
                await connection.run(self._take_lock, timeout_s=self._timeout_s)
            except BaseException:
                connection.terminate()
                raise
            self._writer = connection
        return self._writer

    async def _take_lock(self, session: Session) -> None:
        await acquire_server_lock(session, patience_ms=self._patience_ms)

    async def _doubt_settled(self, writer: Connection) -> list[StorageError | None] | None:
        """Give the outcomes of the commit in doubt if it took effect; None: there is none."""
        doubt = self._doubt
        if doubt is None:
            return None
        for _ in range(_STATUS_POLLS):
            status = await writer.run(
                lambda session: transaction_status(session, doubt.xid), timeout_s=self._timeout_s
            )
            if status is not TransactionStatus.IN_PROGRESS:
                break
            await trio.sleep(_STATUS_POLL_S)
        else:
            raise DatabaseUnavailable("the transaction in doubt is still in progress")
        self._log.warning("commit_outcome_found", outcome=status.value)
        if status is TransactionStatus.FORGOTTEN:
            raise LookupError("the database does not know the transaction in doubt")
        self._doubt = None
        return doubt.outcomes if status is TransactionStatus.COMMITTED else None

    async def _commit_all(
        self, writer: Connection, units: Sequence[Unit]
    ) -> list[StorageError | None]:
        """Commit what can be, all in one transaction; a round that fails tells who must go."""
        outcomes: list[StorageError | None] = [None] * len(units)
        left = list(range(len(units)))
        for _ in range(_ROUNDS_MAX):
            statements = sql.plan([units[index] for index in left], self._forms)
            work = _together(statements, self._forms)
            try:
                if not left or await self._transact(writer, work, outcomes):
                    return outcomes
                failed = await writer.run(_Blame(statements), timeout_s=self._timeout_s)
            except _REFUSALS:
                break
            for position, failure in failed.items():
                outcomes[left[position]] = failure
            left = [index for position, index in enumerate(left) if position not in failed]
        if left:
            plans = {index: sql.plan([units[index]], self._forms) for index in left}
            await self._transact(writer, _one_by_one(plans, outcomes), outcomes)
        return outcomes

    async def _transact(
        self, writer: Connection, work: Script[str | None], outcomes: list[StorageError | None]
    ) -> bool:
        """Run a transaction, in one crossing; commit it where its work gives the id of it.

        Until the commit is confirmed, on this side of the crossing, it is in doubt: ``outcomes``
        are what is true if it took effect.
        """

        async def script(session: Session) -> bool:
            await session.execute("begin")
            try:
                xid = await work(session)
            except BaseException:
                await _roll_back(session)
                raise
            if xid is not None:
                self._doubt = _Doubt(xid, outcomes)
            await session.execute("rollback" if xid is None else "commit")
            return xid is not None

        try:
            done = await writer.run(script, timeout_s=self._timeout_s)
        except _REFUSALS:
            self._doubt = None
            raise
        self._doubt = None
        return done

    def _reading(self, reads: Sequence[Read]) -> _ReadScript:
        return _ReadScript(reads, self._tables)


class _ReadScript:
    """Answers many reads in one crossing, merging those that differ in one value."""

    __slots__ = ("_reads", "_tables")

    def __init__(self, reads: Sequence[Read], tables: Mapping[str, Table]) -> None:
        self._reads = reads
        self._tables = tables

    async def __call__(self, session: Session) -> list[list[Row]]:
        answers: list[list[Row]] = [[] for _ in self._reads]
        merged: dict[object, list[int]] = {}
        for index, read in enumerate(self._reads):
            column = sql.mergeable(read)
            if column is None:
                answers[index] = await self._single(session, read)
            else:
                rest = tuple((k, v) for k, v in read.where.items() if k != column)
                within = tuple(read.within.items())
                shape = (read.table, column, rest, within, read.order_by, read.descending)
                merged.setdefault(shape, []).append(index)
        for indexes in merged.values():
            await self._many(session, indexes, answers)
        return answers

    async def _single(self, session: Session, read: Read) -> list[Row]:
        statement, arguments = sql.select(read, self._tables[read.table])
        return [dict(row) for row in await session.fetch(statement, *arguments)]

    async def _many(self, session: Session, indexes: list[int], answers: list[list[Row]]) -> None:
        first = self._reads[indexes[0]]
        column = sql.mergeable(first)
        if len(indexes) == 1 or column is None:
            for index in indexes:
                answers[index] = await self._single(session, self._reads[index])
            return
        by_value: dict[object, list[int]] = {}
        for index in indexes:
            by_value.setdefault(self._reads[index].where[column], []).append(index)
        statement, arguments = sql.select_many(
            column, list(by_value), first, self._tables[first.table]
        )
        for record in await session.fetch(statement, *arguments):
            row = dict(record)
            for index in by_value[row[column]]:
                answers[index].append(row)


async def _touches_all(session: Session, statement: sql.Statement) -> bool:
    """Run a statement; whether it touched every row that it was to touch."""
    tag = await session.execute(statement.form.sql, *statement.arguments())
    return int(tag.rpartition(" ")[2]) == len(statement.owners)


def _together(statements: Sequence[sql.Statement], forms: Forms) -> Script[str | None]:
    """Carry out all units at once; give the transaction's id, None where one of them cannot be."""

    async def work(session: Session) -> str | None:
        xid: str | None = None
        for wave in sql.waves(statements):
            text, arguments = sql.together(wave, forms)
            # There is always one row.
            [row] = await session.fetch(text, *arguments)
            *touched, xid = row.values()
            if touched != [len(statement.owners) for statement in wave]:
                return None
        return xid

    return work


def _one_by_one(
    plans: Mapping[int, Sequence[sql.Statement]], outcomes: list[StorageError | None]
) -> Script[str | None]:
    """Carry out unit after unit, each behind a savepoint, and note what became of it."""

    async def work(session: Session) -> str:
        xid = await current_transaction(session)
        for index, statements in plans.items():
            await session.execute("savepoint unit")
            outcomes[index] = await _alone(session, statements)
            if outcomes[index] is not None:
                await session.execute("rollback to savepoint unit")
            await session.execute("release savepoint unit")
        return xid

    return work


async def _alone(session: Session, statements: Sequence[sql.Statement]) -> StorageError | None:
    try:
        for statement in statements:
            if not await _touches_all(session, statement):
                return _failure(statement)
    except _REFUSALS as refusal:
        return Rejected(str(refusal))
    return None


def _failure(statement: sql.Statement) -> StorageError:
    name = statement.form.table.name
    return Duplicate(name) if statement.form.kind is Create else Conflict(name)


class _Blame:
    """Runs the statements again, asking which rows they touch, and rolls back.

    Gives the units that are to blame, of the first wave that fails only: what fails in a later
    one may do so for what such a unit left behind. Gives none where another writer (the erasure
    of an account) came between the two looks.
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
