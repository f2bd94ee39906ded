"""An operator's actions on accounts from the command line, with or without a live server.

Plain functions on a database connection. Each change is recorded in table ``audit`` and announced
to a live server in the same transaction; the server forgets what it has cached of the account.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from uuid_utils import uuid7

from actors.authx import account_store, new_world, password_reset
from actors.authx.account_store import NewAccount
from actors.authx.audit_store import ACCOUNT_ERASED, AuditEntry
from actors.authx.erasure import erase_in_pieces
from actors.authx.usernames import parse_new_username, parse_username

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import Literal, TypeAlias

    from actors.authx.messages import Account
    from actors.authx.new_world import EndedWorld
    from actors.authx.passwords import Passwords
    from actors.database.driver import Connection

    Role: TypeAlias = Literal["player", "admin"]

_TIMEOUT_S = 10.0
_ERASURE_TIMEOUT_S = 60.0  # for each of its pieces
_WORLD_TIMEOUT_S = 60.0  # others may be reading its tables, for a while
_COMMAND_LINE = "command line"


async def create_account(
    connection: Connection,
    passwords: Passwords,
    username: str,
    password: str,
    *,
    role: Role = "player",
    one_time: bool = False,
    now: datetime,
) -> Account:
    """Create an account with a role; a ``one_time`` password must be changed first of all.

    Raises:
        InvalidUsername: the username breaks the rules.
        InvalidPassword: the password is too short or too long.
        UsernameTaken: another account has this username.
        DatabaseError: the database is away or fails.
    """
    parsed = parse_new_username(username)
    passwords.check(password)
    with passwords.reserve() as slot:
        password_hash = await slot.hash(password)
    new = NewAccount(str(uuid7()), parsed, password_hash, role, now, must_change_password=one_time)
    audit = _audit("account-created", now, role=role)
    script = account_store.insert_account(new, audit=audit)
    return await connection.run(script, timeout_s=_TIMEOUT_S)


async def find_admins(connection: Connection) -> list[Account]:
    """List the admins who may log in, oldest first; raises `DatabaseError`."""
    return await connection.run(account_store.list_admins(), timeout_s=_TIMEOUT_S)


async def set_role(connection: Connection, username: str, role: Role, *, now: datetime) -> Account:
    """Give an account a role, effective at once in its open sessions.

    Raises:
        UnknownAccount: nobody has this username.
        InvalidUsername: nobody can have it.
        DatabaseError: the database is away or fails.
    """
    parsed = parse_username(username)
    audit = _audit("role-set", now, role=role)
    script = account_store.set_role(parsed.key, role, audit=audit)
    return await connection.run(script, timeout_s=_TIMEOUT_S)


async def reset_password(
    connection: Connection, passwords: Passwords, username: str, password: str, *, now: datetime
) -> Account:
    """Give an account a password that must be changed at the next login, and end its sessions.

    Raises:
        InvalidPassword: the password is too short or too long.
        UnknownAccount, InvalidUsername, DatabaseError: as `set_role`.
    """
    parsed = parse_username(username)
    passwords.check(password)
    with passwords.reserve() as slot:
        new_hash = await slot.hash(password)
    audit = _audit("password-reset", now)
    script = password_reset.reset_password(parsed.key, new_hash=new_hash, audit=audit)
    return await connection.run(script, timeout_s=_TIMEOUT_S)


async def set_suspended(
    connection: Connection, username: str, *, suspended: bool, now: datetime
) -> Account:
    """Suspend an account, which ends its sessions, or let it log in again.

    Raises: as `set_role`.
    """
    parsed = parse_username(username)
    audit = suspension_audit(suspended=suspended, now=now)
    script = account_store.set_suspended(username_key=parsed.key, suspended=suspended, audit=audit)
    return await connection.run(script, timeout_s=_TIMEOUT_S)


async def find_account(connection: Connection, username: str) -> Account:
    """Read an account; raises as `set_role`."""
    script = account_store.find_account(parse_username(username).key)
    return await connection.run(script, timeout_s=_TIMEOUT_S)


async def erase_account(
    connection: Connection,
    account_id: str,
    *,
    now: datetime,
    waiting: Callable[[], None] = lambda: None,
) -> Account:
    """Remove an account and everything that it owns, for good; return what it was.

    The audit log keeps its id but not its name, except for an operator who has acted. A large
    account takes a while; cancelled meanwhile it removes nothing. While another account is being
    erased this waits, and calls ``waiting``.

    Raises:
        UnknownAccount: there is no such account.
        DatabaseError: the database is away or fails.
    """
    audit = _audit(ACCOUNT_ERASED, now)
    return await erase_in_pieces(
        connection, account_id, audit=audit, timeout_s=_ERASURE_TIMEOUT_S, waiting=waiting
    )


async def end_world(connection: Connection, *, now: datetime) -> EndedWorld | None:
    """Remove everything that belongs to a world but its accounts, for good; see `new_world`.

    The caller must hold the server's lock, so that no server continues the world. Cancelled or
    failed, it removes nothing, unless the connection is lost around the commit.

    Raises:
        TransientError: others, such as a backup, are reading its tables; nothing was removed.
        DatabaseError: the database is away or fails.
    """
    audit = _audit(new_world.WORLD_RESET, now)
    return await connection.run(new_world.end_world(audit), timeout_s=_WORLD_TIMEOUT_S)


async def list_accounts(connection: Connection, after: str, limit: int) -> list[Account]:
    """List accounts with an id above ``after``, oldest first; raises `DatabaseError`."""
    return await connection.run(account_store.list_accounts(after, limit), timeout_s=_TIMEOUT_S)


def suspension_audit(
    *, suspended: bool, now: datetime, actor: str = _COMMAND_LINE, reason: str = ""
) -> AuditEntry:
    """Make the audit entry of a suspension or its end."""
    action = "account-suspended" if suspended else "account-unsuspended"
    return _audit(action, now, actor, reason)


def _audit(
    action: str, now: datetime, actor: str = _COMMAND_LINE, reason: str = "", **detail: str
) -> AuditEntry:
    return AuditEntry(
        audit_id=str(uuid7()),
        at=now,
        actor=actor,
        action=action,
        reason=reason,
        detail=msgspec.json.encode(detail).decode(),
    )
