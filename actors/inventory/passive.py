"""Settles passive accounts where they are stored, without bringing them to life.

What comes due together belongs mostly to players who are away. An Inventory each would be made
for one step, would stay until it is idle, and could push those out that are played. As long as
accounts are held here the loader gives them to nobody: each has one writer at any time.

Whatever is out of the ordinary is left to the account's own Inventory, whose failures are its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from actors.inventory.engine import decode_state
from actors.inventory.events import LedgerAdvanced, announce
from actors.inventory.records import order_from_row
from actors.inventory.work import Context, Work
from actors.storage import StorageError
from bus import BusError, Overloaded

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from actors.inventory.loading import Loader, Stored
    from actors.inventory.residents import Residents
    from actors.inventory.rulebook import Rulebook
    from actors.inventory.world import WorldTime
    from actors.storage import Acknowledged, StorageClient
    from bus import Bus, PendingReply

    Unit = tuple[Sequence[Work], PendingReply[None]]

_UNIT: Final = 16
"""How many accounts are settled in one go and stored as one unit: a millisecond of work, then
I/O may come in."""


class PassiveAccounts:
    """Settles what is due for accounts that are not live.

    ``reply_seconds_max`` bounds the wait for what was handed to Storage.
    """

    def __init__(
        self,
        bus: Bus,
        storage: StorageClient,
        loader: Loader,
        *,
        residents: Residents,
        rulebook: Rulebook,
        world: WorldTime,
        reply_seconds_max: float,
    ) -> None:
        self._bus = bus
        self._storage = storage
        self._loader = loader
        self._residents = residents
        self._reply_s = reply_seconds_max
        self._context = Context(rulebook.current, world, rulebook.goods)

    async def settle(self, account_ids: Sequence[str]) -> Collection[str]:
        """Settle accounts; return those of which it is durable.

        The others are live, or not as they should be, or could not be stored now. Cancellation
        leaves what was handed to Storage to its fate: it is stored, or due still.

        Raises: as `StorageClient.read`.
        """
        passive = [id_ for id_ in account_ids if self._residents.get(id_) is None]
        settled: list[str] = []
        if not passive:
            await trio.lowlevel.checkpoint()
            return settled
        with self._loader.holding(passive):
            stored = await self._loader.read(tuple(passive))
            units = await self._hand_over(passive, stored)
            deadline = trio.current_time() + self._reply_s
            for works, pending in units:
                if await self._is_durable(pending, deadline):
                    settled.extend(work.account_id for work in works)
                    for work in works:
                        await self._announce(work)
        return settled

    async def _hand_over(self, account_ids: Sequence[str], stored: dict[str, Stored]) -> list[Unit]:
        """Settle unit by unit, and give each to Storage, as many as it has room for."""
        units: list[Unit] = []
        for start in range(0, len(account_ids), _UNIT):
            some = account_ids[start : start + _UNIT]
            works = [work for id_ in some if (work := self._settled(stored[id_])) is not None]
            if works:
                try:
                    units.append((works, self._submit(works)))
                except Overloaded:
                    break
            await trio.lowlevel.checkpoint()
        return units

    def _settled(self, stored: Stored) -> Work | None:
        """Settle one account; None where that is for its Inventory to do."""
        row, orders = stored
        ruleset = self._context.ruleset
        if row is None or row["ruleset"] != ruleset.version:
            return None
        try:
            pending = [order_from_row(order) for order in orders]
            state = decode_state(row["state"], ruleset, pending)
            work = Work(state, row["version"], row["frozen_ms"], self._context)
            work.settle_if_due()
        except Exception:  # noqa: BLE001 - its Inventory fails the same way, under supervision
            return None
        return work if work.changed else None

    def _submit(self, works: Sequence[Work]) -> PendingReply[None]:
        operations = [operation for work in works for operation in work.operations()]
        replies: tuple[PendingReply[Acknowledged], PendingReply[None]]
        replies = self._storage.submit(*operations)
        return replies[1]

    async def _is_durable(self, pending: PendingReply[None], deadline: float) -> bool:
        try:
            await pending.wait(max(0.0, deadline - trio.current_time()))
        except (BusError, StorageError):
            return False
        return True

    async def _announce(self, work: Work) -> None:
        state = work.state
        await announce(self._bus, LedgerAdvanced(state.account_id, state.seq, work.version))
