"""Advisory locks: one server or restore per database, one migration and one erasure at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from actors.database.errors import (
    AlreadyServed,
    DatabaseUnavailable,
    StatementError,
    TransientError,
)

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from actors.database.session import Record, Session

SERVER_LOCK: Final = 0x486F_6C64_6661_7374  # "Holdfast"
MIGRATION_LOCK: Final = SERVER_LOCK + 1
ERASURE_LOCK: Final = SERVER_LOCK + 2
RESTORE_LOCK: Final = SERVER_LOCK + 3
"""Held by a restore's transaction, which may outlive the command: its commit may wait."""

_LOCK_NOT_AVAILABLE = "55P03"
_SERVER, _RESTORE = "another Holdfast server is", "a restore is"

_HOLDER = """
select activity.pid, activity.application_name, activity.backend_start, activity.wait_event
from pg_locks as lock join pg_stat_activity as activity using (pid)
where lock.locktype = 'advisory' and lock.granted and lock.objsubid = 1
  and lock.database = (select oid from pg_database where datname = current_database())
  and (lock.classid::bigint << 32 | lock.objid::bigint) = $1
limit 1
"""
_MYSELF = "select pid, backend_start from pg_stat_activity where pid = pg_backend_pid()"
_END = """
select pid, backend_start, pg_terminate_backend(pid)
from pg_stat_activity join unnest($1::int[], $2::timestamptz[]) as lost (pid, backend_start)
using (pid, backend_start)
"""


@dataclass(frozen=True, slots=True)
class Backend:
    """One session as the server knows it: its process and start time, as process ids recur."""

    pid: int
    since: datetime

    @classmethod
    def of(cls, row: Record) -> Backend:
        """Return the session of a row of the server's view."""
        return cls(row["pid"], row["backend_start"])


async def own_backend(session: Session) -> Backend:
    """Return which session this one is."""
    [row] = await session.fetch(_MYSELF)
    return Backend.of(row)


async def end_backends(session: Session, backends: AbstractSet[Backend]) -> AbstractSet[Backend]:
    """Ask sessions of our own to end; return those that may still exist."""
    if not backends:
        return backends
    lost = list(backends)
    try:
        rows = await session.fetch(_END, [each.pid for each in lost], [each.since for each in lost])
    except StatementError:
        return backends  # The right was revoked from everyone. They end by themselves, later.
    return {Backend.of(row) for row in rows}


async def acquire_server_lock(
    session: Session, *, patience_ms: int = 1_000, lost: AbstractSet[Backend] = frozenset()
) -> None:
    """Make this session's server the only one on its database for the life of the session.

    The session of a killed server, or of a terminated connection, may outlive it for a moment:
    ``patience_ms`` (milliseconds, more than 0) is how long to wait for its end. ``lost`` are such
    sessions of this server itself.

    Raises:
        AlreadyServed: another session holds the lock, or as `check_not_restoring`.
        DatabaseUnavailable: one of ``lost`` does, or did until now.
    """
    try:
        async with session.transaction():
            await session.execute(
                "select set_config('lock_timeout', $1, true)", f"{max(1, patience_ms)}ms"
            )
            await session.execute("select pg_advisory_lock($1)", SERVER_LOCK)
    except TransientError as error:
        if error.sqlstate != _LOCK_NOT_AVAILABLE:
            raise
        holder = await session.fetchrow(_HOLDER, SERVER_LOCK)
        if lost and (holder is None or Backend.of(holder) in lost):
            raise DatabaseUnavailable(
                "a lost connection of this server still holds its lock"
            ) from None
        raise AlreadyServed(await _describe(_SERVER, holder, session)) from None
    try:
        await check_not_restoring(session)
    except AlreadyServed:
        await session.execute("select pg_advisory_unlock($1)", SERVER_LOCK)
        raise


async def check_not_restoring(session: Session) -> None:
    """Check that no restore is running on the database: any query would wait for it.

    Raises:
        AlreadyServed: one is, perhaps of a command that has already ended.
    """
    holder = await session.fetchrow(_HOLDER, RESTORE_LOCK)
    if holder is not None:
        raise AlreadyServed(await _describe(_RESTORE, holder, session))


async def _describe(who_is: str, holder: Record | None, session: Session) -> str:
    name = await session.fetchval("select current_database()")
    message = f"{who_is} running on the database {name!r}"
    if holder is None:
        return message
    who = f"{holder['application_name']}, backend {holder['pid']}"
    since: datetime | None = holder["backend_start"]
    # Not visible for another role's session.
    when = "" if since is None else f", since {since.isoformat(timespec='seconds')}"
    # It has done all else, and does not notice that its client has gone.
    waiting = ", waiting for a standby" if holder["wait_event"] == "SyncRep" else ""
    return f"{message} ({who}{when}{waiting})"
