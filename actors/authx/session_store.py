"""The SQL of sessions.

Scripts as in `account_store`: each may be run twice in a row and answers as it did at first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from actors.authx.errors import InvalidCredentials
from actors.authx.lifetimes import ends_at
from actors.authx.listener import SESSIONS_CHANNEL
from actors.authx.messages import Identity, SessionInfo
from actors.authx.sessions import SessionState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from actors.database.session import Record, Script, Session

# Both lock the account's row: a concurrent change of password or suspension comes before (and is
# seen here) or after (and ends the new session). Nobody else opens a session of the same account
# meanwhile: two that did not see each other's would both leave room for one.
_STILL_VERIFIED = """
select role, must_change_password from accounts
where account_id = $1 and password_hash = $2 and suspended_at is null
for no key update
"""
_RENEW_HASH = """
update accounts set password_hash = $3
where account_id = $1 and password_hash in ($2, $3) and suspended_at is null
returning role, must_change_password
"""

_INSERT = """
insert into sessions
    (session_id, account_id, refresh_hash, created_at, refreshed_at, expires_at)
values ($1, $2, $3, $4, $4, $5)
on conflict (session_id) do nothing
"""

# Ending sessions notifies the listener in the same transaction: it may take effect long after it
# was given up here, and after such a session was read, and cached, once more.

# Not the one just opened, which is the oldest if the clock has been set back.
_END_OLDEST = """
with ended as (
    delete from sessions where session_id in (
        select session_id from sessions where account_id = $1 and session_id <> $2
        order by created_at desc, session_id desc offset $3
    )
    returning session_id, account_id
)
select session_id, pg_notify($4, account_id::text) from ended
"""

# Reads apply the limit of a session's life too (`ends_at`): it may have been configured since the
# last refresh. A session with less than a second left is not refreshed: its tokens would be
# useless, and a client that renews ahead of time would do so in a loop.

_ROTATE = """
update sessions as s
set refresh_hash = $3,
    generation = s.generation + case when s.refresh_hash = $3 then 0 else 1 end,
    refreshed_at = $4,
    expires_at = least($5, s.created_at + $6::bigint * interval '1 second')
from accounts as a
where s.session_id = $1 and s.refresh_hash in ($2, $3) and s.expires_at > $4
    and (s.created_at + ($6::bigint - 1) * interval '1 second' >= $4) is not false
    and a.account_id = s.account_id and a.suspended_at is null
returning s.account_id, s.created_at, a.role, a.must_change_password
"""

_END_ONE = """
with ended as (
    delete from sessions where session_id = $1
    returning account_id, expires_at > $3
        and (created_at + ($4::bigint - 1) * interval '1 second' >= $3) is not false as was_live
)
select was_live, pg_notify($2, account_id::text) from ended
"""

_LIVE = f"""
select s.session_id, s.account_id, a.role, a.username, a.must_change_password,
    {ends_at("$3", "s")} as expires_at
