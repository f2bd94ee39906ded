"""The operator's commands: recorded, announced, and in force at once in a live server."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from actors.authx import operator
from actors.authx.errors import (
    InvalidCredentials,
    InvalidPassword,
    InvalidToken,
    InvalidUsername,
    UnknownAccount,
    UsernameTaken,
)
from actors.authx.messages import EraseAccount, GetAccount, Login, Refresh, SetSuspended
from actors.storage.snapshot import NIL_ID
from tests.actors.authx.harness import PASSWORD, running_authx

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.authx.messages import Tokens
    from actors.database.driver import Connection
    from tests.actors.authx.harness import Running
    from tests.postgres import PostgresServer


@asynccontextmanager
async def connected(running: Running) -> AsyncGenerator[Connection, None]:
    """Yield a connection as the command line has it."""
    connection = await running.database.connect(name="operator")
    try:
        yield connection
    finally:
        await connection.aclose()


async def audit_of(running: Running, account_id: str) -> list[tuple[Any, ...]]:
    """Read the records about an account."""
    connection = await running.database.connect(name="test")
    rows = await connection.run(
        lambda session: session.fetch(
            "select * from audit where subject = $1 order by audit_id",
            account_id,
        )
    )
    await connection.aclose()
    return [
        (row["actor"], row["action"], row["reason"], msgspec.json.decode(row["detail"]), row["at"])
        for row in rows
    ]


async def wait_refused(running: Running, tokens: Tokens) -> None:
    """Wait until the live server has heard that an access token is no longer valid."""
    await running.wait_until(lambda: running.refuses(tokens))


async def test_operator_creates_an_account_with_a_role(database_dsn: str) -> None:
    """The account can log in, has its role, and its creation is on record."""
    async with running_authx(database_dsn) as running, connected(running) as connection:
        account = await operator.create_account(
            connection, running.passwords, "Root", PASSWORD, role="admin", now=running.clock.now
        )
        assert account.role == "admin"
        tokens = await running.login("root")
        assert (await running.authorize(tokens)).role == "admin"
        assert await audit_of(running, account.account_id) == [
            (
                "command line",
                "account-created",
                "",
                {"role": "admin"},
                running.clock.now,
            )
        ]


async def test_operator_is_refused_what_anybody_is_refused(database_dsn: str) -> None:
    """Names and passwords follow the same rules; unknown accounts are unknown."""
    async with running_authx(database_dsn) as running, connected(running) as connection:
        account = await running.register()
        now = running.clock.now

        async def create(username: str, password: str) -> None:
            await operator.create_account(
                connection, running.passwords, username, password, now=now
            )

        with pytest.raises(UsernameTaken):
            await create(account.username.upper(), PASSWORD)
        with pytest.raises(InvalidUsername):
            await create("no", PASSWORD)
        with pytest.raises(InvalidUsername, match="invisible letters"):
            await create("ada\u3164", PASSWORD)
        with pytest.raises(InvalidPassword):
            await create("somebody", "short")
        with pytest.raises(UnknownAccount):
            await operator.set_role(connection, "nobody", "admin", now=now)
        with pytest.raises(UnknownAccount):
            await operator.set_suspended(connection, "nobody", suspended=True, now=now)
        with pytest.raises(InvalidUsername):
            await operator.set_role(connection, "no one", "admin", now=now)


async def test_operator_role_change_reaches_open_sessions(database_dsn: str) -> None:
    """A live server gives open sessions the new role, both ways, without a new token."""
    async with running_authx(database_dsn) as running, connected(running) as connection:
        await running.wait_listening()
        account, tokens = await running.newcomer()
        assert (await running.authorize(tokens)).role == "player"
        for role in ("admin", "player"):
            changed = await operator.set_role(
                connection, account.username, role, now=running.clock.now
            )
            assert changed.role == role

            async def has_role(role: str = role) -> bool:
                return (await running.authorize(tokens)).role == role

            await running.wait_until(has_role)
        assert [entry[1:3] for entry in await audit_of(running, account.account_id)] == [
            ("role-set", "")
        ] * 2


async def test_operator_suspension_ends_sessions_and_keeps_them_ended(database_dsn: str) -> None:
    """A suspended account's tokens end, it cannot log in and is not told why; later it can."""
    async with running_authx(database_dsn) as running, connected(running) as connection:
        await running.wait_listening()
        account, tokens = await running.newcomer()
        await running.authorize(tokens)
        suspended = await operator.set_suspended(
            connection, account.username, suspended=True, now=running.clock.now
        )
        assert suspended.suspended
        await wait_refused(running, tokens)
        running.engine.operations.clear()
        with pytest.raises(InvalidCredentials) as refusal:
            await running.login(account.username)
        assert refusal.value.args == ()
        assert len(running.engine.operations) == 1
        with pytest.raises(InvalidToken):
            await running.ask(Refresh(tokens.refresh_token))
        assert (await running.ask(GetAccount(account.account_id))).suspended
        await operator.set_suspended(
            connection, account.username, suspended=False, now=running.clock.now
        )
        with pytest.raises(InvalidToken):
            await running.authorize(tokens)
        await running.authorize(await running.login(account.username))
        actions = [entry[1] for entry in await audit_of(running, account.account_id)]
        assert actions == ["account-suspended", "account-unsuspended"]


