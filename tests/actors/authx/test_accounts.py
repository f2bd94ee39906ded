"""Accounts over the bus: registration, login, passwords, erasure; all on a real database."""

from __future__ import annotations

import unicodedata
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import trio

from actors.authx.errors import (
    InvalidCredentials,
    InvalidPassword,
    InvalidToken,
    InvalidUsername,
    TooManyAttempts,
    UnknownAccount,
    UsernameTaken,
)
from actors.authx.messages import (
    Account,
    ChangePassword,
    EraseAccount,
    FindAccount,
    GetAccount,
    Identity,
    ListSessions,
    Login,
    Refresh,
    Register,
    Tokens,
)
from actors.database.errors import DatabaseTimeout, TransientError
from actors.database.locks import ERASURE_LOCK
from bus import Message, Overloaded, Topic
from tests.actors.authx.harness import PASSWORD, running_authx
from tests.actors.authx.support import CHEAP
from tests.postgres import run_script

if TYPE_CHECKING:
    from trio.testing import MockClock

    from actors.database.session import Session
    from tests.actors.authx.harness import Running
    from tests.postgres import PostgresServer


async def can_read(running: Running, account: Account) -> bool:
    """Whether Authx has a connection that reads an account."""
    try:
        return bool(await running.ask(GetAccount(account.account_id)) == account)
    except TransientError:
        return False


async def outcome(running: Running, username: str, password: str) -> type[Exception] | None:
    """Try to log in; return the kind of refusal, or None if there was none."""
    try:
        await running.login(username, password)
    except InvalidCredentials as refusal:
        return InvalidCredentials if refusal.args == () else type(refusal)
    except TooManyAttempts:
        return TooManyAttempts
    return None


async def test_refusal_of_a_password_says_whose_it_was_tried_for(database_dsn: str) -> None:
    """It is only for the log, if the name exists; a right password does not let everyone in."""
    async with running_authx(database_dsn) as running:
        account, tokens = await running.newcomer()
        change = ChangePassword(account.account_id, tokens.session_id, "wrong", "new password")
        for message, whose in (
            (Login(account.username.upper(), "wrong"), account.account_id),
            (change, account.account_id),
            (Login("nobody-at-all", "wrong"), None),
            (Login("no name", "wrong"), None),
        ):
            with pytest.raises(InvalidCredentials) as caught:
                await running.ask(message)
            assert caught.value.account_id == whose


async def test_account_is_registered_and_found(database_dsn: str) -> None:
    """The answer shows the account, which is found by id and by any spelling of its name."""
    async with running_authx(database_dsn) as running:
        account = await running.ask(Register("Ada.Lovelace", PASSWORD))
        assert account == Account(
            account.account_id,
            "Ada.Lovelace",
            "player",
            suspended=False,
            created_at=running.clock.now,
        )
        assert await running.ask(GetAccount(account.account_id)) == account
        assert await running.ask(FindAccount("ＡＤＡ.lovelace")) == account  # noqa: RUF001


async def test_account_is_registered_once_the_database_can_be_written_again(
    postgres: PostgresServer,
) -> None:
    """While the database is read-only, as after a failover, reads are still answered."""
    dsn = await postgres.create_database_async()
    async with running_authx(dsn) as running:
        account = await running.ask(Register("ada", PASSWORD))
        await postgres.set_read_only(dsn, whether=True)
        kill = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1"
        await run_script(postgres.dsn, lambda s: s.execute(kill, urlsplit(dsn).path[1:]))
        # A connection that was being made may have been killed too: then none is made for a moment.
        with trio.fail_after(10):
            while not await can_read(running, account):  # noqa: ASYNC110 - a database tells nobody
                await trio.sleep(0.02)
        for _ in range(2):
            with pytest.raises(TransientError, match="read-only"):
                await running.ask(Register("bob", PASSWORD))
            assert await running.ask(GetAccount(account.account_id)) == account
        await postgres.set_read_only(dsn, whether=False)
        # A connection that has only read may still be one from before.
        with suppress(TransientError):
            await running.ask(Register("bob", PASSWORD))
        with suppress(UsernameTaken):
            await running.ask(Register("bob", PASSWORD))
        assert (await running.ask(FindAccount("bob"))).username == "bob"