from sessions as s join accounts as a on a.account_id = s.account_id
where s.session_id = any($1::uuid[]) and a.suspended_at is null and {ends_at("$3", "s")} > $2
"""  # noqa: S608 - put together of constants alone

_LIST = f"""
select session_id, created_at, refreshed_at, {ends_at("$3")} as expires_at
from sessions
where account_id = $1 and {ends_at("$3")} > $2
order by created_at desc, session_id desc
"""  # noqa: S608 - put together of constants alone

_IS_LIVE = f"""
select exists (
    select from sessions where session_id = $1 and account_id = $2 and {ends_at("$4")} > $3
)
"""  # noqa: S608 - put together of constants alone

_END = """
with ended as (
    delete from sessions where account_id = $1 and ($2::uuid is null or session_id = $2::uuid)
    returning account_id
)
select pg_notify($3, account_id::text) from ended
"""

_DELETE_EXPIRED = """
delete from sessions where session_id in (
    select session_id from sessions where expires_at <= $1
    order by expires_at limit $2 for update skip locked
)
returning session_id
"""


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session to be opened for someone whose password matched ``verified_hash``.

    ``renewed_hash`` replaces it if the hash was made with other parameters.
    """

    session_id: str
    account_id: str
    verified_hash: str = field(repr=False)
    renewed_hash: str | None = field(repr=False)
    refresh_digest: bytes = field(repr=False)
    now: datetime
    expires_at: datetime
    sessions_max: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What an account may do now."""

    role: str
    must_change_password: bool


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """An opened session, and those of the same account that had to make room."""

    standing: Standing
    ended: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rotation:
    """The exchange of a session's refresh token for the next one.

    The session then ends at ``expires_at``, at the latest ``session_max_s`` after it began.
    ``is_awaited`` says whether anybody still waits for the outcome.
    """

    session_id: str
    presented_digest: bytes = field(repr=False)
    next_digest: bytes = field(repr=False)
    now: datetime
    expires_at: datetime
    session_max_s: int | None = None
    is_awaited: Callable[[], bool] = field(default=lambda: True, repr=False)


@dataclass(frozen=True, slots=True)
class Rotated:
    """The rotation took place; the session began at ``begun_at``."""

    account_id: str
    begun_at: datetime
    standing: Standing


@dataclass(frozen=True, slots=True)
class NotRotated:
    """The token was not the session's last one, or the session had expired.

    ``was_live``: it had not expired, and has now been ended.
    """

    was_live: bool


def open_session(new: NewSession) -> Script[OpenedSession]:
    """Open a session, ending the account's oldest ones beyond ``sessions_max``.

    The script raises `InvalidCredentials` if the account was suspended, or its password changed,
    since the password was verified.
    """

    async def script(session: Session) -> OpenedSession:
        async with session.transaction():
            standing = await _still_verified(session, new)
            if standing is None:
                raise InvalidCredentials
            await session.execute(
                _INSERT,
                new.session_id,
                new.account_id,
                new.refresh_digest,
                new.now,
                new.expires_at,
            )
            room = new.sessions_max - 1
            ended = await session.fetch(
                _END_OLDEST, new.account_id, new.session_id, room, SESSIONS_CHANNEL
            )
        return OpenedSession(standing, tuple(row["session_id"] for row in ended))

    return script


def rotate_session(rotation: Rotation) -> Script[Rotated | NotRotated]:
    """Exchange a refresh token for the next one, or end the session if it is not the last one.

    A caller that is gone ends no session: its request may predate the one that was given the next
    token. Compare and swap are one statement: if two present the same token, the second waits for
    the first, finds its token used, and ends the session.
    """

    async def script(session: Session) -> Rotated | NotRotated:
        row = await session.fetchrow(
            _ROTATE,
            rotation.session_id,
            rotation.presented_digest,
            rotation.next_digest,
            rotation.now,
            rotation.expires_at,
            rotation.session_max_s,
        )
        if row is not None:
            return Rotated(row["account_id"], row["created_at"], _standing(row))
        if not rotation.is_awaited():
            return NotRotated(was_live=False)
        was_live: bool | None = await session.fetchval(
            _END_ONE,
            rotation.session_id,
            SESSIONS_CHANNEL,
            rotation.now,
            rotation.session_max_s,
        )
        return NotRotated(was_live=was_live is True)

    return script


def read_sessions(
    session_ids: Sequence[str], *, now: datetime, session_max_s: int | None = None
) -> Script[list[SessionState]]:
    """Read those of the given sessions that are live."""

    async def script(session: Session) -> list[SessionState]:
        return [
            SessionState(
                Identity(
                    row["account_id"],
                    row["session_id"],
                    row["role"],
                    row["username"],
                    must_change_password=row["must_change_password"],
                ),
                row["expires_at"],
            )
            for row in await session.fetch(_LIVE, list(session_ids), now, session_max_s)
        ]

    return script


def list_sessions(
    account_id: str, *, now: datetime, session_max_s: int | None = None
) -> Script[tuple[SessionInfo, ...]]:
    """Read an account's live sessions, newest first."""

    async def script(session: Session) -> tuple[SessionInfo, ...]:
        return tuple(
            SessionInfo(
                row["session_id"], row["created_at"], row["refreshed_at"], row["expires_at"]
            )
            for row in await session.fetch(_LIST, account_id, now, session_max_s)
        )

    return script


def end_sessions(account_id: str, session_id: str | None) -> Script[None]:
    """End one session of an account, or all of them."""

    async def script(session: Session) -> None:
        await session.execute(_END, account_id, session_id, SESSIONS_CHANNEL)

    return script


def end_session(
    account_id: str, session_id: str, *, now: datetime, session_max_s: int | None = None
) -> Script[bool]:
    """End a live session of an account; answers whether there was one.

    Two concurrent calls may both find it. If the script runs again it answers as at first, since
    the first run may have ended it.
    """
    found = False

    async def script(session: Session) -> bool:
        nonlocal found
        if not found:
            found = await session.fetchval(_IS_LIVE, session_id, account_id, now, session_max_s)
        if found:
            await session.execute(_END, account_id, session_id, SESSIONS_CHANNEL)
        return found

    return script


def delete_expired_sessions(*, now: datetime, batch: int) -> Script[int]:
    """Delete up to ``batch`` expired sessions; answers how many there were."""

    async def script(session: Session) -> int:
        return len(await session.fetch(_DELETE_EXPIRED, now, batch))

    return script


async def _still_verified(session: Session, new: NewSession) -> Standing | None:
    """Return the account's standing if it may still log in with what was verified."""
    if new.renewed_hash is None:
        row = await session.fetchrow(_STILL_VERIFIED, new.account_id, new.verified_hash)
    else:
        row = await session.fetchrow(
            _RENEW_HASH, new.account_id, new.verified_hash, new.renewed_hash
        )
    return None if row is None else _standing(row)


def _standing(row: Record) -> Standing:
    return Standing(row["role"], must_change_password=row["must_change_password"])
