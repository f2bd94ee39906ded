"""The SQL of accounts.

Each function returns a *script*: the work to do with a database session. The actor may run a
script twice in a row (a connection can be lost after the commit but before its answer): the script
recognizes its own earlier work and answers as it did the first time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec

from actors.authx.audit_store import announce, has_acted, notify, record
from actors.authx.directory import NamedAccount
from actors.authx.errors import InvalidCredentials, UnknownAccount, UsernameTaken
from actors.authx.messages import Account

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from actors.authx.audit_store import AuditEntry
    from actors.authx.usernames import Username
    from actors.database.session import Record, Script, Session

_INSERT = """
insert into accounts
    (account_id, username, username_key, password_hash, role, created_at, must_change_password)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict do nothing
"""

_BY_ID = """
select account_id, username, role, suspended_at, created_at, must_change_password
from accounts where account_id = $1
"""

_BY_USERNAME = """
select account_id, username, role, suspended_at, created_at, must_change_password
from accounts where username_key = $1
"""

_BY_USERNAMES = """
select account_id, username, username_key, role, suspended_at, created_at, must_change_password
from accounts where username_key = any($1::text[])
"""

_ABOVE = """
select account_id, username, role, suspended_at, created_at, must_change_password
from accounts where account_id > $1
order by account_id limit $2
"""

_ADMINS = """
select account_id, username, role, suspended_at, created_at, must_change_password
from accounts where role = 'admin' and suspended_at is null
order by created_at, account_id
"""

_SEARCH = """
select account_id, username, role, suspended_at, created_at, must_change_password
from accounts
where username_key ~>=~ $1 and username_key ~<~ $2 and username_key ~>~ $3
order by username_key using ~<~ limit $4
"""

_LAST_CHARACTER = "\U0010ffff"

_CREDENTIALS_BY_ID = """
select account_id, password_hash, suspended_at, must_change_password from accounts
where account_id = $1
"""

_CREDENTIALS_BY_USERNAME = """
select account_id, password_hash, suspended_at, must_change_password from accounts
where username_key = $1
"""

_REPLACE_HASH = """
update accounts set password_hash = $2, must_change_password = false
where account_id = $1 and password_hash in ($2, $3)
returning account_id
"""

_END_OTHER_SESSIONS = "delete from sessions where account_id = $1 and session_id <> $2"

_ERASE = "delete from accounts where account_id = $1 and password_hash = $2"

_ERASE_KNOWN = """
delete from accounts where account_id = $1
returning account_id, username, role, suspended_at, created_at, must_change_password
"""

_SET_ROLE = """
update accounts set role = $2 where username_key = $1
returning account_id, username, role, suspended_at, created_at, must_change_password
"""

_SET_SUSPENDED = """
update accounts set suspended_at = case when $3 then coalesce(suspended_at, $4) end
where username_key = $1 or account_id = $2
returning account_id, username, role, suspended_at, created_at, must_change_password
"""

_END_SESSIONS = "delete from sessions where account_id = $1"


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to create; its id is new, which distinguishes this attempt from any other."""

    account_id: str
    username: Username
    password_hash: str = field(repr=False)
    role: str
    created_at: datetime
    must_change_password: bool = False


@dataclass(frozen=True, slots=True)
class Credentials:
    """The data that a password is checked against."""

    account_id: str
    password_hash: str = field(repr=False)
    suspended: bool
    must_change_password: bool = False


def insert_account(new: NewAccount, *, audit: AuditEntry | None = None) -> Script[Account]:
    """Create an account, and announce it if audited; the script raises `UsernameTaken`."""

    async def script(session: Session) -> Account:
        async with session.transaction():
            await session.execute(
                _INSERT,
                new.account_id,
                new.username.shown,
                new.username.key,
                new.password_hash,
                new.role,
                new.created_at,
                new.must_change_password,
            )
            row = await session.fetchrow(_BY_ID, new.account_id)
            if row is None:
                raise UsernameTaken
            if audit is not None:
                await announce(session, audit, new.account_id)
        return _account(row)

    return script


def get_account(account_id: str) -> Script[Account]:
    """Read an account by its id; the script raises `UnknownAccount`."""

    async def script(session: Session) -> Account:
        return _known(await session.fetchrow(_BY_ID, account_id))

    return script


def find_account(username_key: str) -> Script[Account]:
    """Read an account by its username's key; the script raises `UnknownAccount`."""

    async def script(session: Session) -> Account:
        return _known(await session.fetchrow(_BY_USERNAME, username_key))

    return script


def find_accounts(username_keys: Sequence[str]) -> Script[list[NamedAccount]]:
    """Read which of the given usernames' keys are taken, with their accounts."""

    async def script(session: Session) -> list[NamedAccount]:
        rows = await session.fetch(_BY_USERNAMES, list(username_keys))
        return [NamedAccount(row["username_key"], _account(row)) for row in rows]

    return script


