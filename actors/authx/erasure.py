"""The erasure of an account however much it owns: in pieces, and yet in one transaction.

What can be millions of rows goes first, a bounded number in each statement. Those rows are never
written again, so that a live server waits for none of them; what it does write goes last, with the
account itself.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import trio

from actors.authx import account_store
from actors.database.errors import DatabaseError

if TYPE_CHECKING:
    from actors.authx.audit_store import AuditEntry
    from actors.authx.messages import Account
    from actors.database.driver import Connection
    from actors.database.session import Session

PIECE_ROWS: Final = 20_000

_NUMBERED: Final = (
    (
        "select coalesce(max(seq), 0) from ledger where account_id = $1",
        "delete from ledger where account_id = $1 and seq > $2 and seq <= $3",
    ),
    (
        "select coalesce(max(seq), 0) from orders where account_id = $1",
        """
        delete from orders where account_id = $1 and seq > $2 and seq <= $3
            and state in ('completed', 'cancelled')
        """,
    ),
)
_LAST_KEY: Final = """
select max(key) from (
    select key from idempotency where account_id = $1 and key > $2 order by key limit $3
) as piece
"""
_DELETE_KEYS: Final = "delete from idempotency where account_id = $1 and key > $2 and key <= $3"

# By their keys, whatever the planner takes the tables for.
_BEGIN: Final = "begin; set local enable_seqscan = off"


async def erase_in_pieces(
    connection: Connection,
    account_id: str,
    *,
    audit: AuditEntry,
    piece_rows: int = PIECE_ROWS,
    timeout_s: float,
) -> Account:
    """Remove an account and everything that it owns, and announce it; give what it was.

    ``timeout_s`` is for each statement. Cancelled between two of them it removes nothing.

    Raises:
        UnknownAccount: there is no such account.
        DatabaseError: the database is away or fails.
    """

    async def fetch(sql: str, *arguments: object) -> Any:
        return await connection.run(
            lambda session: session.fetchval(sql, *arguments), timeout_s=timeout_s
        )

    async def finish(session: Session) -> Account:
        account = await account_store.erase_known(session, account_id, audit=audit)
        await session.execute("commit")
        return account

    await connection.run(lambda session: session.execute(_BEGIN), timeout_s=timeout_s)
    erased = False
    try:
        for last_sql, delete_sql in _NUMBERED:
            last = await fetch(last_sql, account_id)
            for after in range(0, last, piece_rows):
                await fetch(delete_sql, account_id, after, after + piece_rows)
        after_key = ""
        while (last_key := await fetch(_LAST_KEY, account_id, after_key, piece_rows)) is not None:
            await fetch(_DELETE_KEYS, account_id, after_key, last_key)
            after_key = last_key
        account = await connection.run(finish, timeout_s=timeout_s)
        erased = True
        return account
    finally:
        if not erased:
            # A connection that is gone has rolled back already.
            with trio.CancelScope(shield=True), suppress(DatabaseError):
                await connection.run(lambda session: session.execute("rollback"))
