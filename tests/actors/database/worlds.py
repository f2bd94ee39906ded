"""A world with every kind of awkward value: written, restored, and read back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.database.driver import open_database
from actors.database.migrate import Migration, migrate, shipped_migrations
from actors.database.restore import restore
from tests.postgres import quiet_log, run_script

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from structlog.testing import LogCapture

    from actors.database.session import Session

TRICKY = "tab\t, line\n, back\\slash, \\. end, quote' and \u00fcmlaut \U0001f3f0"

FILL = """
insert into accounts
select gen_random_uuid(), 'name ' || i, 'key ' || i, 'hash', 'player', null, now()
from generate_series(1, $1) as i
"""
WORLD = "insert into world values ('w', gen_random_uuid(), 7, 8, 'rules', 9)"
AUDIT = "insert into audit values (gen_random_uuid(), now(), 'me', 'did', 'it', $1, '{\"a\": [1]}')"


def listed(folder: Path) -> list[Path]:
    """Return the contents of a folder."""
    return list(folder.iterdir())


async def migrate_further(dsn: str, *later: Migration) -> None:
    """Also apply the migrations of a later program."""
    async with open_database(dsn, log=quiet_log()) as database:
        connection = await database.connect(name="later")
        await migrate(connection, migrations=[*shipped_migrations(), *later])
        await connection.aclose()


async def fill(dsn: str, accounts: int = 500) -> None:
    """Write every kind of awkward value."""

    async def script(session: Session) -> None:
        await session.execute(FILL, accounts)
        await session.execute(WORLD)
        await session.execute(AUDIT, TRICKY)

    await run_script(dsn, script)


async def contents(dsn: str) -> dict[str, list[str]]:
    """Return every row of every table, and the schema's definition."""

    async def script(session: Session) -> dict[str, list[str]]:
        tables = await session.fetch(
            "select tablename as name from pg_tables where schemaname = 'public' order by 1"
        )
        told: dict[str, list[str]] = {}
        for table in tables:
            rows = await session.fetch(
                f"select to_jsonb(t)::text as row from {table['name']} as t order by 1"  # noqa: S608
            )
            told[table["name"]] = [row["row"] for row in rows]
        schema = await session.fetch(
            """
            select indexdef as text from pg_indexes where schemaname = 'public'
            union all select conname || pg_get_constraintdef(oid) from pg_constraint
            union all select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
            order by 1
            """
        )
        told["schema"] = [row["text"] for row in schema]
        return told

    return await run_script(dsn, script)


async def bring(
    dsn: str,
    file: Path,
    *,
    replace: bool = False,
    on_progress: Callable[[str, int], None] | None = None,
    stall_s: float = 20,
    log: LogCapture | None = None,
) -> None:
    """Restore a backup into a database."""
    async with open_database(dsn, log=quiet_log()) as database:
        connection = await database.connect(name="restore")
        try:
            await restore(
                connection,
                dsn,
                file,
                replace=replace,
                on_progress=on_progress,
                stall_s=stall_s,
                log=quiet_log(log),
            )
        finally:
            await connection.aclose()


async def have_set(dsn: str, setting: str) -> None:
    """Have all sessions of a database begin with a setting, as on somebody else's server."""

    async def script(session: Session) -> None:
        name = await session.fetchval("select current_database()")
        await session.execute(f"alter database {name} set {setting}")

    await run_script(dsn, script)
