"""What of a database's schema is Holdfast's, and what is somebody else's.

Each migration's record in ``schema_migrations`` names what it made, so that a program tells the
tables of a later one from a stranger's as well. The first migrations did not: what they made is
listed here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

    from actors.database.session import Session

SCHEMA: Final = "public"
"""Where Holdfast's tables are; what else is in a database is none of its business."""

UNRECORDED: Final = (
    "table public.accounts",
    "table public.audit",
    "table public.idempotency",
    "table public.inventories",
    "table public.last_commit",
    "table public.ledger",
    "table public.orders",
    "table public.ruleset_archive",
    "table public.ruleset_history",
    "table public.schema_migrations",
    "table public.sessions",
    "table public.transfers",
    "table public.world",
    "function public.erase_account_rows()",
)
"""What the migrations up to 0005 made, of which databases may have no record."""

# What stands on its own: not the type of a table, nor the sequence of a column, nor an extension's.
_OBJECTS: Final = """
with found as (
    select 'pg_class'::regclass as catalog, oid from pg_class
    where relnamespace = to_regnamespace('public') and relkind in ('r', 'p', 'v', 'm', 'S', 'f')
    union all
    select 'pg_proc'::regclass, oid from pg_proc where pronamespace = to_regnamespace('public')
    union all
    select 'pg_type'::regclass, oid from pg_type where typnamespace = to_regnamespace('public')
)
select named.type || ' ' || named.identity as name
from found, pg_identify_object(found.catalog, found.oid, 0) as named
where not exists (select from pg_depend as d
                  where d.classid = found.catalog and d.objid = found.oid and d.objsubid = 0
                    and d.deptype in ('a', 'e', 'i'))
order by 1
"""

# Without a column of that name, as an earlier program left the table, there is no record.
_RECORDED: Final = """
select jsonb_array_elements_text(to_jsonb(m) -> 'made') as name from schema_migrations as m
where jsonb_typeof(to_jsonb(m) -> 'made') = 'array'
"""

_DROPPED_TOGETHER: Final = (
    "view",
    "materialized view",
    "table",
    "foreign table",
    "sequence",
    "function",
    "procedure",
    "aggregate",
    "type",
)
"""Kinds in the order in which they can go: what uses others before what is used."""


async def objects(session: Session) -> tuple[str, ...]:
    """Name every table, view, sequence, routine and type of the schema, each with its kind."""
    return tuple(row["name"] for row in await session.fetch(_OBJECTS))


async def ours(session: Session) -> frozenset[str]:
    """Name what Holdfast's migrations made, this program's and those of a later one."""
    recorded = await session.fetch(_RECORDED)
    return frozenset((*UNRECORDED, *(row["name"] for row in recorded)))


def dropping(names: Collection[str]) -> tuple[str, ...]:
    """Give the statements that drop these objects and nothing else, even what depends on them."""
    statements: list[str] = []
    for kind in _DROPPED_TOGETHER:
        found = [name.removeprefix(f"{kind} ") for name in names if name.startswith(f"{kind} ")]
        if found:
            statements.append(f"drop {kind} {', '.join(found)}")
    return tuple(statements)
