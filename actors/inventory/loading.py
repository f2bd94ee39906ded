"""Reads the records of accounts being activated: those that wait together, in one query.

Self-clocked, like the group commit: accounts activated while a query is in flight form the next
one. A lone account is read at once, a burst costs a few queries in all.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from actors.inventory import records
from actors.inventory.batch_size import BatchSize
from actors.storage import Refused, Row, StorageClient, StorageError
from bus import BusError, ReplyTimeout

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Mapping, Sequence

    from bus import Bus, PendingReply, Reply

_BATCH_MAX: Final = 256
_SLICE: Final = 32
"""How many inventories begin in one go: about three milliseconds of work, then I/O may run."""
_SLICE_ORDERS: Final = 500
"""The same for inventories with many pending orders."""
_SLICE_ROWS: Final = 1000
"""How many orders are grouped in one go: about half a millisecond of work."""


class Stored(NamedTuple):
    """The stored data of an account: its inventory's row, None if it has none, and its orders."""

    row: Row | None
    pending: Sequence[Row]


class Loader:
    """Answers `load` while `run` runs; see the module.

    ``wait_seconds_max`` bounds each wait. Every Inventory waits for one record at a time, so at
    most as many wait as may be live, plus those that gave up since the last batch was read.
    """

    def __init__(self, bus: Bus, storage: StorageClient, *, wait_seconds_max: float) -> None:
        self._bus = bus
        self._storage = storage
        self._wait_s = wait_seconds_max
        self._waiting: deque[tuple[str, Reply[Stored]]] = deque()
        self._came = trio.lowlevel.ParkingLot()
        self._size = BatchSize(_BATCH_MAX)
        self._held: set[str] = set()
        self._released = trio.lowlevel.ParkingLot()
        self._unsettled: set[str] = set()
        self._ended = False

    @property
    def batch(self) -> int:
        """How many accounts `read` should be asked for at a time, as far as is known now."""
        return self._size.accounts

    async def load(self, account_id: str) -> Stored:
        """Read what is stored of an account, once nobody holds it; cancellation gives up.

        If there is a `doubt` about it, wait until that is settled.

        Raises:
            ReplyTimeout: it is held, or the answer does not come, for too long.
            Exception: otherwise, as `StorageClient.read` and `StorageClient.wait_settled`.
        """
        if account_id in self._held:
            await self._wait_released(account_id)
        if account_id in self._unsettled:
            await self._storage.wait_settled()
            self._unsettled.discard(account_id)
        pending = self._enter(account_id)
        return await pending.wait(self._wait_s)

    @contextmanager
    def holding(self, account_ids: Collection[str]) -> Generator[None]:
        """Let nobody load these accounts for the length of the block, which must come to an end.

        They must not be live: the holder is their only writer.
        """
        self._held.update(account_ids)
        try:
            yield
        finally:
            self._held.difference_update(account_ids)
            self._released.unpark_all()

    def doubt(self, account_id: str) -> None:
        """Record that the outcome of a unit with this account's inventory is unknown.

        It may still take effect after an Inventory has loaded what is stored now, which would
        then show outdated state until it writes.
        """
        self._unsettled.add(account_id)

    async def read(self, ids: tuple[str, ...]) -> dict[str, Stored]:
        """Read what is stored of these accounts now, by account.

        Raises: as `StorageClient.read`.
        """
        try:
            rows, orders = await self._storage.read(*records.reads_of(ids))
        except BusError:
            self._size.failed()
            raise
        self._size.was_read(len(ids), len(orders))
        pending: dict[str, list[Row]] = {account_id: [] for account_id in ids}
        for number, order in enumerate(orders, start=1):
            pending[order["account_id"]].append(order)
            if number % _SLICE_ROWS == 0:
                await trio.lowlevel.checkpoint()
        by_account = {row["account_id"]: row for row in rows}
        return {
            account_id: Stored(by_account.get(account_id), pending[account_id])
            for account_id in ids
        }

    async def run(self) -> None:
        """Read for all that wait, until cancelled, once; those waiting then get `ActorStopped`."""
        try:
            while True:
                while not self._waiting:
                    await self._came.park()
                most = min(self.batch, len(self._waiting))
                await self._answer([self._waiting.popleft() for _ in range(most)])
        finally:
            self._ended = True
            self._waiting.clear()

    async def _wait_released(self, account_id: str) -> None:
        with trio.move_on_after(self._wait_s):
            while account_id in self._held:
                await self._released.park()
            return
        msg = "the account's due orders were not settled in time"
        raise ReplyTimeout(msg)

    # Not inlined in load(): while that waits, only the queue may hold the reply.
    def _enter(self, account_id: str) -> PendingReply[Stored]:
        reply, pending = self._bus.open_reply()
        # If nobody reads any more, returning lets go of it: the caller learns so at once.
        if not self._ended:
            self._waiting.append((account_id, reply))
            self._came.unpark()
        return pending

    async def _answer(self, batch: Sequence[tuple[str, Reply[Stored]]]) -> None:
        askers: dict[str, list[Reply[Stored]]] = {}
        for account_id, reply in batch:
            askers.setdefault(account_id, []).append(reply)
        try:
            found = await self.read(tuple(askers))
        except Refused as refusal:
            # One of them names no valid account: it must not fail the others.
            if len(batch) == 1:
                batch[0][1].fail(refusal)
            else:
                for asked in batch:
                    await self._answer([asked])
            return
        except (BusError, StorageError) as error:
            # Accounts that arrived meanwhile would fare no better.
            batch = (*batch, *self._waiting)
            self._waiting.clear()
            for _, reply in batch:
                reply.fail(error)
            return
        await _hand_out(found, askers)


async def _hand_out(
    found: dict[str, Stored], askers: Mapping[str, Sequence[Reply[Stored]]]
) -> None:
    """Give each caller what it asked for, popping it, so that not all is freed at once."""
    for account_ids in parted(found, accounts_max=_SLICE, orders_max=_SLICE_ORDERS):
        for account_id in account_ids:
            stored = found.pop(account_id)
            for reply in askers[account_id]:
                reply.send_nowait(stored)
        await trio.lowlevel.checkpoint()


def parted(stored: Mapping[str, Stored], *, accounts_max: int, orders_max: int) -> list[list[str]]:
    """Split accounts, in order; a part ends with the one that brings it to either bound."""
    parts: list[list[str]] = []
    accounts = orders = 0
    for account_id, (_, pending) in stored.items():
        if accounts == 0:
            parts.append([])
        parts[-1].append(account_id)
        accounts += 1
        orders += len(pending)
        if accounts >= accounts_max or orders >= orders_max:
            accounts = orders = 0
    return parts
