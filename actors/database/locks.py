"""Advisory locks: one server per database, one migration and one erasure at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors.database.errors import AlreadyServed, TransientError

if TYPE_CHECKING:
    from actors.database.session import Session

SERVER_LOCK: Final = 0x486F_6C64_6661_7374  # "Holdfast"
MIGRATION_LOCK: Final = SERVER_LOCK + 1
ERASURE_LOCK: Final = SERVER_LOCK + 2

_LOCK_NOT_AVAILABLE = "55P03"

_HOLDER = """
select activity.pid, activity.application_name, activity.backend_start
from pg_locks as lock join pg_stat_activity as activity using (pid)
where lock.locktype = 'advisory' and lock.granted and lock.objsubid = 1
  and lock.database = (select oid from pg_database where datname = current_database())
  and (lock.classid::bigint << 32 | lock.objid::bigint) = $1
limit 1
"""


async def acquire_server_lock(session: Session, *, patience_ms: int = 1_000) -> None:
    """Make this session's server the only one on its database, for as long as the session lives.

    The session of a server that was killed, or of a connection that was given up, may outlive it
    for a moment: ``patience_ms`` (milliseconds, more than 0) is how long to wait for its end.

    Raises:
        AlreadyServed: another session holds the lock.
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
        raise AlreadyServed(await _describe_holder(session)) from None


async def _describe_holder(session: Session) -> str:
    name = await session.fetchval("select current_database()")
    holder = await session.fetchrow(_HOLDER, SERVER_LOCK)
    message = f"another Holdfast server is at work on the database {name!r}"
    if holder is None:
        return message
    since = holder["backend_start"].isoformat(timespec="seconds")
    return f"{message} ({holder['application_name']}, backend {holder['pid']}, since {since})"
