"""The courier: carries transfers from the sender's Inventory to the receiver's.

A transfer stands as ``sent`` in a table until the receiver, or failing that the sender, has taken
it in; its record and the inventory change in one unit. So the courier may ask any number of times,
be killed at any moment, and start again from the transfers still ``sent`` in the table. Neither
Inventory ever waits for the other: two accounts that send to each other cannot block.

A failing receiver holds up nobody else: transfers to one receiver have a small share of the
places, and give theirs up once their callers have given up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio
from msgspec.structs import replace

from actors.inventory import records
from actors.inventory.errors import (
    AccountGone,
    InvalidAmount,
    InventoryError,
    NoRoom,
    TransferReturned,
    UnknownAsset,
)
from actors.inventory.messages import Deliver, ReceiveTransfer, TakeBackTransfer
from actors.inventory.views import Sent, TransferRecord
from actors.places import Places
from actors.shutdown import Phase, Shutdown
from actors.storage import Read, StorageClient, StorageError
from actors.turns import Turns
from bus import Bus, BusError, Message, Topic

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from structlog.typing import FilteringBoundLogger

    from actors.storage import Row
    from bus import Reply, Subscription

COURIER_KEY: Final = "transfers"
"""The key of the courier's messages on topic ``task``."""

_RESCAN_S: Final = 5.0
_PAGE: Final = 500
_SLICE: Final = 32
"""How many transfers are started in one go: then I/O may run."""
_RETRY_S: Final = 0.1
_RETRY_MAX_S: Final = 5.0
_RECEIVERS_MIN: Final = 8
"""The least number of receivers that hold places when all places are taken."""


