"""Accounts and their sessions; times are wall-clock times."""

from __future__ import annotations

from datetime import datetime

import msgspec


class RegisteredAccount(msgspec.Struct, frozen=True):
    """A new account."""

    account_id: str
    username: str
    created_at: datetime


class Account(msgspec.Struct, frozen=True):
    """The caller's account; ``role`` is ``player`` or ``admin``.

    With ``must_change_password``, the password must be changed before anything else.
    """

    account_id: str
    username: str
    role: str
    created_at: datetime
    must_change_password: bool = False


class SessionTokens(msgspec.Struct, frozen=True):
    """A session's credentials, to be kept like a password; lifetimes are in seconds.

    The refresh token works once: to keep tokens over a restart, keep the latest. With
    ``must_change_password``, the password must be changed before anything else.
    """

    account_id: str
    session_id: str
    access_token: str
    expires_in: int
    refresh_token: str
    refresh_expires_in: int
    must_change_password: bool = False

    def __repr__(self) -> str:
        """Show whose session it is, but no secret."""
        return f"SessionTokens(account_id={self.account_id!r}, session_id={self.session_id!r})"


class LiveSession(msgspec.Struct, frozen=True):
    """An open session; ``current`` marks the caller's own."""

    session_id: str
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime
    current: bool


class SessionList(msgspec.Struct, frozen=True):
    """The open sessions of an account, newest first."""

    sessions: list[LiveSession]
