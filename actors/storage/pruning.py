"""The removal of old records: idempotency keys past their use, and finished orders.

Rows of neither are ever written again, and a live server caches none that it depends on; the
ledger and the transfers, which prove what everybody owns, are not touched. It goes by the blocks of
a table, which needs no index, some of them in each transaction. A row that somebody else is about
to remove, with its account, is left to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.database.driver import Connection

DAY_MS: Final = 86_400_000
PIECE_BLOCKS: Final = 512
"""Four MB, some ten thousand rows: deleted in a fraction of a second."""

_WORLD: Final = "select max(now_ms) from world"
_BLOCKS: Final = """
select (pg_relation_size($1::text::regclass) + size - 1) / size
from (select current_setting('block_size')::bigint as size) as block
"""

# Blocks of the table from $2 on, before $3. Older than $1.
_OLD: Final = """
ctid >= format('(%s,0)', $2::bigint)::tid and ctid < format('(%s,0)', $3::bigint)::tid and {old}
"""
_COUNT: Final = "select count(*) from {table} where {old}"
_DELETE: Final = """
with gone as (
    delete from {table} where ctid = any (array(
        select ctid from {table} where {old} for update skip locked
    ))
    returning 1
)
select count(*) from gone
"""


@dataclass(frozen=True, slots=True)
class Prunable:
    """What may be removed: rows of a ``table`` for which ``old`` holds, in SQL with ``$1``."""

    table: str
    old: str

    def sql(self, *, remove: bool) -> str:
        """Return the statement that removes (or only counts) older rows in some blocks."""
        old = _OLD.format(old=self.old)
        return (_DELETE if remove else _COUNT).format(table=self.table, old=old)


KEYS: Final = Prunable(
    "idempotency",
    "at_ms < $1 and coalesce((response #>> '{grant,at_ms}')::bigint, at_ms) < $1",
)
"""Idempotency keys by first use: a command that repeats a removed key counts as a new one.

The key of a grant to a frozen account may carry the moment at which the freeze began.
"""

ORDERS: Final = Prunable(
    "orders",
    """
    state in ('completed', 'cancelled')
    and greatest(placed_ms, coalesce(finishes_ms, placed_ms)) < $1
    """,
)
"""Finished orders, by the last moment that they name; a cancelled one has only its first."""


async def prune(
    connection: Connection,
    what: Prunable,
    days: int,
    *,
    remove: bool = True,
    on_piece: Callable[[int, int], None] = lambda _done, _of: None,
    piece_blocks: int = PIECE_BLOCKS,
    timeout_s: float = 60.0,
) -> int:
    """Remove what is older than ``days`` of the world's time; return how many rows that were.

    Without ``remove`` it only counts them. ``on_piece`` receives how many blocks of the table are
    done, and of how many. ``timeout_s`` is for each piece. If cancelled or failed, it has removed
    what the earlier pieces had, and may be run again.

    Raises:
        DatabaseError: the database is away or fails.
    """

    async def value(sql: str, *arguments: object) -> Any:
        return await connection.run(
            lambda session: session.fetchval(sql, *arguments), timeout_s=timeout_s
        )

    now_ms: int | None = await value(_WORLD)
    if now_ms is None:
        return 0  # The world has not begun.
    before_ms = now_ms - days * DAY_MS
    blocks: int = await value(_BLOCKS, what.table)
    sql = what.sql(remove=remove)
    found = 0
    for begin in range(0, blocks, piece_blocks):
        found += await value(sql, before_ms, begin, begin + piece_blocks)
        on_piece(min(begin + piece_blocks, blocks), blocks)
    return found
