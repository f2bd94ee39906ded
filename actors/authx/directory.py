"""Accounts by name in memory: whom a username speaks of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from actors.authx.errors import UnknownAccount
from actors.authx.reads import BatchedReads
from actors.authx.remembered import Remembered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import trio

    from actors.authx.messages import Account
    from bus import Reply


class NamedAccount(NamedTuple):
    """An account, and the key of its username (see `parse_username`)."""

    username_key: str
    account: Account


class AccountCache(Remembered[NamedAccount]):
    """At most ``accounts_max`` accounts by the keys of their usernames, the ones used last.

    That nobody has a name is not remembered: somebody may take it at any moment.
    """

    __slots__ = ()

    def __init__(self, accounts_max: int) -> None:
        super().__init__(accounts_max, _names_of)


class AccountReader:
    """Reads the accounts that the cache does not know: see `BatchedReads`."""

    def __init__(
        self,
        cache: AccountCache,
        fetch: Callable[[Sequence[str]], Awaitable[Sequence[NamedAccount]]],
        nursery: trio.Nursery,
        *,
        waiting_max: int,
    ) -> None:
        self._reads = BatchedReads(cache, fetch, nursery, waiting_max=waiting_max)

    def ask(self, username_key: str, reply: Reply[Any]) -> None:
        """Let a name wait for the next read; ``reply`` gets its `Account`, or `UnknownAccount`.

        Raises:
            Overloaded: too many wait already.
        """
        self._reads.ask(username_key, _account_of, reply)


def _account_of(named: NamedAccount | None) -> Account:
    if named is None:
        raise UnknownAccount
    return named.account


def _names_of(named: NamedAccount) -> tuple[str, str]:
    return named.username_key, named.account.account_id
