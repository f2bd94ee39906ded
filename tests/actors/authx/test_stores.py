"""The scripts: each may run twice, as after a lost answer, and none trusts an outdated check."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import trio
from uuid_utils import uuid7

from actors.authx import account_store, erasure, session_store
from actors.authx.account_store import NewAccount
from actors.authx.audit_store import AuditEntry
from actors.authx.errors import InvalidCredentials, UnknownAccount, UsernameTaken
from actors.authx.session_store import NewSession, NotRotated, Rotated, Rotation, Standing
from actors.authx.usernames import parse_username
from actors.database.driver import open_database
from tests.actors.authx.support import WallClock
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from actors.authx.session_store import OpenedSession
    from actors.database.driver import Connection
    from actors.database.session import Script, Session

NOW = WallClock().now
LATER = NOW + timedelta(hours=1)
ERASED = AuditEntry(str(uuid7()), NOW, "", "account-erased", "", "{}")


def new_account(username: str) -> NewAccount:
    """Make an account that does not exist yet."""
    return NewAccount(str(uuid7()), parse_username(username), "hash 1", "player", NOW)


def new_session(account_id: str, *, verified: str = "hash 1", **changes: object) -> NewSession:
    """Make a session that does not exist yet."""
    values: dict[str, object] = {
        "session_id": str(uuid7()),
        "account_id": account_id,
        "verified_hash": verified,
        "renewed_hash": None,
        "refresh_digest": b"digest 1",
        "now": NOW,
        "expires_at": LATER,
        "sessions_max": 10,
    }
    return NewSession(**(values | changes))  # type: ignore[arg-type]


async def test_store_makes_an_account_once(connection: Connection) -> None:
    """The second run of one attempt finds its own account; another attempt finds it taken."""
    script = account_store.insert_account(new_account("Once"))
    account = await connection.run(script)
    assert await connection.run(script) == account
    with pytest.raises(UsernameTaken):
        await connection.run(account_store.insert_account(new_account("once")))


async def test_store_opens_a_session_once(connection: Connection) -> None:
    """With or without a renewed hash, the second run changes nothing."""
    account = await connection.run(account_store.insert_account(new_account("opener")))
    for renewed in (None, "hash 2"):
        script = session_store.open_session(new_session(account.account_id, renewed_hash=renewed))
        assert await connection.run(script) == await connection.run(script)
    sessions = await connection.run(session_store.list_sessions(account.account_id, now=NOW))
    assert len(sessions) == 2
    credentials = await connection.run(account_store.get_credentials(account.account_id))
    assert credentials is not None
    assert credentials.password_hash == "hash 2"
    assert "hash" not in repr(credentials)


async def test_store_opens_no_session_on_an_old_check(connection: Connection) -> None:
    """A hash that was replaced since it was verified opens nothing."""
    account = await connection.run(account_store.insert_account(new_account("changed")))
    for renewed in (None, "hash 2"):
        stale = new_session(account.account_id, verified="hash 0", renewed_hash=renewed)
        with pytest.raises(InvalidCredentials):
            await connection.run(session_store.open_session(stale))


async def test_store_ends_none_that_it_opens(connection: Connection) -> None:
    """With the clock set back a new session is the oldest, and yet an older one makes room."""
    account = await connection.run(account_store.insert_account(new_account("earlier")))
    ahead = [
        new_session(account.account_id, sessions_max=2, now=NOW + timedelta(hours=1))
        for _ in range(2)
    ]
    for each in ahead:
        await connection.run(session_store.open_session(each))
    new = new_session(account.account_id, sessions_max=2)
    opened = await connection.run(session_store.open_session(new))
    assert opened.ended == (ahead[0].session_id,)
    left = await connection.run(session_store.list_sessions(account.account_id, now=NOW))
    assert [each.session_id for each in left] == [ahead[1].session_id, new.session_id]


async def test_store_opens_one_session_of_an_account_at_a_time(database_dsn: str) -> None:
    """Two logins at once see each other's session, so that the bound holds for both together."""
    async with open_database(database_dsn, log=quiet_log()) as database:
        first, second = [await database.connect(name=name) for name in ("first", "second")]
        account = await first.run(account_store.insert_account(new_account("twice")))
        one, other = [new_session(account.account_id, sessions_max=1) for _ in range(2)]
        opened: list[OpenedSession] = []

        async def open_other() -> None:
            opened.append(await second.run(session_store.open_session(other)))

        async def open_one(session: Session) -> None:
            waits = "select exists (select from pg_locks where not granted)"
            async with session.transaction():
                await session_store.open_session(one)(session)
                nursery.start_soon(open_other)
                while not opened and not await session.fetchval(waits):
                    pass

        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                await first.run(open_one)
        assert [each.ended for each in opened] == [(one.session_id,)]
        (left,) = await first.run(session_store.list_sessions(account.account_id, now=NOW))
        assert left.session_id == other.session_id
        for connection in (first, second):
            await connection.aclose()


