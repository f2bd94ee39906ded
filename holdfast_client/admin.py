"""What operators may do; the server's audit log records every change, with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast_client import operations, requests
from holdfast_client.pages import Pages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast_client.session import Session
    from holdfast_client.types import (
        AccountOverview,
        AccountRecord,
        AuditEntry,
        GrantRecord,
        Inventory,
        LedgerEntry,
        LiveSession,
    )


class Admin:
    """An operator's calls (`Session.admin`); each raises `Forbidden` for anybody else."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def accounts(self, prefix: str = "", *, page: int = 100) -> Pages[AccountRecord, str]:
        """Read the accounts whose names begin with ``prefix``, by name: an async iterator."""

        async def fetch(cursor: str) -> tuple[Sequence[AccountRecord], str | None]:
            query = requests.AccountsQuery(prefix, cursor, page)
            found = (await self._session.exchange(operations.SEARCH_ACCOUNTS, query=query)).value
            return found.accounts, found.next

        return Pages(fetch, "")

    async def inventory(self, account_id: str) -> Inventory:
        """Return what any account owns now.

        Raises:
            NotFound: ``unknown-account``.
        """
        return (await self._session.exchange(operations.ANY_INVENTORY, account_id)).value

    async def account(self, account_id: str) -> AccountOverview:
        """Return any account, with what is known of its sessions.

        Raises:
            NotFound: ``unknown-account``.
        """
        return (await self._session.exchange(operations.ANY_ACCOUNT, account_id)).value

    def ledger(
        self, account_id: str, *, after: int = 0, page: int = 100
    ) -> Pages[LedgerEntry, int]:
        """Read any account's ledger, oldest first: an async iterator."""

        async def fetch(cursor: int) -> tuple[Sequence[LedgerEntry], int | None]:
            query = requests.LedgerQuery(cursor, page)
            answer = await self._session.exchange(operations.ANY_LEDGER, account_id, query=query)
            return answer.value.entries, answer.value.next

        return Pages(fetch, after)

    async def sessions(self, account_id: str) -> Sequence[LiveSession]:
        """Return any account's open sessions, newest first.

        Raises:
            NotFound: ``unknown-account``.
        """
        return (await self._session.exchange(operations.ANY_SESSIONS, account_id)).value.sessions

    async def end_sessions(
        self, account_id: str, reason: str, *, session_id: str | None = None
    ) -> int:
        """End every session of an account at once, or only one; return how many there were.

        Raises:
            NotFound: ``unknown-account``.
        """
        body = requests.ReasonBody(reason)
        if session_id is None:
            which = self._session.exchange(operations.END_ANY_SESSIONS, account_id, body=body)
        else:
            which = self._session.exchange(
                operations.END_ANY_SESSION, account_id, session_id, body=body
            )
        return (await which).value.ended

    def audit(self, *, page: int = 100) -> Pages[AuditEntry, str]:
        """Read what operators did, newest first: an async iterator."""

        async def fetch(cursor: str) -> tuple[Sequence[AuditEntry], str | None]:
            query = requests.AuditQuery(cursor, page)
            found = (await self._session.exchange(operations.AUDIT, query=query)).value
            return found.entries, found.next

        return Pages(fetch, "")

    async def grant(
        self, account_id: str, changes: Mapping[str, int], reason: str, *, key: str | None = None
    ) -> GrantRecord:
        """Change an account's assets by these amounts, together or not at all.

        Raises:
            NotFound: ``unknown-account``, ``unknown-asset``.
            Refused: ``insufficient-resources``.
        """
        body = requests.GrantBody(changes, reason)
        answer = await self._session.exchange(operations.GRANT, account_id, body=body, key=key)
        return answer.value

    async def suspend(self, account_id: str, reason: str) -> AccountRecord:
        """End an account's sessions, refuse its logins, and stop its world."""
        body = requests.ReasonBody(reason)
        return (await self._session.exchange(operations.SUSPEND, account_id, body=body)).value

    async def resume(self, account_id: str, reason: str) -> AccountRecord:
        """Let a suspended account log in again."""
        body = requests.ReasonBody(reason)
        return (await self._session.exchange(operations.RESUME, account_id, body=body)).value
