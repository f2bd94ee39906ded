"""How many accounts are read from the database together."""

from __future__ import annotations

from typing import Final

ORDERS_MAX: Final = 8_192
"""How many pending orders one read should return: 10 MB, and a tenth of a second of the database.

Two reads are under way at a time, besides one for accounts being activated. If accounts have
hundreds of orders pending, a full page of them would be hundreds of thousands of rows: too much
memory, and possibly more than a query has time for, however often it is tried again.
"""
_FIRST: Final = 32


class BatchSize:
    """Follows how many pending orders accounts have; at most ``most`` accounts, at least one.

    How many an account has is known only once it was read. So the size begins small and at most
    doubles with each full read; it falls at once to what would have fitted, and by half if a read
    failed.
    """

    __slots__ = ("_most", "accounts")

    def __init__(self, most: int) -> None:
        self._most = most
        self.accounts = min(most, _FIRST)

    def was_read(self, accounts: int, orders: int) -> None:
        """Adjust the size to a read of so many accounts that had so many pending orders."""
        fitting = max(1, accounts * ORDERS_MAX // max(1, orders))
        grown = 2 * self.accounts if accounts >= self.accounts else self.accounts
        self.accounts = min(self._most, grown, fitting)

    def failed(self) -> None:
        """Adjust the size to a read that was not answered."""
        self.accounts = max(1, self.accounts // 2)
