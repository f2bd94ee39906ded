"""Registrations: what a taken name costs, how many come from one address, and who gets in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio

from actors.authx import account_store
from actors.authx.errors import RegistrationClosed, TooManyAttempts, UsernameTaken
from actors.authx.messages import Account, Login, Register, Tokens
from actors.database.errors import DatabaseError
from bus import Overloaded
from tests.actors.authx.harness import PASSWORD, running_authx
from tests.actors.authx.support import CHEAP

if TYPE_CHECKING:
    from trio.testing import MockClock

    from actors.database.session import Script, Session
    from tests.actors.authx.harness import Running

HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"


async def refused_for_s(running: Running, username: str, address: str) -> int | None:
    """Register; return how long that is refused for, or None if it is not."""
    try:
        await running.ask(Register(username, PASSWORD, address))
    except TooManyAttempts as refusal:
        return refusal.retry_after_s
    except UsernameTaken:
        return None
    return None


async def test_taken_name_is_refused_without_hashing(database_dsn: str) -> None:
    """A taken name costs one lookup, in any spelling."""
    async with running_authx(database_dsn) as running:
        account = await running.register()
        running.engine.operations.clear()
        for spelling in (account.username, account.username.upper()):
            with pytest.raises(UsernameTaken):
                await running.ask(Register(spelling, PASSWORD))
        assert running.engine.operations == []


async def test_name_taken_while_the_password_is_hashed_is_taken(
    database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name free at the lookup may be taken when it is written: the database decides."""
    async with running_authx(database_dsn) as running:
        account = await running.register()
        find = account_store.find_credentials

        def find_nobody(_: str) -> Script[account_store.Credentials | None]:
            return find("nobody.at.all")

        with monkeypatch.context() as patch:
            patch.setattr("actors.authx.service.account_store.find_credentials", find_nobody)
            with pytest.raises(UsernameTaken):
                await running.ask(Register(account.username, PASSWORD))


async def test_registrations_of_one_address_are_limited(
    database_dsn: str, mock_clock: MockClock
) -> None:
    """After the free ones each waits twice as long, made or taken; nobody elsewhere waits."""
    settings = replace(CHEAP, registrations_per_address=3)
    async with running_authx(database_dsn, settings) as running:
        account = await running.register()
        for name in ("first.of.home", account.username, "second.of.home"):
            assert await refused_for_s(running, name, HOME) is None
        running.engine.operations.clear()
        for delay_s in (1, 2, 4):
            assert await refused_for_s(running, account.username, HOME) == delay_s
            assert await refused_for_s(running, "third.of.home", HOME) == delay_s
            mock_clock.jump(delay_s)
            assert await refused_for_s(running, account.username, HOME) is None
        assert running.engine.operations == []
        assert await refused_for_s(running, "first.elsewhere", ELSEWHERE) is None
        for number in range(10):
            assert await refused_for_s(running, f"exempt{number}", "") is None


async def test_registrations_hold_nobody_back_from_logging_in(database_dsn: str) -> None:
    """They are counted apart from failed logins."""
    settings = replace(CHEAP, registrations_per_address=1, attempts_per_address=1)
    async with running_authx(database_dsn, settings) as running:
        account = await running.register()
        assert await refused_for_s(running, account.username, HOME) is None
        assert await refused_for_s(running, account.username, HOME) == 1
        tokens = await running.ask(Login(account.username, PASSWORD, HOME))
        assert isinstance(tokens, Tokens)


async def test_registration_that_the_database_failed_does_not_count(
    database_dsn: str, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retries during an outage delay nobody once the database is back."""
    settings = replace(CHEAP, registrations_per_address=1)
    async with running_authx(database_dsn, settings) as running:
        assert await refused_for_s(running, "first.of.home", HOME) is None
        mock_clock.jump(1)

        def fail(_: str) -> Script[None]:
            async def script(_: object) -> None:
                await trio.lowlevel.checkpoint()
                raise DatabaseError("away")

            return script

        with monkeypatch.context() as patch:
            patch.setattr("actors.authx.service.account_store.find_credentials", fail)
            for _ in range(3):
                with pytest.raises(DatabaseError):
                    await running.ask(Register("patient", PASSWORD, HOME))
        assert isinstance(await running.ask(Register("patient", PASSWORD, HOME)), Account)


async def test_registrations_take_half_of_the_places_to_hash(
    database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many register, from anywhere, there is a place for logins."""
    settings = replace(CHEAP, hash_workers=2, hash_queue=4)
    async with running_authx(database_dsn, settings) as running:
        account = await running.register()
        going = trio.Event()
        find = account_store.find_credentials

        def find_slowly(key: str) -> Script[account_store.Credentials | None]:
            async def script(session: Session) -> account_store.Credentials | None:
                await going.wait()
                return await find(key)(session)

            return script

        outcomes: list[str] = []

        async def register(number: int) -> None:
            try:
                await running.ask(Register(f"one.of.many{number}", PASSWORD))
                outcomes.append("made")
            except Overloaded:
                outcomes.append("overloaded")

        monkeypatch.setattr("actors.authx.service.account_store.find_credentials", find_slowly)
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(register, number)
            while len(outcomes) < 17:  # noqa: ASYNC110 - the database is a process of its own
                await trio.sleep(0.005)
            assert outcomes == ["overloaded"] * 17
            assert running.passwords.slots_free == 3
            going.set()
        assert sorted(outcomes) == ["made"] * 3 + ["overloaded"] * 17
        assert isinstance(await running.login(account.username), Tokens)


async def test_closed_registration_makes_no_account(database_dsn: str) -> None:
    """Nothing is looked up or hashed; existing accounts log in."""
    async with running_authx(database_dsn) as running:
        account = await running.register()
    settings = replace(CHEAP, registration_open=False)
    async with running_authx(database_dsn, settings) as running:
        for name in ("newcomer", account.username):
            with pytest.raises(RegistrationClosed):
                await running.ask(Register(name, PASSWORD))
        assert running.engine.operations == []
        assert isinstance(await running.login(account.username), Tokens)