async def test_account_username_is_unique_in_every_spelling(database_dsn: str) -> None:
    """A name that folds to a taken one is taken."""
    async with running_authx(database_dsn) as running:
        await running.ask(Register("Straße", PASSWORD))
        for spelling in ("Straße", "STRASSE", "strasse"):
            with pytest.raises(UsernameTaken):
                await running.ask(Register(spelling, PASSWORD))


async def test_account_registered_twice_at_once_is_made_once(database_dsn: str) -> None:
    """If many want one name at the same time, exactly one gets it."""
    results: list[str] = []
    async with running_authx(database_dsn) as running:

        async def attempt() -> None:
            try:
                await running.ask(Register("wanted", PASSWORD))
                results.append("made")
            except UsernameTaken:
                results.append("taken")

        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(attempt)
    assert sorted(results) == ["made"] + ["taken"] * 7


async def test_account_with_bad_name_or_password_is_refused_without_hashing(
    database_dsn: str,
) -> None:
    """A name or password that breaks the rules costs no hash."""
    async with running_authx(database_dsn) as running:
        with pytest.raises(InvalidUsername, match="only letters"):
            await running.ask(Register("no spaces", PASSWORD))
        with pytest.raises(InvalidPassword, match="at least 8"):
            await running.ask(Register("somebody", "short"))
        assert running.engine.operations == []
        with pytest.raises(UnknownAccount):
            await running.ask(FindAccount("somebody"))


async def test_account_with_a_name_that_draws_nothing_is_of_old_only(database_dsn: str) -> None:
    """No new account gets such a name; existing ones log in, and are found, as before."""
    name = "ada\u3164"
    async with running_authx(database_dsn) as running:
        with pytest.raises(InvalidUsername, match="invisible letters"):
            await running.ask(Register(name, PASSWORD))
        new = await running.register()
        await running.fetchval(
            "update accounts set username = $2, username_key = $2 where account_id = $1",
            new.account_id,
            unicodedata.normalize("NFKC", name),
        )
        assert (await running.login(name)).account_id == new.account_id
        assert (await running.ask(FindAccount(name))).account_id == new.account_id


async def test_account_that_is_not_there_is_unknown(database_dsn: str) -> None:
    """Neither an id nor a name, possible or not, finds a missing account."""
    async with running_authx(database_dsn) as running:
        for question in (
            GetAccount("01890a5d-ac96-774b-bcce-b302099a8057"),
            FindAccount("nobody"),
            FindAccount("no one"),
        ):
            with pytest.raises(UnknownAccount):
                await running.ask(question)


async def test_login_opens_a_session_whose_token_is_authorized(database_dsn: str) -> None:
    """The tokens are valid for the account, in any spelling of its name, until they expire."""
    async with running_authx(database_dsn) as running:
        account = await running.register("Grace")
        tokens = await running.login("GRACE")
        assert tokens.account_id == account.account_id
        assert tokens.expires_in == CHEAP.token_seconds
        assert tokens.refresh_expires_in == CHEAP.refresh_seconds
        assert await running.authorize(tokens) == Identity(
            account.account_id, tokens.session_id, "player", "Grace"
        )


async def test_login_of_unknown_user_and_wrong_password_cost_the_same(database_dsn: str) -> None:
    """Same answer, same hash work: one verification with the same parameters, nothing else."""
    async with running_authx(database_dsn) as running:
        account = await running.register()
        costs: list[list[str]] = []
        for username, password in (
            (account.username, "wrong horse"),
            ("nobody.here", "wrong horse"),
            ("nobody.here", PASSWORD),
            ("no such name!", PASSWORD),
            (account.username, ""),
            (account.username, "x" * 5000),
        ):
            running.engine.operations.clear()
            assert await outcome(running, username, password) is InvalidCredentials
            costs.append(list(running.engine.operations))
        assert all(cost == costs[0] for cost in costs)
        assert len(costs[0]) == 1


