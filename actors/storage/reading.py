"""Answers reads that wait together in one go, with few statements."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from actors.storage import sql

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from actors.database.driver import Session
    from actors.database.session import Record
    from actors.storage.operations import Read, Row
    from actors.storage.tables import Table

_SLICE: Final = 500
"""How many rows are made in one go: about a millisecond of work, then I/O may run."""


class _Fetched(NamedTuple):
    """A statement's result, and whose it is: all of one read's, or assigned by a column."""

    records: deque[Record]
    column: str | None
    by_value: Mapping[object, Sequence[int]]


class Reading:
    """Answers many reads in one go, merging those that differ in one value.

    First `fetch`, on a connection, then `rows`, which needs none: however long the loop takes to
    come round, no connection is kept waiting or abandoned as late.
    """

    __slots__ = ("_fetched", "_reads", "_tables")

    def __init__(self, reads: Sequence[Read], tables: Mapping[str, Table]) -> None:
        self._reads = reads
        self._tables = tables
        self._fetched: list[_Fetched] = []

    async def fetch(self, session: Session) -> None:
        """Run the statements; raises what they raise."""
        merged: dict[tuple[str, object], list[int]] = {}
        for index, read in enumerate(self._reads):
            column = sql.mergeable(read)
            if column is None:
                await self._single(session, index)
            else:
                rest = tuple((k, v) for k, v in read.where.items() if k != column)
                within = tuple(read.within.items())
                shape = (read.table, rest, within, read.order_by, read.descending)
                merged.setdefault((column, shape), []).append(index)
        for (column, _), indexes in merged.items():
            await self._many(session, column, indexes)

    async def rows(self) -> list[list[Row]]:
        """Return the rows of each read; holds nothing, and may be cancelled at any time."""
        answers: list[list[Row]] = [[] for _ in self._reads]
        made = 0
        for records, column, by_value in self._fetched:
            while records:
                # Popped, so that they are not all freed at once.
                row = dict(records.popleft())
                for index in by_value[None if column is None else row[column]]:
                    answers[index].append(row)
                made += 1
                if made % _SLICE == 0:
                    await trio.lowlevel.checkpoint()
        return answers

    async def _single(self, session: Session, index: int) -> None:
        read = self._reads[index]
        statement, arguments = sql.select(read, self._tables[read.table])
        records = deque(await session.fetch(statement, *arguments))
        self._fetched.append(_Fetched(records, None, {None: (index,)}))

    async def _many(self, session: Session, column: str, indexes: list[int]) -> None:
        first = self._reads[indexes[0]]
        if len(indexes) == 1:
            await self._single(session, indexes[0])
            return
        by_value: dict[object, list[int]] = {}
        for index in indexes:
            by_value.setdefault(self._reads[index].where[column], []).append(index)
        statement, arguments = sql.select_many(
            column, list(by_value), first, self._tables[first.table]
        )
        records = deque(await session.fetch(statement, *arguments))
        self._fetched.append(_Fetched(records, column, by_value))
