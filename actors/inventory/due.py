"""Settles the accounts for which something has come due, whether or not their owner is there.

It finds them through a database index: the cost of a tick depends on what is due, never on how
many accounts exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from actors.inventory.due_looks import DueLooks
from actors.inventory.errors import InventoryError
from actors.inventory.messages import Settle
from actors.storage import Read, Row, StorageClient, StorageError
from actors.turns import Turns
from bus import BusError, Message, ReplyTimeout, Topic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from structlog.typing import FilteringBoundLogger

    from actors.inventory.activation import Activation
    from actors.inventory.passive import PassiveAccounts
    from actors.inventory.world import WorldTime
    from bus import Bus, PendingReply

_PAGES_LISTED: Final = 8
"""How many pages one query lists: a row of the list costs little."""
_PAGES_IN_HAND: Final = 2
"""One is applied while the database has the other."""
_SLICE: Final = 32
"""How many accounts are addressed in one go: about a millisecond of work, then I/O may run."""


class DueAccounts:
    """Looks for due accounts at every tick; their Inventories settle the live ones.

    Two pages are in progress at a time: players' commands need not wait for everything that came
    due together, and the database does not idle between two pages.
    """

    def __init__(
        self,
        bus: Bus,
        storage: StorageClient,
        activation: Activation,
        passive: PassiveAccounts,
        world: WorldTime,
        *,
        page: int,
        reply_seconds_max: float,
        log: FilteringBoundLogger,
    ) -> None:
        self._bus = bus
        self._storage = storage
        self._activation = activation
        self._passive = passive
        self._world = world
        self._page = page
        self._listed = _PAGES_LISTED * page
        self._reply_s = reply_seconds_max
        self._log = log
        self._looks = DueLooks()
        self.lag_ms = 0

    async def run(self) -> None:
        """Settle what is due, then wait for the next tick unless it has come; until cancelled.

        What could not be settled stays due and comes again with the next tick.
        """
        while True:
            now_ms = self._world.now_ms
            try:
                await self._settle_all(now_ms)
            except (BusError, StorageError) as error:
                self._log.warning("due_unreadable", error=str(error))
            if self._world.now_ms == now_ms:
                await self._world.wait_changed()

    async def _settle_all(self, now_ms: int) -> None:
        """Settle list by list; a failing account does not hold up those due after it."""
        begin = above = self._looks.begin(now_ms)
        left = False
        first_ms = None
        while True:
            rows = await self._due(now_ms, above)
            if above == begin:
                first_ms = rows[0]["next_due_ms"] if rows else first_ms
                self._note_lag(now_ms, first_ms)
            settled = await self._settle_each([row["account_id"] for row in rows])
            left = left or settled < len(rows)
            if len(rows) < self._listed:
                break
            if not settled:
                above = rows[-1]["next_due_ms"]
        self._looks.end(now_ms, begin, first_ms, left=left)

    def _note_lag(self, now_ms: int, first_ms: int | None) -> None:
        """Record how late the first was found; what is left due counts even if no look finds it."""
        known = [each for each in (first_ms, self._looks.left_ms) if each is not None]
        self.lag_ms = now_ms - min(known) if known else self.lag_ms

    async def _due(self, now_ms: int, above_ms: int | None) -> list[Row]:
        [rows] = await self._storage.read(
            Read(
                "inventories",
                ("account_id", "next_due_ms"),
                above=None if above_ms is None else ("next_due_ms", above_ms),
                at_most=("next_due_ms", now_ms),
                order_by="next_due_ms",
                limit=self._listed,
            )
        )
        return rows

    async def _settle_each(self, account_ids: Sequence[str]) -> int:
        """Settle accounts page by page; return how many were settled."""
        pages = self._pages(account_ids)
        settled = [0] * _PAGES_IN_HAND
        async with trio.open_nursery() as nursery:
            for hand in range(_PAGES_IN_HAND):
                nursery.start_soon(self._settle_pages, pages, settled, hand)
        return sum(settled)

    def _pages(self, account_ids: Sequence[str]) -> Iterator[Sequence[str]]:
        """Cut a list into pages, each as large as fits when it is asked for."""
        start = 0
        while start < len(account_ids):
            end = start + min(self._page, self._passive.batch)
            yield account_ids[start:end]
            start = end

    async def _settle_pages(
        self, pages: Iterator[Sequence[str]], settled: list[int], hand: int
    ) -> None:
        """Settle one page after another, counting under this hand's index."""
        for page in pages:
            in_place = await self._passive.settle(page)
            settled[hand] += in_place.settled + await self._settle_there(in_place.left)

    async def _settle_there(self, account_ids: Sequence[str]) -> int:
        """Have the accounts' Inventories settle them; return how many were settled."""
        asked: list[tuple[str, PendingReply[None]]] = []
        turns = Turns(_SLICE)
        for account_id in account_ids:
            reply, pending = self._bus.open_reply()
            message = Message(Topic.TASK, Settle(account_id), account_id, reply)
            self._activation.deliver(account_id, message)
            asked.append((account_id, pending))
            await turns.worked()
        return await self._count_settled(asked)

    async def _count_settled(self, asked: Iterable[tuple[str, PendingReply[None]]]) -> int:
        """Wait for all of them together, with one shared timeout; return how many were settled."""
        settled = 0
        deadline = trio.current_time() + self._reply_s
        for account_id, pending in asked:
            try:
                await pending.wait(max(0.0, deadline - trio.current_time()))
                settled += 1
            except ReplyTimeout:
                # The error itself would only mention the remainder of the shared wait.
                self._not_settled(account_id, ReplyTimeout(f"no answer within {self._reply_s:g} s"))
            except (BusError, StorageError, InventoryError) as error:
                self._not_settled(account_id, error)
        return settled

    def _not_settled(self, account_id: str, error: Exception) -> None:
        self._log.warning("due_not_settled", account_id=account_id, error=str(error))
