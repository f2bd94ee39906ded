"""Accounts by name in memory: the account that a username refers to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from actors.authx.remembered import Remembered

if TYPE_CHECKING:
    from actors.authx.messages import Account


class NamedAccount(NamedTuple):
    """An account, and the key of its username (see `parse_username`)."""

    username_key: str
    account: Account


class AccountCache(Remembered[NamedAccount]):
    """At most ``accounts_max`` accounts by the keys of their usernames, most recently used.

    An unused name is not cached: somebody may take it at any moment.
    """

    __slots__ = ()

    def __init__(self, accounts_max: int) -> None:
        super().__init__(accounts_max, _names_of)


def _names_of(named: NamedAccount) -> tuple[str, str]:
    return named.username_key, named.account.account_id
