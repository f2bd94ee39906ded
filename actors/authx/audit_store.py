"""The SQL of the audit log, and of what operators inspect and end.

Scripts as in `account_store`: each may be run twice in a row and answers as it did at first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from actors.authx.errors import UnknownAccount
from actors.authx.lifetimes import ends_at
from actors.authx.listener import ACCOUNTS_CHANNEL
from actors.authx.messages import AccountOverview, AuditRecord

if TYPE_CHECKING:
    from datetime import datetime

    from actors.database.session import Record, Script, Session

SESSIONS_ENDED = "sessions-ended"
"""The action of an operator who ended an account's sessions."""

ACCOUNT_ERASED = "account-erased"
"""The action of an operator who erased an account, be it their own."""

# An attempt whose answer was lost has already written its entry, under the same id.
_RECORD = """
insert into audit (audit_id, at, actor, action, subject, reason, detail)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (audit_id) do nothing
"""

_DETAIL = "select detail from audit where audit_id = $1"

# Ids begin with the time: entries older than the account belong to an earlier holder of the name.
_HAS_ACTED = "select exists (select from audit where actor = $1 and audit_id > $2)"

_PAGE = """
select u.audit_id, u.at, u.actor, u.action, u.subject, u.reason, u.detail, a.username
from (
    select * from audit where $1::uuid is null or audit_id < $1::uuid
    order by audit_id desc limit $2
) as u
left join accounts as a
    on a.account_id = case when u.subject ~ '^[0-9a-f-]{36}$' then u.subject::uuid end
order by u.audit_id desc
"""

_OVERVIEW = f"""
select a.account_id, a.username, a.role, a.suspended_at, a.created_at, a.must_change_password,
    (select count(*) from sessions as s where s.account_id = a.account_id
        and {ends_at("$3", "s")} > $2) as sessions,
    (select max(s.refreshed_at) from sessions as s where s.account_id = a.account_id)
        as last_seen_at
from accounts as a where a.account_id = $1
"""  # noqa: S608 - put together of constants alone

_LOCK_ACCOUNT = "select account_id from accounts where account_id = $1 for share"

_END_LIVE = f"""
with ended as (
    delete from sessions
    where account_id = $1 and ($2::uuid is null or session_id = $2::uuid)
    returning {ends_at("$4")} as ends_at
)
select count(*) from ended where ends_at > $3
"""  # noqa: S608 - put together of constants alone

_NOTIFY = "select pg_notify($1, $2)"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An operator's action, for the record; ``detail`` is JSON text."""

    audit_id: str
    at: datetime
    actor: str
    action: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of one or all of an account's sessions, on an operator's request."""

    audit_id: str
    at: datetime
    operator: str
    reason: str
    account_id: str
    session_id: str | None
    session_max_s: int | None = None


class _SessionsEnded(msgspec.Struct, frozen=True, omit_defaults=True):
    """The detail of an entry about sessions that were ended."""

    sessions: int
    session_id: str | None = None


async def record(session: Session, entry: AuditEntry, subject: str) -> None:
    """Write an entry about ``subject``, an account or a world, in the caller's transaction."""
    await session.execute(
        _RECORD,
        entry.audit_id,
        entry.at,
        entry.actor,
        entry.action,
        subject,
        entry.reason,
        entry.detail,
    )


async def announce(session: Session, entry: AuditEntry, subject: str) -> None:
    """Write an entry, and tell a live server that the account has changed."""
    await record(session, entry, subject)
    await notify(session, subject)


async def has_acted(session: Session, username: str, account_id: str) -> bool:
    """Whether the log has entries by the holder of this account's username."""
    found: bool = await session.fetchval(_HAS_ACTED, username, account_id)
    return found


async def notify(session: Session, account_id: str) -> None:
    """Tell live servers to forget an account, once the caller's transaction is committed."""
    await session.execute(_NOTIFY, ACCOUNTS_CHANNEL, account_id)


def read_audit(before: str | None, limit: int) -> Script[tuple[AuditRecord, ...]]:
    """Read up to ``limit`` entries, newest first: those older than ``before``, or the latest."""

    async def script(session: Session) -> tuple[AuditRecord, ...]:
        return tuple(_audit_record(row) for row in await session.fetch(_PAGE, before, limit))

    return script


def account_overview(
    account_id: str, *, now: datetime, session_max_s: int | None = None
) -> Script[AccountOverview]:
    """Read an operator's view of an account; the script raises `UnknownAccount`."""

    async def script(session: Session) -> AccountOverview:
        row = await session.fetchrow(_OVERVIEW, account_id, now, session_max_s)
        if row is None:
            raise UnknownAccount
        return AccountOverview(
            account_id=row["account_id"],
            username=row["username"],
            role=row["role"],
            suspended=row["suspended_at"] is not None,
            created_at=row["created_at"],
            must_change_password=row["must_change_password"],
            sessions=row["sessions"],
            last_seen_at=row["last_seen_at"],
        )

    return script


def end_sessions(ending: Ending) -> Script[int]:
    """End sessions, record who did it and why, and return how many live ones there were.

    The script raises `UnknownAccount`.
    """

    async def script(session: Session) -> int:
        async with session.transaction():
            told = await session.fetchval(_DETAIL, ending.audit_id)
            if told is not None:
                return msgspec.json.decode(told, type=_SessionsEnded).sessions
            if await session.fetchval(_LOCK_ACCOUNT, ending.account_id) is None:
                raise UnknownAccount
            ended: int = await session.fetchval(
                _END_LIVE,
                ending.account_id,
                ending.session_id,
                ending.at,
                ending.session_max_s,
            )
            detail = msgspec.json.encode(_SessionsEnded(ended, ending.session_id)).decode()
            entry = AuditEntry(
                audit_id=ending.audit_id,
                at=ending.at,
                actor=ending.operator,
                action=SESSIONS_ENDED,
                reason=ending.reason,
                detail=detail,
            )
            await announce(session, entry, ending.account_id)
        return ended

    return script


def _audit_record(row: Record) -> AuditRecord:
    return AuditRecord(
        audit_id=row["audit_id"],
        at=row["at"],
        actor=row["actor"],
        action=row["action"],
        account_id=row["subject"],
        username=row["username"],
        reason=row["reason"],
        detail=row["detail"],
    )
