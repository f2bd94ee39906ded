"""The erasure of an account, whatever its size: settled records first, the account itself last.

What can be millions of rows is deleted before the account, in pieces if one statement would take
too long. Those rows are never written again, so a live server waits for none of them. The rows it
does write go with the account, whose inventory is locked from then on. If nothing was written
meanwhile, those are only what was left on purpose: unfinished orders, and transfers.

One account is erased at a time: two with transfers in common would wait for each other.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio

from actors.authx import account_store
from actors.database.errors import ConnectionLost, DatabaseError
from actors.database.locks import ERASURE_LOCK
from actors.storage.snapshot import NIL_ID
from bus import Overloaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from actors.authx.audit_store import AuditEntry
    from actors.authx.messages import Account
    from actors.database.driver import Connection
    from actors.database.session import Script, Session

PIECE_ROWS: Final = 20_000
_ALL_ROWS: Final = 2**31 - 1

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

_LAST_TRANSFER: Final = """
select transfer_id from (
    select transfer_id from transfers where {side} = $1 and transfer_id > $2
    order by transfer_id limit $3
) as piece
order by transfer_id desc limit 1
"""
_DELETE_TRANSFERS: Final = """
delete from transfers
where {side} = $1 and transfer_id > $2 and transfer_id <= $3 and state <> 'sent'
    and not exists (select from accounts where account_id = {other})
"""
_BLANK_TRANSFERS: Final = """
update transfers set {side}_name = '', note = ''
where {side} = $1 and transfer_id > $2 and transfer_id <= $3 and state <> 'sent'
    and ({side}_name <> '' or note <> '')
"""


def _keyed() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield the value before all keys, the query for a piece's last, and the work on the piece."""
    yield "", _LAST_KEY, (_DELETE_KEYS,)
    for side, other in (("sender", "receiver"), ("receiver", "sender")):
        found = _LAST_TRANSFER.format(side=side)
        done = (
            _DELETE_TRANSFERS.format(side=side, other=other),
            _BLANK_TRANSFERS.format(side=side),
        )
        yield NIL_ID, found, done


_KEYED: Final = tuple(_keyed())

_TAKE_TURN: Final = f"select pg_try_advisory_xact_lock({ERASURE_LOCK})"
_TURN_POLL_S: Final = 0.05

# Any write to what an account owns also changes its inventory's version.
_VERSION: Final = "select version from inventories where account_id = $1"
_LOCK_ACCOUNT: Final = "select account_id from accounts where account_id = $1 for update"
_LOCK_INVENTORY: Final = f"{_VERSION} for update"
_DELETE_PENDING: Final = """
delete from orders where account_id = $1 and state in ('queued', 'running')
"""
_SETTLED: Final = "select set_config('holdfast.settled', $1, true)"

_BY_KEYS: Final = "set local enable_seqscan = off"  # whatever the planner thinks of the tables


class Fetch(Protocol):
    """Runs a statement in the transaction of the erasure, and returns its first value."""

    async def __call__(self, sql: str, /, *arguments: object) -> Any:
        """Run it."""


async def erase_settled(fetch: Fetch, account_id: str, *, piece_rows: int) -> int | None:
    """Delete an account's rows that nobody writes any more, up to ``piece_rows`` a statement.

    Transfer records stay with the other side, if there is one, without name and note. Returns the
    version that the inventory had before; None if there was none.
    """
    version: int | None = await fetch(_VERSION, account_id)
    for last_sql, delete_sql in _NUMBERED:
        last = await fetch(last_sql, account_id)
        for after in range(0, last, piece_rows):
            await fetch(delete_sql, account_id, after, after + piece_rows)
    for before_all, last_sql, statements in _KEYED:
        key = before_all
        while (last_key := await fetch(last_sql, account_id, key, piece_rows)) is not None:
            for sql in statements:
                await fetch(sql, account_id, key, last_key)
            key = last_key
    return version


async def _lock(session: Session, account_id: str, version: int | None) -> None:
    """Lock an account whose inventory had this version before settled rows were deleted.

    If it still has it, there is nothing more to look for, and the account's deletion will not.
    """
    await session.execute(_LOCK_ACCOUNT, account_id)
    if await session.fetchval(_LOCK_INVENTORY, account_id) == version:
        await session.execute(_DELETE_PENDING, account_id)
        await session.execute(_SETTLED, account_id)


def erase_account(account_id: str, *, verified_hash: str, audit: AuditEntry) -> Script[None]:
    """Remove an account and everything that it owns, and announce it, at its owner's request.

    ``audit`` is for an operator's account, and gets its name: see `account_store.erase_verified`.
    The script raises `InvalidCredentials` if the verified hash was replaced meanwhile, and
    `Overloaded` at once while another account is being erased. If abandoned for its size, it has
    kept nobody else from their accounts or inventories, only from its connection.
    """

    async def script(session: Session) -> None:
        async with session.transaction():
            if not await session.fetchval(_TAKE_TURN):
                raise Overloaded("another account is being erased")
            await session.execute(_BY_KEYS)
            version = await erase_settled(session.fetchval, account_id, piece_rows=_ALL_ROWS)
            await _lock(session, account_id, version)
            await account_store.erase_verified(session, account_id, verified_hash, audit=audit)

    return script


async def erase_in_pieces(
    connection: Connection,
    account_id: str,
    *,
    audit: AuditEntry,
    piece_rows: int = PIECE_ROWS,
    timeout_s: float,
    waiting: Callable[[], None] = lambda: None,
) -> Account:
    """Remove an account and everything that it owns, and announce it; return what it was.

    ``timeout_s`` is for each statement. While another account is being erased this waits, calling
    ``waiting`` once. Cancelled before the last statement, which commits, it removes nothing; once
    it has removed the account it returns it, cancelled or not.

    Raises:
        UnknownAccount: there is no such account.
        ConnectionLost: with ``started`` only if it may have been removed all the same.
        DatabaseError: the database is away or fails.
    """

    async def fetch(sql: str, /, *arguments: object) -> Any:
        return await connection.run(
            lambda session: session.fetchval(sql, *arguments), timeout_s=timeout_s
        )

    async def finish(session: Session) -> Account:
        await _lock(session, account_id, version)
        return await account_store.erase_known(session, account_id, audit=audit)

    async def execute(sql: str) -> str:
        return await connection.run(lambda session: session.execute(sql), timeout_s=timeout_s)

    erased = committing = False
    try:
        await execute("begin")
        if not await fetch(_TAKE_TURN):
            waiting()
            while not await fetch(_TAKE_TURN):  # noqa: ASYNC110 - the other is of another process
                await trio.sleep(_TURN_POLL_S)
        await execute(_BY_KEYS)
        version = await erase_settled(fetch, account_id, piece_rows=piece_rows)
        account = await connection.run(finish, timeout_s=timeout_s)
        committing = True
        await execute("commit")
        erased = True
    except ConnectionLost as lost:
        lost.started = committing
        raise
    else:
        return account
    finally:
        if not erased:
            # A lost connection has rolled back already.
            with trio.CancelScope(shield=True), suppress(DatabaseError):
                await connection.run(lambda session: session.execute("rollback"))