class Courier:
    """Delivers every transfer in flight, at most ``in_flight_max`` of them at a time."""

    def __init__(
        self,
        subscription: Subscription,
        bus: Bus,
        storage: StorageClient,
        *,
        reply_seconds_max: float,
        in_flight_max: int = 1024,
        rng: random.Random,
        log: FilteringBoundLogger,
    ) -> None:
        self._subscription = subscription
        self._bus = bus
        self._storage = storage
        self._reply_s = reply_seconds_max
        self._in_flight_max = in_flight_max
        # The other half is for newly sent ones.
        self._picked_up_max = -(-in_flight_max // 2)
        self._rng = rng
        self._log = log
        self._waiting: dict[str, list[tuple[Reply[Any], bool]]] = {}
        self._receivers = Places(-(-in_flight_max // _RECEIVERS_MIN))

    @property
    def in_flight(self) -> int:
        """How many transfers are being delivered now."""
        return len(self._waiting)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Deliver until `Phase.WORLD`; the next start delivers what is then in flight."""
        self._waiting.clear()
        self._receivers = Places(self._receivers.most)
        with self._subscription.answering():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._rescan, nursery)
                task_status.started()
                await self._receive(nursery)
                # From now on callers learn at once that nobody is here.
                self._subscription.close()
                nursery.cancel_scope.cancel()

    async def _receive(self, nursery: trio.Nursery) -> None:
        """Start the requested deliveries until `Phase.WORLD`."""
        async for first in self._subscription:
            # Many in each turn of Trio's loop: a busy loop has few turns.
            for message in (first, *self._subscription.receive_some_nowait(_SLICE - 1)):
                match message.body:
                    case Shutdown(phase=phase):
                        if phase >= Phase.WORLD:
                            return
                    case Deliver() as delivery:
                        self._accept(nursery, delivery, message)
                    case _:
                        self._log.error("message_not_understood", topic=message.topic.value)
                        self._subscription.drop(message)

    def _accept(self, nursery: trio.Nursery, delivery: Deliver, message: Message) -> None:
        transfer, replayed, reply = delivery.transfer, delivery.replayed, message.reply
        taken = transfer.id in self._waiting or self._take(
            nursery, transfer, self._in_flight_max, known=replayed
        )
        if reply is None:
            return
        if taken:
            self._waiting[transfer.id].append((reply, replayed))
        else:
            # It is in the table: a later look will find it.
            reply.close()

    def _take(
        self, nursery: trio.Nursery, transfer: TransferRecord, places: int, *, known: bool
    ) -> bool:
        """Start carrying a transfer, if there is a place for it."""
        receiver = transfer.receiver_id
        if len(self._waiting) >= places or not self._receivers.take(receiver):
            return False
        self._waiting[transfer.id] = []
        nursery.start_soon(self._carry, transfer, known)
        return True

    async def _rescan(self, nursery: trio.Nursery) -> None:
        """Look for transfers that nobody carries: after a start, an overload, or a failure."""
        last = ""
        moving = False
        while True:
            try:
                last, more = await self._pick_up(nursery, last)
                moving = moving or more
            except (BusError, StorageError) as error:
                self._log.warning("transfers_unreadable", error=str(error))
                moving = False
            # Most arrive within milliseconds, and leave their places to those that wait.
            await trio.sleep(_RETRY_S if moving else _RESCAN_S)
            moving = moving and bool(last)

    async def _pick_up(self, nursery: trio.Nursery, last: str) -> tuple[str, bool]:
        """Take a page of those after ``last``; return where to continue, "" for the start.

        This way, transfers that fail repeatedly do not hide those after them. Also return whether
        some found a place but there are more than that.
        """
        rows = await self._on_their_way(last)
        turns = Turns(_SLICE)
        taken = 0
        left = len(rows) == _PAGE
        for row in rows:
            if len(self._waiting) >= self._picked_up_max:
                return last, taken > 0
            last = row["transfer_id"]
            transfer = None if last in self._waiting else self._read(row)
            if transfer is not None:
                # It may have arrived while the rows were being read.
                if self._take(nursery, transfer, self._picked_up_max, known=True):
                    taken += 1
                else:
                    left = True
            await turns.worked()
        return last if len(rows) == _PAGE else "", taken > 0 and left

    def _read(self, row: Row) -> TransferRecord | None:
        """Read a transfer's row; log one that is damaged, which must not hold up the others."""
        try:
            return records.transfer_from_row(row)
        except msgspec.MsgspecError as error:
            self._log.error("transfer_unreadable", transfer=row["transfer_id"], error=str(error))
            return None

    async def _on_their_way(self, last: str) -> Sequence[Row]:
        [rows] = await self._storage.read(
            Read(
                "transfers",
                where={"state": "sent"},
                above=("transfer_id", last) if last else None,
                order_by="transfer_id",
                limit=_PAGE,
            )
        )
        return rows

    async def _carry(self, transfer: TransferRecord, known: bool) -> None:  # noqa: FBT001
        """Carry one transfer until it is settled, or its caller has given up; then answer.

        One picked up again (``known``) is likely to have arrived long ago.
        """
        settled: TransferRecord | None = None
        with trio.move_on_after(self._reply_s):
            settled = await self._persist(transfer, look_first=known)
        self._receivers.give_back(transfer.receiver_id)
        for reply, replayed in self._waiting.pop(transfer.id):
            if settled is None:
                reply.close()
            elif settled.state == "delivered":
                reply.send_nowait(Sent(settled, replayed))
            else:
                reply.fail(TransferReturned(transfer.id, replayed=replayed))

    async def _persist(self, transfer: TransferRecord, *, look_first: bool) -> TransferRecord:
        """Settle a transfer, retrying until it succeeds or is cancelled."""
        retry_s = _RETRY_S
        while True:
            try:
                if look_first:
                    transfer = await self._recorded(transfer)
                return transfer if transfer.state != "sent" else await self._deliver(transfer)
            except (BusError, StorageError, InventoryError, msgspec.MsgspecError) as error:
                self._log.warning("transfer_delayed", transfer=transfer.id, error=str(error))
                await trio.sleep(retry_s * self._rng.uniform(0.5, 1.0))
                retry_s = min(2 * retry_s, _RETRY_MAX_S)
                look_first = True

    async def _recorded(self, transfer: TransferRecord) -> TransferRecord:
        """Read the transfer's record as it is now."""
        [rows] = await self._storage.read(records.transfers_read([transfer.id]))
        return records.transfer_from_row(rows[0]) if rows else replace(transfer, state="lost")

    async def _deliver(self, transfer: TransferRecord) -> TransferRecord:
        """Have the receiver take it in, or failing that the sender take it back."""
        try:
            return await self._ask(ReceiveTransfer(transfer.receiver_id, transfer))
        except (NoRoom, UnknownAsset, InvalidAmount, AccountGone) as refusal:
            # Too large to bring in: two resources that became one are added up.
            self._log.info("transfer_refused", transfer=transfer.id, reason=str(refusal))
            receiver_gone = isinstance(refusal, AccountGone)
        try:
            return await self._ask(TakeBackTransfer(transfer.sender_id, transfer, receiver_gone))
        except AccountGone:
            return await self._write_off(transfer, receiver_gone=receiver_gone)

    async def _ask(self, body: ReceiveTransfer | TakeBackTransfer) -> TransferRecord:
        settled: TransferRecord = await self._bus.ask(
            Topic.TASK, body, key=body.account_id, timeout_s=self._reply_s
        )
        return settled

    async def _write_off(self, transfer: TransferRecord, *, receiver_gone: bool) -> TransferRecord:
        """Settle as lost: with neither account left, what was in flight belongs to nobody."""
        erased = records.RECEIVER if receiver_gone else ()
        lost = records.settled_transfer(transfer.id, "lost", transfer.sent_at_ms, erased)
        await self._storage.commit(lost)
        return replace(transfer, state="lost")
