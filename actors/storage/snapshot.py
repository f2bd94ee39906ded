"""A snapshot of the game's tables, read page by page beside a live server.

One read-only transaction sees the world as it was at one moment, however long the reading takes
and whatever the server commits meanwhile. It takes no lock that anybody would wait for.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from actors.storage.moment import one_moment

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.database.driver import Connection
    from actors.storage.operations import Row

NIL_ID: Final = "00000000-0000-0000-0000-000000000000"
"""Before every account and transfer."""

LAST_ID: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"
"""After every account and transfer."""

# Each page is found by its keys. Left to itself the planner would rather read all the transfers of
# a large world for each.
_BY_KEYS = """
set local enable_seqscan = off;
set local enable_hashjoin = off;
set local enable_mergejoin = off;
set local jit = off
"""

_COUNT = "select count(*) from inventories"

_INVENTORIES = """
select account_id, ledger_seq, state from inventories
where account_id > $1::uuid order by account_id limit $2
"""

_INVENTORY = "select account_id, ledger_seq, state from inventories where account_id = $1::uuid"

_ENTRIES = """
select l.account_id, l.seq, l.cause, l.transfer_id, l.changes,
       t.sender, t.receiver, t.state, t.resources, t.ruleset, t.sent_ms
from (
    select account_id, seq, cause, transfer_id, changes from ledger
    where (account_id, seq) > ($1::uuid, $2::bigint) and account_id <= $3::uuid
    order by account_id, seq limit $4
) as l
left join transfers as t on t.transfer_id = l.transfer_id
order by l.account_id, l.seq
"""

_TRANSFERS = """
select t.transfer_id, t.state, t.resources,
       exists (select from inventories where account_id = t.sender) as sender_here,
       exists (select from inventories where account_id = t.receiver) as receiver_here
from (
    select transfer_id, sender, receiver, state, resources from transfers
    where transfer_id > $1::uuid order by transfer_id limit $2
) as t
order by t.transfer_id
"""

_PAGE_TIMEOUT_S = 60.0

_HISTORY = "select version, from_ms, renamed from ruleset_history order by seq"


class Snapshot:
    """The tables at one moment; made by `open_snapshot`. Pages are ordered by key."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def count(self) -> int:
        """Count the inventories."""
        [row] = await self._fetch(_COUNT)
        return int(row["count"])

    async def history(self) -> list[Row]:
        """Return the rules that the world has run under, oldest first."""
        return await self._fetch(_HISTORY)

    async def inventory(self, account_id: str) -> list[Row]:
        """Return one account's inventory, if it has one."""
        return await self._fetch(_INVENTORY, account_id)

    async def inventories(self, after: str, limit: int) -> list[Row]:
        """Return inventories with an account above ``after``."""
        return await self._fetch(_INVENTORIES, after, limit)

    async def entries(self, after: tuple[str, int], upto: str, limit: int) -> list[Row]:
        """Return ledger entries above an account and sequence, of accounts up to ``upto``.

        A transfer's entries come with its sender, receiver, state and resources, and the rules
        and the moment of its sending.
        """
        return await self._fetch(_ENTRIES, *after, upto, limit)

    async def transfers(self, after: str, limit: int) -> list[Row]:
        """Return transfers above ``after``, and whether sender and receiver have inventories."""
        return await self._fetch(_TRANSFERS, after, limit)

    async def _fetch(self, sql: str, *arguments: object) -> list[Row]:
        records = await self._connection.run(
            lambda session: session.fetch(sql, *arguments), timeout_s=_PAGE_TIMEOUT_S
        )
        return [dict(record) for record in records]


@asynccontextmanager
async def open_snapshot(connection: Connection) -> AsyncGenerator[Snapshot]:
    """Take a snapshot for the length of the block, which has ``connection`` to itself meanwhile.

    Raises:
        DatabaseError: the database is away or fails, here or in any of the snapshot's methods.
    """
    async with one_moment(connection):
        await connection.run(lambda session: session.execute(_BY_KEYS))
        yield Snapshot(connection)
