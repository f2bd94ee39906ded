"""Accounts by name: cached while they are current, and read together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from uuid_utils import uuid7

from actors.authx import account_store, erasure, operator
from actors.authx.audit_store import AuditEntry
from actors.authx.directory import AccountCache, NamedAccount
from actors.authx.errors import UnknownAccount
from actors.authx.messages import Account, EraseAccount, FindAccount
from tests.actors.authx.harness import PASSWORD, running_authx
from tests.actors.authx.support import WallClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.database.session import Script
    from tests.actors.authx.harness import Running

NOW = WallClock().now


def named(key: str, account_id: str | None = None) -> NamedAccount:
    """Make an account of this name."""
    account = Account(account_id or f"id of {key}", key.title(), "player", False, NOW)
    return NamedAccount(key, account)


class Counting:
    """Counts the queries for accounts by name, and the names in each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches: list[int] = []
        self._find = account_store.find_accounts
        monkeypatch.setattr(account_store, "find_accounts", self.find)

    def find(self, keys: Sequence[str]) -> Script[list[NamedAccount]]:
        """Count one."""
        self.batches.append(len(keys))
        return self._find(keys)


async def found(running: Running, username: str) -> Account | None:
    """Find an account, or None."""
    try:
        account: Account = await running.ask(FindAccount(username))
    except UnknownAccount:
        return None
    return account


def test_account_that_takes_a_name_over_leaves_nothing_of_the_one_before() -> None:
    """A name is one account's: the end of its previous owner does not affect it."""
    cache = AccountCache(3)
    cache.put(named("ada", "first"))
    cache.put(named("ada", "second"))
    cache.drop_account("first")
    assert cache.get("ada") == named("ada", "second")
    cache.drop_account("second")
    assert (cache.get("ada"), cache._by_account) == (None, {})


async def test_account_that_is_known_costs_no_query(
    database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many ask for a name at once, it is in at most two queries, and in none after them."""
    counting = Counting(monkeypatch)
    async with running_authx(database_dsn) as running:
        await running.wait_listening()
        accounts = [await running.register() for _ in range(8)]

        async def ask(account: Account) -> None:
            assert await found(running, account.username.upper()) == account

        read = 0
        for _ in range(2):
            async with trio.open_nursery() as nursery:
                for number in range(200):
                    nursery.start_soon(ask, accounts[number % 8])
            read = read or sum(counting.batches)
        # A request for a name that is being read waits for the query after that one.
        assert read == sum(counting.batches)
        assert read <= 2 * len(accounts)
        for _ in range(2):
            assert await found(running, "nobody") is None
        assert sum(counting.batches) == read + 2


async def test_account_that_is_erased_is_unknown_at_once(database_dsn: str) -> None:
    """When an erasure is answered its name is free, and whoever takes it is found."""
    async with running_authx(database_dsn) as running:
        await running.wait_listening()
        account = await running.register()
        name = account.username.upper()
        assert await found(running, name) == account
        await running.ask(EraseAccount(account.account_id, PASSWORD))
        assert await found(running, name) is None
        again = await running.register(name)
        assert await found(running, name) == again


@pytest.mark.parametrize("change", ["erased", "suspended", "promoted"])
async def test_account_that_another_process_changes_is_read_again(
    database_dsn: str, change: str
) -> None:
    """Commits by the command line, or by an earlier server, take effect here at once."""
    async with running_authx(database_dsn) as running:
        await running.wait_listening()
        account = await running.register()
        name = account.username.upper()
        assert await found(running, name) == account
        connection = await running.database.connect(name="operator")
        match change:
            case "erased":
                sql = "select password_hash from accounts where account_id = $1"
                verified = await running.fetchval(sql, account.account_id)
                audit = AuditEntry(str(uuid7()), NOW, "", "account-erased", "", "{}")
                script = erasure.erase_account(
                    account.account_id, verified_hash=verified, audit=audit
                )
                await connection.run(script, timeout_s=5)
            case "suspended":
                await operator.set_suspended(connection, name, suspended=True, now=NOW)
            case _:
                await operator.set_role(connection, name, "admin", now=NOW)

        async def is_heard() -> bool:
            now = await found(running, name)
            match change:
                case "erased":
                    return now is None
                case "suspended":
                    return now is not None and now.suspended
                case _:
                    return now is not None and now.role == "admin"

        await running.wait_until(is_heard)
        await connection.aclose()


async def test_accounts_are_not_believed_while_nothing_is_heard(database_dsn: str) -> None:
    """Without the listener a change could be missed: the database is asked each time."""
    async with running_authx(database_dsn) as running:
        await running.wait_listening()
        account = await running.register()
        name = account.username.upper()
        assert await found(running, name) == account
        # The listener's connection breaks, and the row goes unannounced, in one statement.
        await running.fetchval(
            "with gone as (delete from accounts where account_id = $1 returning 1)"
            " select pg_terminate_backend(pid), (select count(*) from gone)"
            " from pg_stat_activity where application_name like '%authx-listener%'",
            account.account_id,
        )

        async def is_gone() -> bool:
            return await found(running, name) is None

        await running.wait_until(is_gone)