def list_accounts(after: str, limit: int) -> Script[list[Account]]:
    """Read accounts with an id above ``after``, in order: ids begin with the time of creation."""

    async def script(session: Session) -> list[Account]:
        return [_account(row) for row in await session.fetch(_ABOVE, after, limit)]

    return script


def list_admins() -> Script[list[Account]]:
    """Read the admins that are not suspended, in order of creation."""

    async def script(session: Session) -> list[Account]:
        return [_account(row) for row in await session.fetch(_ADMINS)]

    return script


def get_credentials(account_id: str) -> Script[Credentials | None]:
    """Read what the password of somebody already logged in is checked against."""

    async def script(session: Session) -> Credentials | None:
        return _credentials(await session.fetchrow(_CREDENTIALS_BY_ID, account_id))

    return script


def find_credentials(username_key: str) -> Script[Credentials | None]:
    """Read what a login is checked against."""

    async def script(session: Session) -> Credentials | None:
        return _credentials(await session.fetchrow(_CREDENTIALS_BY_USERNAME, username_key))

    return script


def replace_password(
    account_id: str, *, session_id: str, verified_hash: str, new_hash: str
) -> Script[None]:
    """Replace a password hash, end every session but one, and announce it.

    It is announced even to the server that does it, which may have given up before it happens. The
    script raises `InvalidCredentials` if the verified hash was replaced meanwhile.
    """

    async def script(session: Session) -> None:
        async with session.transaction():
            found = await session.fetchval(_REPLACE_HASH, account_id, new_hash, verified_hash)
            if found is None:
                raise InvalidCredentials
            await session.execute(_END_OTHER_SESSIONS, account_id, session_id)
            await notify(session, account_id)

    return script


async def erase_verified(
    session: Session, account_id: str, verified_hash: str, *, audit: AuditEntry
) -> None:
    """Remove an account in the caller's transaction, and announce it.

    The schema's cascades go with it. An operator who has acted leaves this entry under their own
    name: the name is free from then on, and entries under it before this one are theirs.

    Raises:
        InvalidCredentials: the verified hash was replaced meanwhile.
    """
    account = await session.fetchrow(_BY_ID, account_id)
    await session.execute(_ERASE, account_id, verified_hash)
    if await session.fetchrow(_BY_ID, account_id) is not None:
        raise InvalidCredentials
    if account is not None and await has_acted(session, account["username"], account_id):
        await record(session, replace(audit, actor=account["username"]), account_id)
    await notify(session, account_id)


async def erase_known(session: Session, account_id: str, *, audit: AuditEntry) -> Account:
    """Remove an account in the caller's transaction, and announce it; raises `UnknownAccount`.

    The entry's detail names an operator who has acted, as in `erase_verified`.
    """
    account = _known(await session.fetchrow(_ERASE_KNOWN, account_id))
    if await has_acted(session, account.username, account_id):
        detail = msgspec.json.encode({"operator": account.username}).decode()
        audit = replace(audit, detail=detail)
    await announce(session, audit, account_id)
    return account


def set_role(username_key: str, role: str, *, audit: AuditEntry) -> Script[Account]:
    """Give an account a role and announce it; the script raises `UnknownAccount`."""

    async def script(session: Session) -> Account:
        async with session.transaction():
            account = _known(await session.fetchrow(_SET_ROLE, username_key, role))
            await announce(session, audit, account.account_id)
        return account

    return script


def search_accounts(prefix: str, after: str, limit: int) -> Script[list[Account]]:
    """Find accounts whose username has this prefix, in the order of their names."""

    async def script(session: Session) -> list[Account]:
        rows = await session.fetch(_SEARCH, prefix, prefix + _LAST_CHARACTER, after, limit)
        return [_account(row) for row in rows]

    return script


def set_suspended(
    *,
    username_key: str | None = None,
    account_id: str | None = None,
    suspended: bool,
    audit: AuditEntry,
) -> Script[Account]:
    """Suspend an account and end its sessions, or reinstate it, and announce it.

    The account is identified by username or id. The script raises `UnknownAccount`.
    """

    async def script(session: Session) -> Account:
        async with session.transaction():
            row = await session.fetchrow(
                _SET_SUSPENDED, username_key, account_id, suspended, audit.at
            )
            account = _known(row)
            if suspended:
                await session.execute(_END_SESSIONS, account.account_id)
            await announce(session, audit, account.account_id)
        return account

    return script


def _known(row: Record | None) -> Account:
    if row is None:
        raise UnknownAccount
    return _account(row)


def _account(row: Record) -> Account:
    return Account(
        account_id=row["account_id"],
        username=row["username"],
        role=row["role"],
        suspended=row["suspended_at"] is not None,
        created_at=row["created_at"],
        must_change_password=row["must_change_password"],
    )


def _credentials(row: Record | None) -> Credentials | None:
    if row is None:
        return None
    return Credentials(
        account_id=row["account_id"],
        password_hash=row["password_hash"],
        suspended=row["suspended_at"] is not None,
        must_change_password=row["must_change_password"],
    )