async def test_operator_reset_replaces_a_password_and_ends_sessions(database_dsn: str) -> None:
    """The old password and every session end at once; the new one has to be changed."""
    async with running_authx(database_dsn) as running, connected(running) as connection:
        await running.wait_listening()
        account, tokens = await running.newcomer()
        await running.authorize(tokens)
        reset = await operator.reset_password(
            connection,
            running.passwords,
            account.username.upper(),
            "another horse",
            now=running.clock.now,
        )
        assert (reset.account_id, reset.must_change_password) == (account.account_id, True)
        await wait_refused(running, tokens)
        with pytest.raises(InvalidToken):
            await running.ask(Refresh(tokens.refresh_token))
        with pytest.raises(InvalidCredentials):
            await running.login(account.username)
        assert (await running.login(account.username, "another horse")).must_change_password
        assert [entry[:4] for entry in await audit_of(running, account.account_id)] == [
            ("command line", "password-reset", "", {})
        ]


async def test_operator_reset_is_for_accounts_that_are_there(database_dsn: str) -> None:
    """A missing account's password cannot be reset, nor anyone's to an invalid one."""
    async with running_authx(database_dsn) as running, connected(running) as connection:
        account = await running.register()

        async def reset(username: str, password: str) -> None:
            await operator.reset_password(
                connection, running.passwords, username, password, now=running.clock.now
            )

        with pytest.raises(UnknownAccount):
            await reset("nobody", PASSWORD)
        with pytest.raises(InvalidPassword):
            await reset(account.username, "short")
        await running.login(account.username)
        assert await audit_of(running, account.account_id) == []


async def test_operator_erases_the_name_of_an_account_that_operators_made(
    database_dsn: str,
) -> None:
    """The audit log's entries on its creation and roles name it by its id alone."""
    async with running_authx(database_dsn) as running, connected(running) as connection:
        now = running.clock.now
        account = await operator.create_account(
            connection, running.passwords, "Adalbert", PASSWORD, now=now
        )
        await operator.set_role(connection, "Adalbert", "admin", now=now)
        await operator.erase_account(connection, account.account_id, now=now)
        told = await audit_of(running, account.account_id)
        assert [entry[1] for entry in told] == ["account-created", "role-set", "account-erased"]
        assert "adalbert" not in str(told).casefold()


@pytest.mark.parametrize("himself", [True, False])
async def test_operator_who_acted_leaves_his_name_with_his_end(
    database_dsn: str, *, himself: bool
) -> None:
    """Their actions keep the name, which is free again: the log shows until when it was theirs.

    An erasure that did not happen leaves nothing.
    """
    async with running_authx(database_dsn) as running, connected(running) as connection:
        now = running.clock.now
        player, account = await running.register(), await running.register()
        await operator.set_role(connection, account.username, "admin", now=now)
        await running.ask(SetSuspended(player.account_id, True, account.username, "cheating"))
        with pytest.raises(InvalidCredentials):
            await running.ask(EraseAccount(account.account_id, "wrong password"))
        expected: tuple[Any, ...]
        if himself:
            await running.ask(EraseAccount(account.account_id, PASSWORD))
            expected = (account.username, "account-erased", "", {}, now)
        else:
            await operator.erase_account(connection, account.account_id, now=now)
            detail = {"operator": account.username}
            expected = ("command line", "account-erased", "", detail, now)
        assert (await audit_of(running, account.account_id))[1:] == [expected]
        # Whoever has the name next has done nothing yet.
        another = await running.register(account.username)
        await running.ask(EraseAccount(another.account_id, PASSWORD))
        assert await audit_of(running, another.account_id) == []