async def test_store_reads_those_sessions_alone_that_were_asked_for_and_live(
    connection: Connection,
) -> None:
    """No other session is read, nor an expired one, nor one of a suspended account."""
    account, other = [
        await connection.run(account_store.insert_account(new_account(username)))
        for username in ("reading", "another")
    ]
    asked, not_asked = new_session(account.account_id), new_session(account.account_id)
    ended = new_session(account.account_id, expires_at=NOW)
    kept_out = new_session(other.account_id)
    for new in (asked, not_asked, ended, kept_out):
        await connection.run(session_store.open_session(new))
    suspend = "update accounts set suspended_at = now() where account_id = $1"
    await connection.run(lambda session: session.execute(suspend, other.account_id))
    ids = [new.session_id for new in (asked, ended, kept_out)]
    read = await connection.run(session_store.read_sessions(ids, now=NOW))
    assert [state.identity.session_id for state in read] == [asked.session_id]


async def test_store_removes_ended_sessions_without_waiting_for_one_that_is_held(
    connection: Connection, database_dsn: str
) -> None:
    """A session that somebody works on is left for the next time; the others go."""
    account = await connection.run(account_store.insert_account(new_account("ended")))
    held, ended = [new_session(account.account_id, expires_at=NOW) for _ in range(2)]
    for new in (held, ended):
        await connection.run(session_store.open_session(new))
    lock = "select from sessions where session_id = $1 for update"
    remove = session_store.delete_expired_sessions(now=NOW, batch=1000)
    async with open_database(database_dsn, log=quiet_log()) as database:
        other = await database.connect(name="holder")
        await other.run(lambda session: session.execute("begin"))
        await other.run(lambda session: session.execute(lock, held.session_id))
        await connection.run(remove, timeout_s=2)
        await other.run(lambda session: session.execute("rollback"))
        await other.aclose()
    assert await connection.run(remove) == 1
    assert await connection.run(remove) == 0


async def test_store_rotates_a_session_once(connection: Connection) -> None:
    """The second run of one rotation answers as the first; the generation counts it once."""
    account = await connection.run(account_store.insert_account(new_account("rotating")))
    new = new_session(account.account_id)
    await connection.run(session_store.open_session(new))
    first = Rotation(new.session_id, b"digest 1", b"digest 2", NOW, LATER)
    for _ in range(2):
        assert await connection.run(session_store.rotate_session(first)) == Rotated(
            account.account_id, NOW, Standing("player", must_change_password=False)
        )
    generation = "select generation from sessions where session_id = $1"
    assert await connection.run(lambda s: s.fetchval(generation, new.session_id)) == 2
    reuse = Rotation(new.session_id, b"digest 1", b"digest 3", NOW, LATER)
    rotate = session_store.rotate_session(reuse)
    assert await connection.run(rotate) == NotRotated(was_live=True)
    assert await connection.run(rotate) == NotRotated(was_live=False)


async def test_store_replaces_a_password_once_and_not_on_an_old_check(
    connection: Connection,
) -> None:
    """The second run finds its own hash; one that was verified before a change is refused."""
    account = await connection.run(account_store.insert_account(new_account("replacing")))
    session = new_session(account.account_id)
    await connection.run(session_store.open_session(session))

    def replacing(verified: str, new: str) -> Script[None]:
        return account_store.replace_password(
            account.account_id, session_id=session.session_id, verified_hash=verified, new_hash=new
        )

    for _ in range(2):
        await connection.run(replacing("hash 1", "hash 2"))
    with pytest.raises(InvalidCredentials):
        await connection.run(replacing("hash 1", "hash 3"))


async def test_store_erases_an_account_once_and_not_on_an_old_check(
    connection: Connection,
) -> None:
    """Erasing a gone account succeeds; a check from before a password change erases nothing."""
    account = await connection.run(account_store.insert_account(new_account("erased")))
    account_id = account.account_id
    with pytest.raises(InvalidCredentials):
        await connection.run(
            erasure.erase_account(account_id, verified_hash="hash 0", audit=ERASED)
        )
    script = erasure.erase_account(account_id, verified_hash="hash 1", audit=ERASED)
    for _ in range(2):
        await connection.run(script)
    with pytest.raises(UnknownAccount):
        await connection.run(account_store.get_account(account_id))
