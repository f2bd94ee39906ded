"""A session: the queries and commands of an account."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from holdfast_client import operations, requests
from holdfast_client.admin import Admin
from holdfast_client.errors import Unauthorized
from holdfast_client.events import EventStream
from holdfast_client.pages import Pages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast_client.connection import Answer, Connection
    from holdfast_client.credentials import Credentials
    from holdfast_client.operations import Operation
    from holdfast_client.requests import Sent
    from holdfast_client.types import (
        Account,
        CancelledOrder,
        Inventory,
        LedgerEntry,
        LiveSession,
        Order,
        Quote,
        SessionTokens,
        Transfer,
    )

T = TypeVar("T")

LEDGER_PAGE: Final = 500
"""The maximum of ledger entries that the server returns at once."""


class Session:
    """One session of one account, made by `Client.log_in`.

    Its token is renewed when it is about to expire. A command takes effect once, however often it
    has to be sent: its idempotency key is generated, or passed as ``key`` if you want to send it
    again later (after a restart, say). Every call raises `Unauthorized` if the session has ended,
    `ServerBusy` or `NoAnswer` if the server cannot do it now, and `InvalidArgument` if an argument
    cannot be sent.
    """

    def __init__(self, connection: Connection, credentials: Credentials) -> None:
        self._connection = connection
        self._credentials = credentials

    @property
    def tokens(self) -> SessionTokens:
        """The latest tokens, to resume the session later (`Client.resume`)."""
        return self._credentials.tokens

    @property
    def account_id(self) -> str:
        """The account's id."""
        return self.tokens.account_id

    @property
    def admin(self) -> Admin:
        """What operators may do, for an account with role ``admin``."""
        return Admin(self)

    async def exchange(
        self,
        operation: Operation[T],
        *values: str,
        query: Sent | None = None,
        body: Sent | None = None,
        key: str | None = None,
    ) -> Answer[T]:
        """Make any call of `holdfast_client.operations` as this account."""
        token = await self._credentials.access_token()
        try:
            return await self._connection.exchange(
                operation, *values, query=query, body=body, key=key, token=token
            )
        except Unauthorized as refusal:
            if refusal.slug != "invalid-token" or not self._credentials.renewable:
                raise
        # Nothing was done: a token is refused before anything else is checked.
        await self._credentials.renew(token)
        token = self._credentials.tokens.access_token
        return await self._connection.exchange(
            operation, *values, query=query, body=body, key=key, token=token
        )

    # --- the inventory -----------------------------------------------------------------------

    async def inventory(self) -> Inventory:
        """Return what the account owns now."""
        return (await self.exchange(operations.INVENTORY)).value

    async def forecast(self, ahead: timedelta | int) -> Inventory:
        """Return what it will own if nothing more is ordered; ``ahead`` in world time (seconds)."""
        seconds = int(ahead.total_seconds()) if isinstance(ahead, timedelta) else ahead
        query = requests.ForecastQuery(seconds)
        return (await self.exchange(operations.FORECAST, query=query)).value

    async def quote(self, asset: str, count: int | None = None) -> Quote:
        """Return what an order placed now would cost, and when it will be affordable.

        Raises:
            NotFound: ``unknown-asset``.
            Refused: ``max-level``.
        """
        query = requests.QuoteQuery(count)
        return (await self.exchange(operations.QUOTE, asset, query=query)).value

    async def order(self, asset: str, count: int | None = None, *, key: str | None = None) -> Order:
        """Order the next level of a building or technology, or ``count`` of a unit.

        Raises:
            Refused: ``insufficient-resources``, ``prerequisites-missing``, ``queue-full``,
                ``max-level``.
            NotFound: ``unknown-asset``.
        """
        body = requests.OrderBody(asset, count)
        return (await self.exchange(operations.PLACE_ORDER, body=body, key=key)).value

    async def orders(self) -> Sequence[Order]:
        """Return the pending orders, first to finish first."""
        return (await self.exchange(operations.ORDERS)).value.orders

    async def find_order(self, order_id: str) -> Order:
        """Return any order, pending or not.

        Raises:
            NotFound: ``unknown-order``.
        """
        return (await self.exchange(operations.ORDER, order_id)).value

    async def cancel(self, order_id: str) -> CancelledOrder:
        """Cancel a pending order; return it and its refund.

        It is not retried if it may have taken effect: check with `find_order`.

        Raises:
            Refused: ``order-not-pending``.
            NotFound: ``unknown-order``.
        """
        return (await self.exchange(operations.CANCEL_ORDER, order_id)).value

    def ledger(self, *, after: int = 0, page: int = LEDGER_PAGE) -> Pages[LedgerEntry, int]:
        """Read the ledger from the entry following ``after``, by pages: an async iterator."""

        async def fetch(cursor: int) -> tuple[Sequence[LedgerEntry], int | None]:
            query = requests.LedgerQuery(cursor, page)
            found = (await self.exchange(operations.LEDGER, query=query)).value
            return found.entries, found.next

        return Pages(fetch, after)

    def events(self, *, after: int | None = None) -> EventStream:
        """Follow what happens to the account: an async context manager, then an async iterator.

        ``after`` is the sequence number of the last event (or ledger entry) known; without it the
        stream begins now.
        """
        return EventStream(self._connection, self._credentials, after=after)

    # --- transfers ---------------------------------------------------------------------------

    async def send(
        self, to: str, resources: Mapping[str, int], *, note: str = "", key: str | None = None
    ) -> Transfer:
        """Send resources to another account, by its name.

        Raises:
            NotFound: ``unknown-account``.
            Refused: ``insufficient-resources``, ``transfer-limit``, ``transfer-returned``,
                ``transfers-disabled``.
        """
        body = requests.TransferBody(to, resources, note)
        return (await self.exchange(operations.SEND, body=body, key=key)).value

    def transfers(self, *, before: str = "", page: int = 100) -> Pages[Transfer, str]:
        """Read the transfers sent and received, newest first, by pages: an async iterator.

        ``before`` is the id of a transfer: only older ones are read; without it, all of them.
        """

        async def fetch(cursor: str) -> tuple[Sequence[Transfer], str | None]:
            query = requests.TransfersQuery(cursor, page)
            found = (await self.exchange(operations.TRANSFERS, query=query)).value
            return found.transfers, found.next

        return Pages(fetch, before)

    async def find_transfer(self, transfer_id: str) -> Transfer:
        """Return any transfer that this account has sent or received.

        Raises:
            NotFound: ``unknown-transfer``.
        """
        return (await self.exchange(operations.TRANSFER, transfer_id)).value

    # --- the account -------------------------------------------------------------------------

    async def account(self) -> Account:
        """Return the account."""
        return (await self.exchange(operations.ACCOUNT)).value

    async def change_password(self, current: str, new: str) -> None:
        """Change the password and end every other session.

        Raises:
            Unauthorized: ``invalid-credentials``.
            InvalidRequest: the new password is not acceptable.
        """
        await self.exchange(
            operations.CHANGE_PASSWORD, body=requests.PasswordChangeBody(current, new)
        )

    async def erase_account(self, password: str) -> None:
        """Erase the account and everything it owns, for good.

        Raises:
            Unauthorized: ``invalid-credentials``.
        """
        await self.exchange(operations.ERASE_ACCOUNT, body=requests.PasswordBody(password))
        self._credentials.close()

    async def sessions(self) -> Sequence[LiveSession]:
        """Return the open sessions of the account, newest first."""
        return (await self.exchange(operations.SESSIONS)).value.sessions

    async def end_session(self, session_id: str) -> None:
        """End one session of the account, this one or another.

        The request is not retried if it may have taken effect: check with `sessions`.

        Raises:
            NotFound: ``unknown-session``: it may have ended already.
        """
        await self.exchange(operations.END_SESSION, session_id)
        if session_id.lower() == self.tokens.session_id:
            self._credentials.close()

    async def log_out(self) -> None:
        """End this session."""
        await self.exchange(operations.LOG_OUT)
        self._credentials.close()

    async def log_out_everywhere(self) -> None:
        """End every session of the account."""
        await self.exchange(operations.LOG_OUT_EVERYWHERE)
        self._credentials.close()
