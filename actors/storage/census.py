"""Counts who owns what across the whole world: asked once, when the rules have changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actors.database.session import Session

_CENSUS = """
with owned as (
    select ruleset, account_id, jsonb_object_keys(coalesce(state -> 'levels', '{}')) as name
    from inventories
    union
    select ruleset, account_id, jsonb_object_keys(coalesce(state -> 'units', '{}'))
    from inventories
    union
    select ruleset, account_id, jsonb_object_keys(coalesce(state -> 'held', '{}'))
    from inventories
    union
    select ruleset, account_id, stock.key
    from inventories, jsonb_each(state -> 'amounts') as stock
    where (stock.value ->> 0)::bigint > 0
    union
    select inventories.ruleset, account_id, orders.asset
    from orders join inventories using (account_id)
    where orders.state in ('queued', 'running')
    union
    select inventories.ruleset, account_id, price.key
    from orders join inventories using (account_id), jsonb_each(orders.cost) as price
    where orders.state in ('queued', 'running')
    union
    select ruleset, sender, jsonb_object_keys(resources) from transfers where state = 'sent'
)
select ruleset, name, count(*) as accounts from owned group by ruleset, name order by name
"""

_HISTORY = "select version, renamed from ruleset_history order by seq"


@dataclass(frozen=True, slots=True)
class Ownership:
    """How many accounts own something of this name, under the rules that they were left with.

    What is on its way counts for its sender, under the rules that it was sent under.
    """

    ruleset: str
    name: str
    accounts: int


@dataclass(frozen=True, slots=True)
class PastRules:
    """One entry of the history: a version, and as JSON what it calls otherwise than before."""

    version: str
    renamed: str


async def past_rules(session: Session) -> tuple[PastRules, ...]:
    """Read which rules the world has run under, oldest first; raises as `Session`."""
    rows = await session.fetch(_HISTORY)
    return tuple(PastRules(row["version"], row["renamed"]) for row in rows)


async def census(session: Session) -> tuple[Ownership, ...]:
    """Count the owners of everything; reads every inventory once; raises as `Session`."""
    rows = await session.fetch(_CENSUS)
    return tuple(Ownership(row["ruleset"], row["name"], row["accounts"]) for row in rows)
