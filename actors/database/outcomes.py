"""What became of a transaction whose commit was under way when the connection was lost.

The id is taken inside the transaction, before its commit; afterwards any connection to the same
server can ask, as long as the server remembers: PostgreSQL keeps the status of at least the last
few million transactions (its manual, "Transaction ID and Snapshot Information Functions").
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actors.database.session import Session


class TransactionStatus(Enum):
    """What a transaction came to."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    IN_PROGRESS = "in progress"
    """Its backend has not noticed yet that its client is gone: ask again."""

    FORGOTTEN = "forgotten"
    """Too old, or of another server."""


async def current_transaction(session: Session) -> str:
    """Give the id of the open transaction, for `transaction_status`.

    Raises: as every method of `Session`.
    """
    xid: str = await session.fetchval("select pg_current_xact_id()::text")
    return xid


async def transaction_status(session: Session, xid: str) -> TransactionStatus:
    """Ask what became of the transaction ``xid``, an id given by `current_transaction`.

    Raises: as every method of `Session`; `StatementError` also for an id from the future.
    """
    status: str | None = await session.fetchval("select pg_xact_status($1::text::xid8)", xid)
    return TransactionStatus.FORGOTTEN if status is None else TransactionStatus(status)
