"""Sessions and their tokens."""

from __future__ import annotations

from typing import Literal

import msgspec

from app.http.types.ids import Id
from app.http.types.times import Time


class LoginRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A username in any spelling, and its password."""

    username: str
    password: str


class RefreshRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The refresh token of the session, usable once."""

    refresh_token: str


class SessionTokens(msgspec.Struct, frozen=True, omit_defaults=True):
    """A session's credentials; ``expires_in`` and ``refresh_expires_in`` are seconds.

    With ``must_change_password`` the password must be changed before anything else; the member is
    absent if false.
    """

    account_id: Id
    session_id: Id
    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    refresh_token: str
    refresh_expires_in: int
    must_change_password: bool = False


class SessionDetails(msgspec.Struct, frozen=True):
    """One live session; ``current`` marks the one making the request."""

    session_id: Id
    created_at: Time
    refreshed_at: Time
    expires_at: Time
    current: bool


class SessionList(msgspec.Struct, frozen=True):
    """The live sessions of an account, newest first."""

    sessions: list[SessionDetails]
