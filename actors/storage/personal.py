"""All that is kept about one person, as plain data, at one moment.

It omits anything that would let somebody in (hashes of the password, of refresh tokens and of
requests), and details of how rows are stored.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import msgspec

from actors.storage.moment import one_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from actors.database.driver import Connection
    from actors.database.session import Record, Script, Session

Json: TypeAlias = dict[str, Any]
T = TypeVar("T")

_ACCOUNT: Final = """
select account_id, username, role, suspended_at, must_change_password, created_at
from accounts where username_key = $1
"""

# Each with the account's id as $1.
_SECTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "sessions": """
            select session_id, created_at, refreshed_at, expires_at from sessions
            where account_id = $1 order by created_at, session_id
        """,
        "inventory": """
            select at_ms, frozen_ms, ruleset, state as holdings from inventories
            where account_id = $1
        """,
        "orders": """
            select order_id, seq, asset, kind, queue, level, count, delivered, cost, refund,
                   duration_ms, state, placed_ms, starts_ms, finishes_ms
            from orders where account_id = $1 order by seq
        """,
        "ledger": """
            select seq, at_ms, cause, order_id, transfer_id, changes from ledger
            where account_id = $1 order by seq
        """,
        "transfers": """
            select transfer_id, sender_name, receiver_name, resources, note, state, sent_ms,
                   settled_ms
            from transfers where sender = $1 or receiver = $1 order by transfer_id
        """,
        "commands": """
            select key, response, at_ms from idempotency where account_id = $1 order by at_ms, key
        """,
        "audit": """
            select audit_id, at, actor, action, reason, detail from audit
            where subject = $1::uuid::text order by at, audit_id
        """,
    }
)

# An operator's actions are recorded under the operator's name, which an erased person may have had
# before. Ids begin with the time, and that person acted before this account was made.
_AUDIT_BY: Final = """
select audit_id, at, action, subject, reason, detail from audit
where actor = $1 and audit_id > $2 order by at, audit_id
"""

PAGE: Final = 1_000
SINGLE: Final = frozenset({"account", "inventory"})
"""The sections of at most one row."""

_DECLARE: Final = "declare {} no scroll cursor for {}"
# A text that the driver knows must have the same columns each time: each cursor has its own name.
_FETCH: Final = "fetch {} from {}"
_TIMEOUT_S: Final = 60.0  # for each page, or the sorting of all
_JSON: Final = frozenset(
    {"holdings", "cost", "refund", "resources", "changes", "response", "detail"}
)
_DURATIONS: Final = frozenset({"duration_ms"})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)


async def personal_data(
    connection: Connection,
    username_key: str,
    take: Callable[[str, Sequence[Json]], None],
    *,
    page: int = PAGE,
) -> bool:
    """Hand over what is kept on the account of a username (in its key form); False if none has it.

    ``take`` gets a section's name and ``page`` rows of it at most, section by section: an account
    may have millions. An empty section comes once, without rows; of `SINGLE` there is one row at
    most. ``connection`` is this one's alone meanwhile.

    Times of the world are aware datetimes like all others. The inventory's ``holdings`` give
    amounts in pairs: whole units, and grains (3,600,000 to the unit) beyond them. The ledger's
    ``changes`` are as stored: delta and balance, and a 1 if that filled the stock.

    Raises:
        DatabaseError: the database is away or fails.
    """

    async def run(script: Script[T]) -> T:
        return await connection.run(script, timeout_s=_TIMEOUT_S)

    async with one_moment(connection):
        account = await run(lambda session: session.fetchrow(_ACCOUNT, username_key))
        if account is None:
            return False
        take("account", [_plain(account)])
        account_id = account["account_id"]
        sections: dict[str, tuple[Any, ...]] = {
            name: (sql, account_id) for name, sql in _SECTIONS.items()
        }
        sections["audit_by"] = (_AUDIT_BY, account["username"], account_id)
        for name, query in sections.items():
            await run(_opening(name, *query))
            rows = await run(_fetching(name, page))
            take(name, rows)
            while len(rows) == page:
                rows = await run(_fetching(name, page))
                if rows:
                    take(name, rows)
    return True


def _opening(name: str, sql: str, *arguments: object) -> Script[str]:
    return lambda session: session.execute(_DECLARE.format(name, sql), *arguments)


def _fetching(name: str, page: int) -> Script[list[Json]]:
    async def script(session: Session) -> list[Json]:
        return [_plain(row) for row in await session.fetch(_FETCH.format(page, name))]

    return script


def _plain(row: Record) -> Json:
    """Convert a row to plain data: JSON to its content, world time to a datetime."""
    told: Json = {}
    for name, value in row.items():
        if name in _JSON:
            told[name] = msgspec.json.decode(value)
        elif name.endswith("_ms") and name not in _DURATIONS:
            told[_renamed(name)] = _world_time(value)
        else:
            told[name] = value
    return told


def _renamed(name: str) -> str:
    """Drop the unit from a time's name: ``at_ms`` becomes ``at``, ``sent_ms`` ``sent_at``."""
    stem = name.removesuffix("_ms")
    return stem if stem == "at" else f"{stem}_at"


def _world_time(ms: int | None) -> datetime | None:
    return None if ms is None else _EPOCH + timedelta(milliseconds=min(ms, _LAST_MS))
