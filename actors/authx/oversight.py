"""Authx's service to operators: find accounts, view them, suspend them, end their sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, assert_never

from uuid_utils import uuid7

from actors.authx import account_store, audit_store, messages
from actors.authx.operator import suspension_audit
from actors.authx.usernames import fold_username

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from actors.authx.connections import Connections
    from actors.authx.memory import Memory

OversightMessage: TypeAlias = (
    messages.SearchAccounts
    | messages.SetSuspended
    | messages.GetAccountOverview
    | messages.RevokeSessions
    | messages.ReadAudit
)
"""Operators' requests."""


class Oversight:
    """Answers operators; callers must check that somebody is one."""

    def __init__(
        self,
        connections: Connections,
        memory: Memory,
        *,
        session_max_s: int | None,
        wall_clock: Callable[[], datetime],
        log: FilteringBoundLogger,
    ) -> None:
        self._connections = connections
        self._memory = memory
        self._session_max_s = session_max_s
        self._wall_clock = wall_clock
        self._log = log

    async def answer(self, message: OversightMessage) -> object:
        """Carry out a message, and return its answer.

        Raises the errors that it names, and `DatabaseError` if the database is away or fails.
        """
        match message:
            case messages.SearchAccounts():
                return await self.search_accounts(message)
            case messages.SetSuspended():
                return await self.set_suspended(message)
            case messages.GetAccountOverview():
                return await self.account_overview(message)
            case messages.RevokeSessions():
                return await self.revoke_sessions(message)
            case messages.ReadAudit():
                return await self.read_audit(message)
            case _ as unreachable:
                assert_never(unreachable)

    async def search_accounts(
        self, request: messages.SearchAccounts
    ) -> tuple[messages.Account, ...]:
        """Find accounts by name prefix."""
        prefix, after = (fold_username(text) for text in (request.query, request.after))
        script = account_store.search_accounts(prefix, after, request.limit)
        return tuple(await self._connections.run(script))

    async def set_suspended(self, request: messages.SetSuspended) -> messages.Account:
        """Suspend an account, which ends its sessions at once, or reinstate it."""
        audit = suspension_audit(
            suspended=request.suspended,
            now=self._wall_clock(),
            actor=request.operator,
            reason=request.reason,
        )
        script = account_store.set_suspended(
            account_id=request.account_id, suspended=request.suspended, audit=audit
        )
        try:
            return await self._connections.run(script)
        finally:
            self._memory.drop_account(request.account_id)

    async def account_overview(
        self, request: messages.GetAccountOverview
    ) -> messages.AccountOverview:
        """Read an operator's view of an account."""
        script = audit_store.account_overview(
            request.account_id, now=self._wall_clock(), session_max_s=self._session_max_s
        )
        return await self._connections.run(script)

    async def revoke_sessions(self, request: messages.RevokeSessions) -> int:
        """End one session or all; on return none of their tokens is valid any more."""
        ending = audit_store.Ending(
            audit_id=str(uuid7()),
            at=self._wall_clock(),
            operator=request.operator,
            reason=request.reason,
            account_id=request.account_id,
            session_id=request.session_id,
            session_max_s=self._session_max_s,
        )
        try:
            ended = await self._connections.run(audit_store.end_sessions(ending))
        finally:
            self._memory.drop_account(request.account_id)
        self._log.info("sessions_revoked", account_id=request.account_id, sessions=ended)
        return ended

    async def read_audit(self, request: messages.ReadAudit) -> tuple[messages.AuditRecord, ...]:
        """Read a page of the audit log."""
        return await self._connections.run(audit_store.read_audit(request.before, request.limit))
