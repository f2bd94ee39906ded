"""What operators see."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from holdfast_client.types.inventory import Change


class AccountRecord(msgspec.Struct, frozen=True):
    """An account as an operator sees it."""

    account_id: str
    username: str
    role: str
    suspended: bool
    created_at: datetime


class AccountPage(msgspec.Struct, frozen=True):
    """A page of accounts by name; ``next`` is the ``after`` of the next page, None at the end."""

    accounts: list[AccountRecord]
    next: str | None


class AccountOverview(msgspec.Struct, frozen=True):
    """An account with what is known of its sessions; ``sessions`` counts the live ones."""

    account_id: str
    username: str
    role: str
    suspended: bool
    created_at: datetime
    must_change_password: bool
    sessions: int
    last_seen_at: datetime | None


class EndedSessions(msgspec.Struct, frozen=True):
    """How many live sessions were ended."""

    ended: int


class AuditEntry(msgspec.Struct, frozen=True):
    """What an operator did, and why; ``username`` is None if the account is gone."""

    audit_id: str
    at: datetime
    actor: str
    action: str
    account_id: str
    username: str | None
    reason: str
    detail: dict[str, Any]


class AuditPage(msgspec.Struct, frozen=True):
    """A page of the audit log, newest first; ``next`` is the ``before`` of the next page."""

    entries: list[AuditEntry]
    next: str | None


class GrantRecord(msgspec.Struct, frozen=True):
    """A completed grant, with the balances after it."""

    id: str
    account_id: str
    changes: dict[str, Change]
    reason: str
    operator: str
    at: datetime
