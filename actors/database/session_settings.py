"""Settings of every session from its start, whatever its role, its database or the server sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from actors.database.session import Session

OVERRIDDEN: Final = "synchronous_commit"
"""The one of `risky_settings` that every session of this program overrides."""

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
"""The statement that applies them."""
_RISKY = """
select name from pg_settings
where name in ('fsync', 'full_page_writes', 'synchronous_commit') and reset_val = 'off'
order by name
"""


async def set_settings(raw: Any) -> None:
    """Apply them to an asyncpg connection; not at connect, as poolers do not pass that on.

    The session of a host that fell silent ends within a minute, not after hours, and one whose
    client has left ends within a second, not when its work is done: it may hold the server lock,
    and each is one of ``max_connections``. PostgreSQL refuses the latter on some systems other than
    Linux, and a commit that waits for a standby heeds neither. Nothing is confirmed before it is on
    disk; ``local`` and the ``remote_...`` settings keep that promise too, and are the operator's
    choice. Tables are those in `objects.SCHEMA`, where backups look for them and restores put them,
    even if the role has a schema of its own; NULL in an array is null, not text. A statement that
    waited for a lock continues with what is then committed, and does not fail.
    """
    await raw.execute(SETTINGS)


async def risky_settings(session: Session) -> list[str]:
    """Name the server's settings that let a crash lose committed data."""
    return [row["name"] for row in await session.fetch(_RISKY)]
