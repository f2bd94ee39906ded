"""All that Authx caches of accounts, and what must be forgotten together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actors.authx.directory import AccountCache
    from actors.authx.sessions import SessionCache


@dataclass(frozen=True, slots=True)
class Memory:
    """The cached sessions and accounts; valid only while listening."""

    sessions: SessionCache
    accounts: AccountCache

    def drop_session(self, session_id: str) -> None:
        """Forget a session that has ended."""
        self.sessions.drop(session_id)

    def drop_account(self, account_id: str) -> None:
        """Forget an account that has changed, with its sessions."""
        self.accounts.drop_account(account_id)
        self.sessions.drop_account(account_id)

    def clear(self) -> None:
        """Forget everything."""
        self.accounts.clear()
        self.sessions.clear()
