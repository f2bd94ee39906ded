"""Reads that wait together are answered in one go, and by few statements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.storage import sql

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from actors.database.driver import Session
    from actors.storage.operations import Read, Row
    from actors.storage.tables import Table


class Reading:
    """Answers many reads in one go, merging those that differ in one value."""

    __slots__ = ("_reads", "_tables")

    def __init__(self, reads: Sequence[Read], tables: Mapping[str, Table]) -> None:
        self._reads = reads
        self._tables = tables

    async def __call__(self, session: Session) -> list[list[Row]]:
        """Give the rows of each read; raises what the statements raise."""
        answers: list[list[Row]] = [[] for _ in self._reads]
        merged: dict[tuple[str, object], list[int]] = {}
        for index, read in enumerate(self._reads):
            column = sql.mergeable(read)
            if column is None:
                answers[index] = await self._single(session, read)
            else:
                rest = tuple((k, v) for k, v in read.where.items() if k != column)
                within = tuple(read.within.items())
                shape = (read.table, rest, within, read.order_by, read.descending)
                merged.setdefault((column, shape), []).append(index)
        for (column, _), indexes in merged.items():
            await self._many(session, column, indexes, answers)
        return answers

    async def _single(self, session: Session, read: Read) -> list[Row]:
        statement, arguments = sql.select(read, self._tables[read.table])
        return [dict(row) for row in await session.fetch(statement, *arguments)]

    async def _many(
        self, session: Session, column: str, indexes: list[int], answers: list[list[Row]]
    ) -> None:
        first = self._reads[indexes[0]]
        if len(indexes) == 1:
            answers[indexes[0]] = await self._single(session, first)
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
