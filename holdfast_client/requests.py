"""The bodies and query strings that the client sends; members at their default are omitted."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Sent(msgspec.Struct, frozen=True, omit_defaults=True):
    """A body or a query string."""


class Credentials(Sent, frozen=True):
    """A username and its password."""

    username: str
    password: str


class RefreshBody(Sent, frozen=True):
    """The refresh token of a session."""

    refresh_token: str


class PasswordBody(Sent, frozen=True):
    """A password again, for what cannot be undone."""

    password: str


class PasswordChangeBody(Sent, frozen=True):
    """The current password and the new one."""

    current_password: str
    new_password: str


class OrderBody(Sent, frozen=True):
    """What to order; ``count`` of a unit."""

    asset: str
    count: int | None = None


class TransferBody(Sent, frozen=True):
    """The receiver, and how much of what to send."""

    to: str
    resources: Mapping[str, int]
    note: str = ""


class GrantBody(Sent, frozen=True):
    """By how much each asset changes, and why."""

    changes: Mapping[str, int]
    reason: str


class ReasonBody(Sent, frozen=True):
    """The reason."""

    reason: str


class ForecastQuery(Sent, frozen=True):
    """How far to look ahead."""

    seconds: int


class QuoteQuery(Sent, frozen=True):
    """How many units."""

    count: int | None = None


class LedgerQuery(Sent, frozen=True):
    """Which entries."""

    after: int
    limit: int


class TransfersQuery(Sent, frozen=True):
    """The transfers before another one."""

    before: str
    limit: int


class AccountsQuery(Sent, frozen=True):
    """Accounts by the beginning of their names."""

    query: str
    after: str
    limit: int


class AuditQuery(Sent, frozen=True):
    """The entries before another one."""

    before: str
    limit: int
