"""What every session is told at its start, whatever its role, its database or the server says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from actors.database.session import Session

OVERRIDDEN: Final = "synchronous_commit"
"""What of `risky_settings` no session of this program heeds."""

SETTINGS: Final = """
select set_config(name, value, false) from (values
    ('tcp_keepalives_idle', '30'), ('tcp_keepalives_interval', '10'),
    ('tcp_keepalives_count', '3'), ('tcp_user_timeout', '60000'),
    ('search_path', 'public'), ('array_nulls', 'on'),
    ('default_transaction_isolation', 'read committed')
) as setting(name, value)
union all
select set_config('client_connection_check_interval', '1s', false)
where current_setting('client_connection_check_interval') = '0' and version() like '%linux%'
union all
select set_config('synchronous_commit', 'on', false)
where current_setting('synchronous_commit') = 'off'
"""
"""The statement that tells a session."""
_RISKY = """
select name from pg_settings
where name in ('fsync', 'full_page_writes', 'synchronous_commit') and reset_val = 'off'
order by name
"""


async def set_settings(raw: Any) -> None:
    """Tell a connection of asyncpg's; not when it is made, for poolers do not pass that on.

    The session of a host that fell silent ends within a minute, not after hours, and one whose
    client has left it within a second, not when it has done its work: it may hold the server lock,
    and each is one of ``max_connections``. PostgreSQL refuses the latter on some systems other than
    Linux, and a commit that waits for a standby heeds neither. Nothing is confirmed before it is on
    the disk; ``local`` and the ``remote_...`` keep that promise too, and are the operator's choice.
    Tables are those in `objects.SCHEMA`, where a backup looks for them too and a restore puts them,
    also where the role has a schema of its own; NULL in an array is none of its texts. What has
    waited for a lock goes on with what is committed by then, and does not fail.
    """
    await raw.execute(SETTINGS)


async def risky_settings(session: Session) -> list[str]:
    """Name the settings of the server by which a crash may lose what was committed."""
    return [row["name"] for row in await session.fetch(_RISKY)]
