"""What operators see of accounts, what they end, and what the audit log records of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from uuid_utils import uuid7

from actors.authx import audit_store, operator
from actors.authx.errors import InvalidPassword, InvalidToken, UnknownAccount
from actors.authx.messages import (
    ChangePassword,
    GetAccount,
    GetAccountOverview,
    ListSessions,
    ReadAudit,
    Refresh,
    RevokeSessions,
    SetSuspended,
)
from tests.actors.authx.harness import PASSWORD, running_authx

if TYPE_CHECKING:
    from actors.authx.messages import Account, AuditRecord
    from tests.actors.authx.harness import Running
    from tests.postgres import PostgresServer

NOBODY = "01890a5d-ac96-774b-bcce-b302099a8057"
ONE_TIME = "first and last"


async def audit(running: Running, before: str | None = None) -> tuple[AuditRecord, ...]:
    """Read the audit log."""
    found: tuple[AuditRecord, ...] = await running.ask(ReadAudit(before, 100))
    return found


async def one_time_account(running: Running, username: str) -> Account:
    """Make an account with a one-time password, as the command line does."""
    connection = await running.database.connect(name="operator")
    try:
        return await operator.create_account(
            connection,
            running.passwords,
            username,
            ONE_TIME,
            role="admin",
            one_time=True,
            now=running.clock.now,
        )
    finally:
        await connection.aclose()


async def test_overview_tells_of_sessions(database_dsn: str) -> None:
    """An account is shown with its number of live sessions and when it was last seen."""
    async with running_authx(database_dsn) as running:
        account = await running.register()
        overview = await running.ask(GetAccountOverview(account.account_id))
        assert (overview.username, overview.sessions) == (account.username, 0)
        assert overview.last_seen_at is None
        await running.login(account.username)
        running.clock.advance(60)
        await running.login(account.username)
        overview = await running.ask(GetAccountOverview(account.account_id))
        assert (overview.sessions, overview.last_seen_at) == (2, running.clock.now)
        with pytest.raises(UnknownAccount):
            await running.ask(GetAccountOverview(NOBODY))


async def test_revoking_ends_every_session_and_is_recorded(database_dsn: str) -> None:
    """Once answered, no token of the account is valid; who did it and why is in the log."""
    async with running_authx(database_dsn) as running:
        account, first = await running.newcomer()
        second = await running.login(account.username)
        other, theirs = await running.newcomer()
        await running.authorize(first)
        await running.authorize(second)
        assert await running.ask(RevokeSessions(account.account_id, None, "root", "stolen")) == 2
        assert await running.refuses(first)
        assert await running.refuses(second)
        with pytest.raises(InvalidToken):
            await running.ask(Refresh(first.refresh_token))
        assert (await running.authorize(theirs)).account_id == other.account_id
        entry = (await audit(running))[0]
        assert (entry.actor, entry.action, entry.reason) == ("root", "sessions-ended", "stolen")
        assert (entry.account_id, entry.username) == (account.account_id, account.username)
        assert msgspec.json.decode(entry.detail) == {"sessions": 2}


async def test_revoking_one_session_leaves_the_others(database_dsn: str) -> None:
    """One session ends; another account's, or a missing one, does not."""
    async with running_authx(database_dsn) as running:
        account, first = await running.newcomer()
        second = await running.login(account.username)
        _, theirs = await running.newcomer()

        async def revoke(session_id: str) -> int:
            message = RevokeSessions(account.account_id, session_id, "root", "lost phone")
            ended: int = await running.ask(message)
            return ended

        assert await revoke(first.session_id) == 1
        assert await revoke(first.session_id) == 0
        assert await revoke(theirs.session_id) == 0
        assert await running.refuses(first)
        assert not await running.refuses(second)
        assert not await running.refuses(theirs)
        (left,) = await running.ask(ListSessions(account.account_id))
        assert left.session_id == second.session_id
        details = [msgspec.json.decode(entry.detail) for entry in (await audit(running))[:3]]
        assert details == [
            {"sessions": 0, "session_id": theirs.session_id},
            {"sessions": 0, "session_id": first.session_id},
            {"sessions": 1, "session_id": first.session_id},
        ]


async def test_revoking_of_nobody_is_refused_and_not_recorded(postgres: PostgresServer) -> None:
    """A missing account has no sessions, and no entry."""
    dsn = await postgres.create_database_async()
    async with running_authx(dsn) as running:
        with pytest.raises(UnknownAccount):
            await running.ask(RevokeSessions(NOBODY, None, "root", "why"))
        assert await audit(running) == ()