async def test_login_attempts_are_limited_per_user_and_not_for_others(database_dsn: str) -> None:
    """Beyond the limit even the right password waits, whether or not the user exists."""
    settings = replace(CHEAP, attempts_per_user=3)
    async with running_authx(database_dsn, settings) as running:
        account, other = await running.register(), await running.register()
        for username in (account.username, "nobody.at.all"):
            for _ in range(3):
                assert await outcome(running, username, "wrong") is InvalidCredentials
            running.engine.operations.clear()
            with pytest.raises(TooManyAttempts) as refusal:
                await running.login(username.upper())
            assert refusal.value.retry_after_s == 1
            assert running.engine.operations == []
        assert await outcome(running, other.username, PASSWORD) is None


async def test_login_burst_for_one_user_is_limited_too(database_dsn: str) -> None:
    """Attempts are counted when they begin: a burst gets no more tries than a sequence."""
    settings = replace(CHEAP, attempts_per_user=3)
    async with running_authx(database_dsn, settings) as running:
        account = await running.register()
        running.engine.operations.clear()
        results: list[type[Exception] | None] = []

        async def attempt() -> None:
            results.append(await outcome(running, account.username, "wrong"))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(attempt)
        assert results.count(InvalidCredentials) == 3
        assert results.count(TooManyAttempts) == 17
        assert len(running.engine.operations) == 3


async def test_login_that_succeeds_clears_the_attempts(database_dsn: str) -> None:
    """Whoever knows the password is not held to earlier mistakes."""
    settings = replace(CHEAP, attempts_per_user=2)
    async with running_authx(database_dsn, settings) as running:
        account = await running.register()
        for _ in range(4):
            assert await outcome(running, account.username, "wrong") is InvalidCredentials
            assert await outcome(running, account.username, PASSWORD) is None


async def test_login_delay_grows_and_ends(database_dsn: str, mock_clock: MockClock) -> None:
    """Each failure doubles the wait, after which the right password opens a session."""
    settings = replace(CHEAP, attempts_per_user=2)
    async with running_authx(database_dsn, settings) as running:
        account = await running.register()
        assert await outcome(running, account.username, "wrong") is InvalidCredentials
        for delay_s in (1, 2, 4, 8):
            assert await outcome(running, account.username, "wrong") is InvalidCredentials
            mock_clock.jump(delay_s - 0.5)
            assert await outcome(running, account.username, PASSWORD) is TooManyAttempts
            mock_clock.jump(0.5)
        assert await outcome(running, account.username, PASSWORD) is None


async def test_victim_of_an_attack_logs_in_from_elsewhere(
    database_dsn: str, mock_clock: MockClock
) -> None:
    """However others hammer a user, the right password from a clean address is accepted at once."""
    settings = replace(CHEAP, attempts_per_user=2, attempts_per_user_anywhere=3)
    async with running_authx(database_dsn, settings) as running:
        account = await running.register()

        async def attempt(password: str, address: str) -> Any:
            return await running.ask(Login(account.username, password, address))

        with pytest.raises(InvalidCredentials):
            await attempt("wrong", "192.0.2.1")
        for number in range(30):
            for attacker in ("192.0.2.1", f"192.0.2.{number + 2}"):
                with pytest.raises((InvalidCredentials, TooManyAttempts)):
                    await attempt("wrong", attacker)
            with pytest.raises(TooManyAttempts):
                await attempt(PASSWORD, "192.0.2.1")
            assert isinstance(await attempt(PASSWORD, "198.51.100.7"), Tokens)
            mock_clock.jump(0.1)


async def test_address_that_fails_everywhere_waits(database_dsn: str) -> None:
    """Existing, missing and impossible names count alike; other addresses do not wait."""
    settings = replace(CHEAP, attempts_per_address=3)
    async with running_authx(database_dsn, settings) as running:
        account, other = await running.register(), await running.register()
        for username in (account.username, "nobody.at.all", "no such name"):
            with pytest.raises(InvalidCredentials):
                await running.ask(Login(username, "wrong", "192.0.2.1"))
        running.engine.operations.clear()
        for username in (other.username, "no such name"):
            with pytest.raises(TooManyAttempts):
                await running.ask(Login(username, PASSWORD, "192.0.2.1"))
        assert running.engine.operations == []
        await running.ask(Login(other.username, PASSWORD, "192.0.2.2"))


