"""Counts who owns what across the whole world: run once, when the rules have changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors.database.session import Session

RESOURCE: Final = "resource"
LEVEL: Final = "level"
UNIT: Final = "unit"

# The last era of the version that had begun at that moment; before all of them, the first.
_ERAS: Final = """
eras as (
    select seq, version as ruleset,
           case when row_number() over same = 1 then -9223372036854775808 else from_ms end
               as from_ms,
           coalesce(lead(from_ms) over same, 9223372036854775807) as until_ms
    from ruleset_history
    window same as (partition by version order by seq)
),
settled as materialized (
    select account_id, coalesce(seq, 0) as era
    from inventories left join eras
        on eras.ruleset = inventories.ruleset and at_ms >= from_ms and at_ms < until_ms
)
"""

_CENSUS: Final = f"""
with {_ERAS},
owned as (
    select era, account_id, 'level' as kind,
           jsonb_object_keys(coalesce(state -> 'levels', '{{}}')) as name
    from inventories join settled using (account_id)
    union
    select era, account_id, 'unit', jsonb_object_keys(coalesce(state -> 'units', '{{}}'))
    from inventories join settled using (account_id)
    union
    select era, account_id, 'resource', jsonb_object_keys(coalesce(state -> 'held', '{{}}'))
    from inventories join settled using (account_id)
    union
    select era, account_id, 'resource', stock.key
    from inventories join settled using (account_id), jsonb_each(state -> 'amounts') as stock
    where (stock.value ->> 0)::bigint > 0
    union
    select era, account_id, case orders.kind when 'unit' then 'unit' else 'level' end, asset
    from orders join settled using (account_id)
    where orders.state in ('queued', 'running')
    union
    select era, account_id, 'resource', price.key
    from orders join settled using (account_id), jsonb_each(orders.cost) as price
    where orders.state in ('queued', 'running')
    union
    select coalesce(seq, 0), sender, 'resource', jsonb_object_keys(resources)
    from transfers left join eras
        on eras.ruleset = transfers.ruleset and sent_ms >= from_ms and sent_ms < until_ms
    where state = 'sent'
)
select era, kind, name, count(*) as accounts
from owned group by era, kind, name order by name, kind, era
"""  # noqa: S608 - put together of constants alone

_CLASHES: Final = f"""
with {_ERAS},
levels as (
    select era, account_id, jsonb_object_keys(coalesce(state -> 'levels', '{{}}')) as name
    from inventories join settled using (account_id)
    union
    select era, account_id, asset
    from orders join settled using (account_id)
    where orders.state in ('queued', 'running') and orders.kind <> 'unit'
),
clashing as (
    select account_id, becomes
    from levels
    join jsonb_to_recordset($1::jsonb) as moves(era bigint, name text, becomes text)
        using (era, name)
    group by account_id, becomes having count(*) > 1
)
select becomes, count(*) as accounts from clashing group by becomes order by becomes
"""  # noqa: S608 - put together of constants alone

_POPULATION: Final = f"""
with {_ERAS}
select era, count(*) as accounts from settled group by era
"""  # noqa: S608 - put together of constants alone

_HISTORY: Final = """
select version, renamed, content
from ruleset_history join ruleset_archive using (version) order by seq
"""


@dataclass(frozen=True, slots=True)
class Ownership:
    """How many accounts own something of this kind and name, under the rules they were left with.

    ``era`` is the entry of the history, counted from 1; 0 if it has none. ``kind`` is `RESOURCE`,
    `LEVEL` (a building or technology) or `UNIT`. Goods in flight count for their sender, under
    the rules that they were sent under.
    """

    era: int
    kind: str
    name: str
    accounts: int


class Move(msgspec.Struct, frozen=True):
    """The new name of an era's building or technology."""

    era: int
    name: str
    becomes: str


@dataclass(frozen=True, slots=True)
class PastRules:
    """One entry of the history; ``renamed`` is the JSON of what it renamed."""

    version: str
    renamed: str
    archive: str


async def past_rules(session: Session) -> tuple[PastRules, ...]:
    """Read the rules that the world has run under, oldest first; raises as `Session`."""
    rows = await session.fetch(_HISTORY)
    return tuple(PastRules(row["version"], row["renamed"], row["content"]) for row in rows)


async def population(session: Session) -> dict[int, int]:
    """Count the accounts last settled under each era, as in `Ownership`; raises as `Session`."""
    rows = await session.fetch(_POPULATION)
    return {row["era"]: row["accounts"] for row in rows}


async def census(session: Session) -> tuple[Ownership, ...]:
    """Count the owners of everything; reads every inventory once; raises as `Session`."""
    rows = await session.fetch(_CENSUS)
    return tuple(Ownership(row["era"], row["kind"], row["name"], row["accounts"]) for row in rows)


async def clashes(session: Session, moves: Iterable[Move]) -> dict[str, int]:
    """Count, by new name, the accounts in which two levels would become one.

    Raises: as `Session`.
    """
    text = msgspec.json.encode(list(moves)).decode()
    rows = await session.fetch(_CLASHES, text)
    return {row["becomes"]: row["accounts"] for row in rows}
