"""Settles the accounts for which something has come due, whether or not their owner is there.

They are found through an index in the database: a tick costs by what is due, never by how many
accounts exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.inventory.errors import InventoryError
from actors.inventory.messages import Settle
from actors.storage import Read, Row, StorageClient, StorageError
from bus import BusError, Message, Topic

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from actors.inventory.activation import Activation
    from actors.inventory.world import WorldTime
    from bus import Bus, PendingReply


class DueAccounts:
    """Looks for due accounts at every tick and has each settled by its own Inventory."""

    def __init__(
        self,
        bus: Bus,
        storage: StorageClient,
        activation: Activation,
        world: WorldTime,
        *,
        page: int,
        reply_seconds_max: float,
        log: FilteringBoundLogger,
    ) -> None:
        self._bus = bus
        self._storage = storage
        self._activation = activation
        self._world = world
        self._page = page
        self._reply_s = reply_seconds_max
        self._log = log
        self.lag_ms = 0

    async def run(self) -> None:
        """Settle what is due, then wait for the next tick; until cancelled.

        What could not be settled is due still and comes again with the next tick.
        """
        while True:
            try:
                await self._settle_all(self._world.now_ms)
            except (BusError, StorageError) as error:
                self._log.warning("due_unreadable", error=str(error))
            await self._world.wait_changed()

    async def _settle_all(self, now_ms: int) -> None:
        """Settle page by page; a failing account does not hold up those due after it."""
        above: tuple[str, int] | None = None
        while True:
            rows = await self._due(now_ms, above)
            self.lag_ms = now_ms - rows[0]["next_due_ms"] if rows and above is None else self.lag_ms
            settled = await self._settle_page(rows)
            if len(rows) < self._page:
                return
            if not settled:
                above = ("next_due_ms", rows[-1]["next_due_ms"])

    async def _due(self, now_ms: int, above: tuple[str, int] | None) -> list[Row]:
        [rows] = await self._storage.read(
            Read(
                "inventories",
                ("account_id", "next_due_ms"),
                above=above,
                at_most=("next_due_ms", now_ms),
                order_by="next_due_ms",
                limit=self._page,
            )
        )
        return rows

    async def _settle_page(self, rows: list[Row]) -> int:
        """Ask every account of a page at once, then wait for all; return how many were settled."""
        asked: list[tuple[str, PendingReply[None]]] = []
        for row in rows:
            account_id: str = row["account_id"]
            reply, pending = self._bus.open_reply()
            message = Message(Topic.TASK, Settle(account_id), account_id, reply)
            self._activation.deliver(account_id, message)
            asked.append((account_id, pending))
        settled = 0
        for account_id, pending in asked:
            try:
                await pending.wait(self._reply_s)
                settled += 1
            except (BusError, StorageError, InventoryError) as error:
                self._log.warning("due_not_settled", account=account_id, error=str(error))
        return settled
