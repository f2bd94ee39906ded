"""What operators see."""

from __future__ import annotations

from datetime import datetime

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


class GrantRecord(msgspec.Struct, frozen=True):
    """A grant that was made, with the balances after it."""

    id: str
    account_id: str
    changes: dict[str, Change]
    reason: str
    operator: str
    at: datetime