async def test_operator_erases_an_account_from_a_live_server(database_dsn: str) -> None:
    """Its tokens end, its name is free, and the audit log has it without the name."""
    async with running_authx(database_dsn) as running, connected(running) as connection:
        await running.wait_listening()
        account, tokens = await running.newcomer()
        await running.authorize(tokens)
        found = await operator.find_account(connection, account.username.upper())
        gone = await operator.erase_account(connection, found.account_id, now=running.clock.now)
        assert gone == found
        await wait_refused(running, tokens)
        with pytest.raises(InvalidToken):
            await running.ask(Refresh(tokens.refresh_token))
        with pytest.raises(UnknownAccount):
            await running.ask(GetAccount(account.account_id))
        assert await audit_of(running, account.account_id) == [
            ("command line", "account-erased", "", {}, running.clock.now)
        ]
        with pytest.raises(UnknownAccount):
            await operator.erase_account(connection, account.account_id, now=running.clock.now)
        with pytest.raises(UnknownAccount):
            await operator.find_account(connection, account.username)


async def test_operator_suspension_during_logins_leaves_no_session(database_dsn: str) -> None:
    """However a login and a suspension interleave, no session of the account is left."""
    async with running_authx(database_dsn) as running, connected(running) as connection:
        for _ in range(10):
            account = await running.register()

            async def attempt(username: str = account.username) -> None:
                try:
                    await running.login(username)
                except InvalidCredentials:
                    return

            async def suspend(username: str = account.username) -> None:
                await operator.set_suspended(
                    connection, username, suspended=True, now=running.clock.now
                )

            async with trio.open_nursery() as nursery:
                nursery.start_soon(attempt)
                nursery.start_soon(suspend)
                nursery.start_soon(attempt)
            count = "select count(*) from sessions where account_id = $1"
            assert await running.fetchval(count, account.account_id) == 0


async def test_operator_lists_accounts_oldest_first(postgres: PostgresServer) -> None:
    """Everyone is listed, with role and suspension."""
    dsn = await postgres.create_database_async()
    async with running_authx(dsn) as running, connected(running) as connection:
        assert await operator.list_accounts(connection, NIL_ID, 3) == []
        for name in ("cid", "ada", "bob"):
            await running.register(name)
            running.clock.advance(1)
        await operator.set_suspended(connection, "ada", suspended=True, now=running.clock.now)
        accounts = await operator.list_accounts(connection, NIL_ID, 3)
        assert [(each.username, each.suspended) for each in accounts] == [
            ("cid", False),
            ("ada", True),
            ("bob", False),
        ]
        first = await operator.list_accounts(connection, NIL_ID, 1)
        assert first == accounts[:1]
        assert await operator.list_accounts(connection, first[0].account_id, 3) == accounts[1:]


async def test_login_of_an_operator_is_logged_and_no_players(database_dsn: str) -> None:
    """The log has operator, session and address; the address is logged even if exempt."""
    async with running_authx(database_dsn) as running:
        player, _ = await running.newcomer()
        assert running.events("operator_logged_in") == []
        async with connected(running) as connection:
            await operator.set_role(connection, player.username, "admin", now=running.clock.now)
        with pytest.raises(InvalidCredentials):
            await running.ask(Login(player.username, "wrong", "", "192.0.2.1"))
        tokens = await running.ask(Login(player.username, PASSWORD, "", "192.0.2.1"))
        await running.ask(Refresh(tokens.refresh_token))
        (event,) = running.events("operator_logged_in")
        assert {**event} == {
            "event": "operator_logged_in",
            "log_level": "info",
            "account_id": player.account_id,
            "session_id": tokens.session_id,
            "client": "192.0.2.1",
        }
