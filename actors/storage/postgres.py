"""The PostgreSQL engine: one writer connection that commits batches, a few that read.

A batch is one transaction in one crossing into the driver. It is tried optimistically; where a
statement touches fewer rows than it should, the transaction is rolled back, the units to blame
are found, and the rest is tried again. When the connection is lost around the commit, the
transaction's own id answers whether it took effect: ``pg_xact_status`` knows, also after a crash
of the database, so nothing has to be stored for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.database.driver import Connection, Database, Session
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
from actors.storage.operations import Create

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from structlog.typing import FilteringBoundLogger

    from actors.storage.engine import Unit
    from actors.storage.operations import Read, Row
    from actors.storage.tables import Table

_REFUSALS = (UniqueViolation, ForeignKeyViolation, CheckViolation, StatementError)
_STATUS_POLLS = 50
_STATUS_POLL_S = 0.02


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
        self._timeout_s = query_timeout_s
        self._log = log
        self._writer: Connection | None = None
        self._in_doubt: str | None = None
        self._idle_readers: list[Connection | None] = [None] * read_connections
        self._reader_slots = trio.CapacityLimiter(read_connections)

    async def open(self) -> None:
        """Connect the writer, taking the server lock.

        Raises:
            AlreadyServed: another server holds the lock.
            DatabaseUnavailable: the database cannot be reached.
        """
        await self._connected_writer()

    async def commit(self, units: Sequence[Unit]) -> list[StorageError | None]:
        """See `Engine.commit`."""
        outcomes: list[StorageError | None] = [None] * len(units)
        try:
            writer = await self._connected_writer()
            if await self._took_effect(writer):
                return outcomes
            await self._commit_all(writer, units, outcomes)
        except (ConnectionLost, DatabaseUnavailable) as error:
            raise EngineUnavailable(str(error), in_doubt=self._in_doubt is not None) from error
        return outcomes

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
                await connection.run(acquire_server_lock, timeout_s=self._timeout_s)
            except BaseException:
                connection.terminate()
                raise
            self._writer = connection
        return self._writer

    async def _took_effect(self, writer: Connection) -> bool:
        """Find out whether the transaction in doubt, if there is one, was committed.

        Raises:
            LookupError: the server does not remember it, so that nobody will ever know.
        """
        if self._in_doubt is None:
            return False
        xid = self._in_doubt
        for _ in range(_STATUS_POLLS):
            status = await writer.run(
                lambda session: transaction_status(session, xid), timeout_s=self._timeout_s
            )
            if status is not TransactionStatus.IN_PROGRESS:
                self._in_doubt = None
                self._log.warning("commit_outcome_found", outcome=status.value)
                if status is TransactionStatus.FORGOTTEN:
                    msg = f"the server does not remember transaction {xid}"
                    raise LookupError(msg)
                return status is TransactionStatus.COMMITTED
            await trio.sleep(_STATUS_POLL_S)
        msg = "the transaction in doubt is still in progress"
        raise DatabaseUnavailable(msg)

    async def _commit_all(
        self, writer: Connection, units: Sequence[Unit], outcomes: list[StorageError | None]
    ) -> None:
        """Commit what can be; every round that fails settles at least one unit's outcome."""
        left = list(range(len(units)))
        while left:
            statements = sql.plan([units[index] for index in left], self._tables)
            try:
                failed = await self._run_batch(writer, statements)
            except _REFUSALS as error:
                await self._commit_singly(writer, units, left, outcomes, error)
                return
            if failed is None:
                return
            for position, failure in failed.items():
                outcomes[left[position]] = failure
            left = [index for position, index in enumerate(left) if position not in failed]

    async def _commit_singly(
        self,
        writer: Connection,
        units: Sequence[Unit],
        left: Sequence[int],
        outcomes: list[StorageError | None],
        error: DatabaseError,
    ) -> None:
        """Commit unit by unit after the database itself refused a batch for one of them."""
        if len(left) == 1:
            outcomes[left[0]] = Rejected(str(error))
            return
        for index in left:
            try:
                failed = await self._run_batch(writer, sql.plan([units[index]], self._tables))
            except _REFUSALS as refusal:
                outcomes[index] = Rejected(str(refusal))
            else:
                outcomes[index] = None if failed is None else failed.get(0)

    async def _run_batch(
        self, writer: Connection, statements: list[sql.Statement]
    ) -> dict[int, StorageError] | None:
        """Run one transaction: None when it is committed, else the units that are to blame.

        Where units are to blame, nothing was done.
        """
        self._in_doubt = None

        async def script(session: Session) -> dict[int, StorageError] | None:
            await session.execute("begin")
            try:
                xid = await current_transaction(session)
                for statement in statements:
                    status = await session.execute(statement.sql, *statement.arguments)
                    if int(status.rpartition(" ")[2]) != len(statement.owners):
                        await session.execute("rollback")
                        return await _blame(session, statements)
            except BaseException:
                await _roll_back(session)
                raise
            self._in_doubt = xid
            await session.execute("commit")
            self._in_doubt = None
            return None

        return await writer.run(script, timeout_s=self._timeout_s)

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
                shape = (read.table, column, rest, within, read.order_by)
                merged.setdefault(shape, []).append(index)
        for indexes in merged.values():
            await self._many(session, indexes, answers)
        return answers

    async def _single(self, session: Session, read: Read) -> list[Row]:
        statement, arguments = sql.select(read, self._tables[read.table])
        return [dict(row) for row in await session.fetch(statement, *arguments)]

    async def _many(
        self, session: Session, indexes: list[int], answers: list[list[Row]]
    ) -> None:
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


async def _blame(session: Session, statements: list[sql.Statement]) -> dict[int, StorageError]:
    """Run the statements again, asking which rows they touch, and roll back: who failed, and why."""
    failed: dict[int, StorageError] = {}
    await session.execute("begin")
    try:
        for statement in statements:
            touched = await session.fetch(
                statement.sql + statement.returning, *statement.arguments
            )
            error = Duplicate if statement.kind is Create else Conflict
            for owner in sql.untouched(statement, [tuple(row) for row in touched]):
                failed.setdefault(owner, error(statement.table.name))
    finally:
        await _roll_back(session)
    if not failed:
        # Another writer (the erasure of an account) came between the two looks.
        failed = {owner: Conflict(statements[0].table.name) for owner in statements[0].owners}
    return failed


async def _roll_back(session: Session) -> None:
    """Roll back after a failure; a connection that is gone has rolled back already."""
    try:
        await session.execute("rollback")
    except Exception:  # noqa: BLE001, S110 - the first failure is the one to report
        pass
