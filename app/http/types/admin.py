"""What operators see and do."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from app.http.types.ids import Id
from app.http.types.inventory import INTEGER_MAX, AssetName, Change
from app.http.types.times import Time

Reason = Annotated[str, Meta(min_length=1, max_length=500)]


class AccountsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Accounts whose username begins with ``query``; ``after`` is the ``next`` of a page."""

    query: Annotated[str, Meta(max_length=200)] = ""
    after: Annotated[str, Meta(max_length=200)] = ""
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class AccountRecord(msgspec.Struct, frozen=True):
    """An account as an operator sees it."""

    account_id: Id
    username: str
    role: str
    suspended: bool
    created_at: Time


class AccountOverviewDetails(msgspec.Struct, frozen=True):
    """An account with a summary of its sessions.

    ``sessions`` counts the live ones; ``last_seen_at`` is the latest login or refresh of one.
    """

    account_id: Id
    username: str
    role: str
    suspended: bool
    created_at: Time
    must_change_password: bool
    sessions: int
    last_seen_at: Time | None


class EndedSessions(msgspec.Struct, frozen=True):
    """How many live sessions were ended."""

    ended: int


class AccountPage(msgspec.Struct, frozen=True):
    """A page of accounts by name; ``next`` is the ``after`` of the next page, null at the end."""

    accounts: list[AccountRecord]
    next: str | None


class ReasonRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The reason, which is kept in the audit log."""

    reason: Reason


class GrantRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By how much each asset changes, and why; either all changes are made or none."""

    changes: Annotated[
        dict[AssetName, Annotated[int, Meta(ge=-INTEGER_MAX, le=INTEGER_MAX)]],
        Meta(min_length=1, max_length=200),
    ]
    reason: Reason


class GrantDetails(msgspec.Struct, frozen=True):
    """A completed grant, with the balances after it."""

    id: Id
    account_id: Id
    changes: dict[str, Change]
    reason: str
    operator: str
    at: Time