async def test_login_renews_a_hash_with_outdated_parameters(database_dsn: str) -> None:
    """After a change of parameters the first login updates the hash, later ones do not."""
    async with running_authx(database_dsn) as running:
        account = await running.register()
    stronger = replace(CHEAP, argon2_time_cost=2)
    async with running_authx(database_dsn, stronger) as running:
        tokens = await running.login(account.username)
        assert (await running.authorize(tokens)).account_id == account.account_id
        assert [operation.split()[0] for operation in running.engine.operations] == [
            "verify",
            "hash",
        ]
        stored = await running.fetchval(
            "select password_hash from accounts where account_id = $1", account.account_id
        )
        assert "t=2" in stored
        running.engine.operations.clear()
        await running.login(account.username)
        assert len(running.engine.operations) == 1


async def test_logins_at_once_renew_a_hash_and_are_all_let_in(database_dsn: str) -> None:
    """The first replaces the hash the others were verified against: they are verified again."""
    async with running_authx(database_dsn) as running:
        account = await running.register()
    stronger = replace(CHEAP, argon2_time_cost=500, hash_workers=4)
    async with running_authx(database_dsn, stronger) as running, trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(running.login, account.username)
    assert "hash" in [operation.split()[0] for operation in running.engine.operations]


async def test_login_beyond_the_sessions_of_an_account_ends_the_oldest(database_dsn: str) -> None:
    """An account has a bounded number of sessions; the newest ones survive."""
    async with running_authx(database_dsn, replace(CHEAP, sessions_per_account_max=2)) as running:
        account, first = await running.newcomer()
        await running.authorize(first)
        running.clock.advance(1)
        second = await running.login(account.username)
        running.clock.advance(1)
        third = await running.login(account.username)
        with pytest.raises(InvalidToken):
            await running.authorize(first)
        for tokens in (second, third):
            await running.authorize(tokens)


async def test_password_is_changed_and_other_sessions_end(database_dsn: str) -> None:
    """Only the calling session survives, and only the new password opens another."""
    async with running_authx(database_dsn) as running:
        account, mine = await running.newcomer()
        other = await running.login(account.username)
        await running.authorize(other)
        change = ChangePassword(account.account_id, mine.session_id, PASSWORD, "new password")
        assert await running.ask(change) is None
        assert (await running.authorize(mine)).session_id == mine.session_id
        with pytest.raises(InvalidToken):
            await running.authorize(other)
        with pytest.raises(InvalidToken):
            await running.ask(Refresh(other.refresh_token))
        assert await outcome(running, account.username, PASSWORD) is InvalidCredentials
        assert await outcome(running, account.username, "new password") is None


async def test_password_change_is_refused_without_the_current_one(database_dsn: str) -> None:
    """A wrong password, a bad new one or too many guesses change nothing."""
    async with running_authx(database_dsn, replace(CHEAP, attempts_per_user=2)) as running:
        account, mine = await running.newcomer()
        with pytest.raises(InvalidPassword):
            await running.ask(
                ChangePassword(account.account_id, mine.session_id, PASSWORD, "short")
            )
        guess = ChangePassword(account.account_id, mine.session_id, "guess", "new password")
        for expected in (InvalidCredentials, InvalidCredentials, TooManyAttempts):
            with pytest.raises(expected):
                await running.ask(guess)
        assert await outcome(running, account.username, PASSWORD) is None


async def test_password_changed_during_a_login_leaves_no_session_of_the_old_one(
    database_dsn: str,
) -> None:
    """However a login and a change interleave, the old password leaves no session behind."""
    async with running_authx(database_dsn) as running:
        for _ in range(10):
            account, mine = await running.newcomer()
            opened: list[str] = []

            async def attempt(username: str, opened: list[str] = opened) -> None:
                with suppress(InvalidCredentials):
                    opened.append((await running.login(username)).session_id)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(attempt, account.username)
                nursery.start_soon(
                    running.ask,
                    ChangePassword(account.account_id, mine.session_id, PASSWORD, "new password"),
                )
                nursery.start_soon(attempt, account.username)
            live = await running.ask(ListSessions(account.account_id))
            assert [session.session_id for session in live] == [mine.session_id]