async def test_ending_sessions_is_done_and_recorded_once(database_dsn: str) -> None:
    """The second run of one attempt, as after a lost answer, gives the first answer again."""
    async with running_authx(database_dsn) as running:
        account, _ = await running.newcomer()
        ending = audit_store.Ending(
            str(uuid7()), running.clock.now, "root", "why", account.account_id, None
        )
        connection = await running.database.connect(name="test")
        script = audit_store.end_sessions(ending)
        assert [await connection.run(script) for _ in range(2)] == [1, 1]
        await connection.aclose()
        count = "select count(*) from audit where audit_id = $1"
        assert await running.fetchval(count, ending.audit_id) == 1


async def test_suspending_is_recorded_once_however_often_it_runs(database_dsn: str) -> None:
    """A suspension whose answer was lost is not refused when it is retried."""
    async with running_authx(database_dsn) as running:
        account = await running.register()
        message = SetSuspended(account.account_id, True, "root", "why")
        await running.ask(message)
        entry = (await audit(running))[0]
        again = audit_store.AuditEntry(
            entry.audit_id, entry.at, entry.actor, entry.action, entry.reason, entry.detail
        )
        connection = await running.database.connect(name="test")
        await connection.run(lambda s: audit_store.record(s, again, account.account_id))
        await connection.aclose()
        assert [each.audit_id for each in await audit(running)].count(entry.audit_id) == 1


async def test_audit_is_read_page_by_page_newest_first(postgres: PostgresServer) -> None:
    """Pages join without gap or overlap, and show the names of accounts that still exist."""
    dsn = await postgres.create_database_async()
    async with running_authx(dsn) as running:
        accounts = [await running.register() for _ in range(3)]
        for account in accounts:
            await running.ask(RevokeSessions(account.account_id, None, "root", account.username))
        told: list[AuditRecord] = []
        before: str | None = None
        while page := await running.ask(ReadAudit(before, 2)):
            told += page
            before = page[-1].audit_id
        assert [entry.reason for entry in told] == [each.username for each in reversed(accounts)]
        gone = accounts[0].account_id
        connection = await running.database.connect(name="test")
        await connection.run(lambda s: s.execute("delete from accounts where account_id=$1", gone))
        await connection.aclose()
        last = (await audit(running))[-1]
        assert (last.account_id, last.username) == (gone, None)


async def test_one_time_password_is_told_until_it_is_changed(database_dsn: str) -> None:
    """Login, refresh, identity and account say that it must be changed; afterwards none does."""
    async with running_authx(database_dsn) as running:
        account = await one_time_account(running, "first-admin")
        assert account.must_change_password
        tokens = await running.login("first-admin", ONE_TIME)
        assert tokens.must_change_password
        assert (await running.authorize(tokens)).must_change_password
        tokens = await running.ask(Refresh(tokens.refresh_token))
        assert tokens.must_change_password
        assert (await running.ask(GetAccountOverview(account.account_id))).must_change_password

        change = ChangePassword(account.account_id, tokens.session_id, ONE_TIME, PASSWORD)
        await running.ask(change)
        identity = await running.authorize(tokens)
        assert (identity.role, identity.must_change_password) == ("admin", False)
        assert not (await running.ask(GetAccount(account.account_id))).must_change_password
        assert not (await running.login("first-admin")).must_change_password
        assert not (await running.ask(Refresh(tokens.refresh_token))).must_change_password


async def test_one_time_password_is_not_changed_to_itself(database_dsn: str) -> None:
    """The new password must be another one."""
    async with running_authx(database_dsn) as running:
        account = await one_time_account(running, "stubborn")
        tokens = await running.login("stubborn", ONE_TIME)
        with pytest.raises(InvalidPassword):
            await running.ask(
                ChangePassword(account.account_id, tokens.session_id, ONE_TIME, ONE_TIME)
            )
        assert (await running.authorize(tokens)).must_change_password


async def test_ordinary_password_may_be_changed_to_itself(database_dsn: str) -> None:
    """Nobody else chose it, so there is no reason to refuse."""
    async with running_authx(database_dsn) as running:
        account, tokens = await running.newcomer()
        await running.ask(ChangePassword(account.account_id, tokens.session_id, PASSWORD, PASSWORD))
        assert not (await running.authorize(tokens)).must_change_password
