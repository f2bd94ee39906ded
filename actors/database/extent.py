"""A database's size, and what keeps it from reusing its space: measured periodically."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from actors.database.errors import DatabaseError

if TYPE_CHECKING:
    from actors.database.driver import Database
    from actors.database.session import Session

PERIOD_S: Final = 60.0

_TIMEOUT_S: Final = 10.0
# Autovacuum keeps no rows alive. A role may be unable to see others' sessions.
_EXTENT: Final = """
select pg_database_size(current_database()) as bytes, (
    select coalesce(extract(epoch from max(clock_timestamp() - xact_start)), 0)::float8
    from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()
        and (backend_xmin is not null or backend_xid is not null)
        and backend_type <> 'autovacuum worker'
) as oldest_s
"""


@dataclass(frozen=True, slots=True)
class Extent:
    """The size of a database on its disk, and how long its oldest transaction has been open.

    No row version replaced or deleted since then can be removed.
    """

    size_bytes: int
    oldest_transaction_s: float


class ExtentMeter:
    """Keeps the last measurement; None before the first, and while the database is away."""

    def __init__(self) -> None:
        self.latest: Extent | None = None

    async def follow(
        self, database: Database, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Measure every `PERIOD_S` until cancelled; ready after the first measurement.

        A connection is open only during a measurement. An absent database is tried again next time.
        """
        while True:
            try:
                self.latest = await _look(database)
            except DatabaseError:
                self.latest = None
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED
            await trio.sleep(PERIOD_S)


async def _look(database: Database) -> Extent:
    async def script(session: Session) -> Extent:
        row = await session.fetchrow(_EXTENT)
        if row is None:
            raise LookupError("exactly one row was expected")
        return Extent(row["bytes"], max(0.0, row["oldest_s"]))

    connection = await database.connect(name="extent")
    try:
        return await connection.run(script, timeout_s=_TIMEOUT_S)
    finally:
        await connection.aclose()