async def test_account_erased_during_a_login_is_refused_like_a_wrong_password(
    database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal does not reveal that the account was there, and is no fault."""
    async with running_authx(database_dsn) as running:
        account = await running.register()
        verify = running.engine.verify

        def erased_meanwhile(hashed: str | bytes, password: str | bytes) -> bool:
            monkeypatch.undo()
            matches = verify(hashed, password)
            erase = EraseAccount(account.account_id, PASSWORD)
            assert trio.from_thread.run(running.ask, erase) is None
            return matches

        monkeypatch.setattr(running.engine, "verify", erased_meanwhile)
        assert await outcome(running, account.username, PASSWORD) is InvalidCredentials


async def test_account_is_erased_with_its_sessions(database_dsn: str) -> None:
    """With the password everything goes at once, and the name is free again."""
    async with running_authx(database_dsn) as running:
        account, tokens = await running.newcomer()
        await running.authorize(tokens)
        with pytest.raises(InvalidCredentials):
            await running.ask(EraseAccount(account.account_id, "wrong"))
        await running.authorize(tokens)
        assert await running.ask(EraseAccount(account.account_id, PASSWORD)) is None
        with pytest.raises(InvalidToken):
            await running.authorize(tokens)
        with pytest.raises(InvalidToken):
            await running.ask(Refresh(tokens.refresh_token))
        with pytest.raises(InvalidCredentials):
            await running.ask(EraseAccount(account.account_id, PASSWORD))
        with pytest.raises(UnknownAccount):
            await running.ask(GetAccount(account.account_id))
        assert await outcome(running, account.username, PASSWORD) is InvalidCredentials
        assert (await running.register(account.username)).account_id != account.account_id


async def test_account_is_not_erased_beside_another(database_dsn: str) -> None:
    """Erasure takes one connection: if there are several at once, the others are refused."""
    async with running_authx(database_dsn) as running:
        account, _ = await running.newcomer()
        erasure = EraseAccount(account.account_id, PASSWORD)
        other = await running.database.connect(name="another erasure")

        async def beside(session: Session) -> None:
            async with session.transaction():
                await session.execute("select pg_advisory_xact_lock($1)", ERASURE_LOCK)
                for _ in range(8):
                    with pytest.raises(Overloaded):
                        await running.ask(erasure)
                await running.login(account.username)

        await other.run(beside)
        await running.ask(erasure)
        assert await outcome(running, account.username, PASSWORD) is InvalidCredentials


async def test_account_that_takes_too_long_to_erase_keeps_nobody_out(database_dsn: str) -> None:
    """Its connection is lost, and the next one opened at once: the database is not away."""
    settings = replace(
        CHEAP, database_connections=1, query_timeout_ms=500, reconnect_backoff_ms=60_000
    )
    async with running_authx(database_dsn, settings) as running:
        account, _ = await running.newcomer()
        other = await running.database.connect(name="other")

        async def beside(session: Session) -> None:
            async with session.transaction():
                await session.execute("lock table ledger")
                with pytest.raises(DatabaseTimeout):
                    await running.ask(EraseAccount(account.account_id, PASSWORD))
                await running.login(account.username)

        await other.run(beside)


async def test_account_messages_may_come_without_a_reply(database_dsn: str) -> None:
    """A message whose sender does not wait is carried out, refused or not."""
    async with running_authx(database_dsn) as running:
        account, tokens = await running.newcomer()
        for body in (
            Register("silent", PASSWORD),
            Register("bad name", PASSWORD),
            Refresh("nonsense"),
            Login(account.username, "wrong"),
        ):
            running.bus.send_nowait(Message(Topic.AUTH, body))

        async def is_registered() -> bool:
            with suppress(UnknownAccount):
                return bool(await running.ask(FindAccount("silent")))
            return False

        await running.wait_until(is_registered)
        await running.authorize(tokens)
