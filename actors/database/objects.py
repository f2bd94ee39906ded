"""What in a database's schema is Holdfast's, and what is somebody else's.

Each migration's record in ``schema_migrations`` names the objects it made, so that a program can
tell even the tables of a later version from a stranger's. The first migrations have no such
record: their objects are listed here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

    from actors.database.session import Session

SCHEMA: Final = "public"
"""Where Holdfast's tables are; everything else in a database is none of its business."""

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
"""The objects of the migrations up to 0005, of which a database may have no record."""

# Independent objects: not the type of a table, nor the sequence of a column, nor an extension's.
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

# If an older table lacks a column of that name, there is no record.
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
"""Kinds in the order in which they can be dropped: users before what they use."""


async def objects(session: Session) -> tuple[str, ...]:
    """Return every table, view, sequence, routine and type of the schema, each with its kind."""
    return tuple(row["name"] for row in await session.fetch(_OBJECTS))


async def ours(session: Session) -> frozenset[str]:
    """Return the names of what Holdfast's migrations made, including those of a later version."""
    recorded = await session.fetch(_RECORDED)
    return frozenset((*UNRECORDED, *(row["name"] for row in recorded)))


def dropping(names: Collection[str]) -> tuple[str, ...]:
    """Return statements that drop these objects and nothing else, not even what depends on them."""
    statements: list[str] = []
    for kind in _DROPPED_TOGETHER:
        found = [name.removeprefix(f"{kind} ") for name in names if name.startswith(f"{kind} ")]
        if found:
            statements.append(f"drop {kind} {', '.join(found)}")
    return tuple(statements)
