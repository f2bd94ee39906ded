"""The SQL of resetting an account's password on its owner's behalf."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors.authx.account_store import find_account
from actors.authx.audit_store import announce

if TYPE_CHECKING:
    from actors.authx.audit_store import AuditEntry
    from actors.authx.messages import Account
    from actors.database.session import Script, Session

_RESET: Final = """
update accounts set password_hash = $2, must_change_password = true where username_key = $1
"""
_END_SESSIONS: Final = "delete from sessions where account_id = $1"


def reset_password(username_key: str, *, new_hash: str, audit: AuditEntry) -> Script[Account]:
    """Give an account a one-time password, end its sessions, and announce it.

    The script raises `UnknownAccount`.
    """

    async def script(session: Session) -> Account:
        async with session.transaction():
            await session.execute(_RESET, username_key, new_hash)
            account = await find_account(username_key)(session)
            await session.execute(_END_SESSIONS, account.account_id)
            await announce(session, audit, account.account_id)
        return account

    return script
