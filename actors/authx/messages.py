"""Authx's requests and answers: a closed union, sent on topic ``auth``."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 - read at run time by schema generation
from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003 - read at run time by schema generation
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Account:
    """An account as its owner and an operator see it."""

    account_id: str
    username: str
    role: str
    suspended: bool
    created_at: datetime
    must_change_password: bool = False


@dataclass(frozen=True, slots=True)
class AccountOverview:
    """An account as an operator sees it.

    ``sessions`` counts the live ones; ``last_seen_at`` is the latest login or refresh that is
    still known.
    """

    account_id: str
    username: str
    role: str
    suspended: bool
    created_at: datetime
    must_change_password: bool
    sessions: int
    last_seen_at: datetime | None


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """An operator's action on an account, who and why; ``detail`` is JSON text.

    ``username`` is None if the account is gone. For the end of a world,
    ``account_id`` is the world's id.
    """

    audit_id: str
    at: datetime
    actor: str
    action: str
    account_id: str
    username: str | None
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """A session's credentials, as issued at login and at each refresh.

    With ``must_change_password`` they are good for little else: see `Identity`.
    """

    account_id: str
    session_id: str
    access_token: str
    expires_in: int
    refresh_token: str
    refresh_expires_in: int
    must_change_password: bool = False


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """One live session in the list that its owner sees."""

    session_id: str
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity behind a verified token.

    With ``must_change_password`` somebody else chose the account's password: a server of the
    token lets its holder choose another, and nothing more.
    """

    account_id: str
    session_id: str
    role: str
    username: str
    must_change_password: bool = False


@dataclass(frozen=True, slots=True)
class Register:
    """Create an account; answers `Account`.

    Raises `UsernameTaken`, `InvalidUsername`, `InvalidPassword`, `TooManyAttempts` or
    `RegistrationClosed`. ``address`` is as in `Login`.
    """

    username: str
    password: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class Login:
    """Open a session; answers `Tokens`, or raises `InvalidCredentials` or `TooManyAttempts`.

    ``address``, here and in every message with a password, is where the attempt comes from, at
    the granularity of the limits per address; empty if no such limit applies. ``client`` is the
    address itself, for the log.
    """

    username: str
    password: str
    address: str = ""
    client: str = ""


@dataclass(frozen=True, slots=True)
class Refresh:
    """Rotate a session's tokens; answers `Tokens`, or raises `InvalidToken`.

    Sent again with the same ``idempotency_key``, it is answered with the same next refresh token;
    empty: there is no key. A requester that is gone for good, as ``has_hung_up`` says, gets none.
    """

    refresh_token: str
    idempotency_key: str = field(default="", repr=False)
    has_hung_up: Callable[[], bool] = field(default=lambda: False, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Authorize:
    """Check a bearer token; answers `Identity`, or raises `InvalidToken`."""

    token: str


@dataclass(frozen=True, slots=True)
class ListSessions:
    """Answers the live sessions of an account, newest first, as a tuple of `SessionInfo`."""

    account_id: str


@dataclass(frozen=True, slots=True)
class EndSessions:
    """End one session, or all of an account's if ``session_id`` is None; answers None."""

    account_id: str
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class EndSession:
    """End one session of the account; answers None, or raises `UnknownSession`."""

    account_id: str
    session_id: str


@dataclass(frozen=True, slots=True)
class GetAccount:
    """Answers the `Account`, or raises `UnknownAccount`."""

    account_id: str


@dataclass(frozen=True, slots=True)
class FindAccount:
    """Answers the `Account` of a username in any spelling, or raises `UnknownAccount`."""

    username: str


@dataclass(frozen=True, slots=True)
class ChangePassword:
    """Answers None and ends every session but this; raises as `Login` does."""

    account_id: str
    session_id: str
    current_password: str
    new_password: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class EraseAccount:
    """Remove everything of an account in one transaction; raises as `Login` does."""

    account_id: str
    password: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class SearchAccounts:
    """Answers up to ``limit`` accounts by name, as a tuple of `Account`.

    Their usernames begin with ``query`` in any spelling, and come after ``after`` in order.
    """

    query: str
    after: str
    limit: int


@dataclass(frozen=True, slots=True)
class SetSuspended:
    """Suspend or reinstate an account; answers `Account`, or raises `UnknownAccount`."""

    account_id: str
    suspended: bool
    operator: str
    reason: str


@dataclass(frozen=True, slots=True)
class GetAccountOverview:
    """Answers the `AccountOverview`, or raises `UnknownAccount`."""

    account_id: str


@dataclass(frozen=True, slots=True)
class RevokeSessions:
    """End one session of an account, or all if ``session_id`` is None, for an operator.

    Answers how many live ones were ended; raises `UnknownAccount`.
    """

    account_id: str
    session_id: str | None
    operator: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReadAudit:
    """Answers up to ``limit`` entries of the audit log, newest first, as `AuditRecord`.

    They are those older than the entry ``before``, or the latest ones if that is None.
    """

    before: str | None
    limit: int


AuthMessage: TypeAlias = (
    Register
    | Login
    | Refresh
    | Authorize
    | ListSessions
    | EndSessions
    | EndSession
    | GetAccount
    | FindAccount
    | ChangePassword
    | EraseAccount
    | SearchAccounts
    | SetSuspended
    | GetAccountOverview
    | RevokeSessions
    | ReadAudit
)
