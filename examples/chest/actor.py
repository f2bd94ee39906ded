"""The Chest actor: accepts players' payments, each of them once."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec
import trio
from uuid_utils import uuid7

from actors.inventory.errors import (
    AccountGone,
    IdempotencyKeyReused,
    InsufficientResources,
    InvalidAmount,
    InventoryError,
    UnknownAsset,
)
from actors.inventory.messages import Grant
from actors.shutdown import Phase, Shutdown
from actors.storage import Conflict, Create, Delete, Duplicate, Orphaned, Read, StorageError, Update
from actors.ticker import Tick
from bus import ActorStopped, BusError, Overloaded, Topic
from examples.chest.messages import GetChest, Paid, Pay

if TYPE_CHECKING:
    from collections.abc import Collection

    from structlog.typing import FilteringBoundLogger

    from actors.storage import Row, StorageClient
    from bus import Bus, Message, Subscription

CHEST_KEY: Final = "chest"
"""The key of the Chest's messages on topic ``task``."""

RESUME_MS: Final = 5_000
"""How often the Chest looks for payments begun but not made, in world time."""

_NAME: Final = "common"
_PAGE: Final = 100
_REPLY_S: Final = 5.0


class Chest:
    """Answers `Pay` and `GetChest`, one after another; keeps nothing in memory."""

    def __init__(
        self,
        subscription: Subscription,
        bus: Bus,
        storage: StorageClient,
        log: FilteringBoundLogger,
        *,
        resources: Collection[str],
    ) -> None:
        self._subscription = subscription
        self._bus = bus
        self._storage = storage
        self._log = log
        self._resources = resources

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `Phase.WORLD`; the next run resumes a payment that is cut off."""
        with self._subscription.answering():
            task_status.started()
            resume_ms, after = 0, None
            async for message in self._subscription:
                match message.body:
                    case Shutdown(phase=phase):
                        if phase >= Phase.WORLD:
                            break
                    case Tick(now_ms=now_ms):
                        if now_ms >= resume_ms:
                            resume_ms = now_ms + RESUME_MS
                            after = await self._resume(after)
                    case Pay() | GetChest() as body:
                        await self._answer(message, body)
                    case _:
                        self._log.error("message_not_understood", topic=message.topic.value)
                        self._subscription.drop(message)
            self._subscription.close()

    # --8<-- [start:answer]
    async def _answer(self, message: Message, body: Pay | GetChest) -> None:
        try:
            answer = await (self._pay(body) if isinstance(body, Pay) else self._holdings())
        except (InventoryError, StorageError, BusError) as error:
            if message.reply is not None:
                message.reply.fail(error)
        else:
            if message.reply is not None:
                message.reply.send_nowait(answer)

    # --8<-- [end:answer]

    async def _holdings(self) -> dict[str, int]:
        chest = await self._chest()
        return msgspec.json.decode(chest["holdings"], type=dict[str, int])

    async def _chest(self) -> Row:
        """Read the chest; the first look in a world makes it."""
        look = Read("chest", where={"name": _NAME})
        [found] = await self._storage.read(look)
        if not found:
            with suppress(Duplicate):
                await self._storage.commit(Create("chest", {"name": _NAME, "holdings": "{}"}))
            [found] = await self._storage.read(look)
        return found[0]

    # --8<-- [start:pay]
    async def _pay(self, pay: Pay) -> Paid:
        for name in pay.resources:
            # A grant could also move units and levels.
            if name not in self._resources:
                raise UnknownAsset(name, what="resource")
        key = {"account_id": pay.account_id, "key": pay.idempotency_key}
        [found] = await self._storage.read(Read("chest_payments", where=key))
        payment: Row = {
            **key,
            "payment_id": str(uuid7()),
            "fingerprint": pay.fingerprint,
            "resources": msgspec.json.encode(pay.resources).decode(),
            "state": "begun",
        }
        if found:
            [payment] = found
            if payment["fingerprint"] != pay.fingerprint:
                raise IdempotencyKeyReused
            if payment["state"] == "made":
                return Paid(pay.resources, replayed=True)
        else:
            await self._begin(payment)
        try:
            await (self._make_again(payment) if found else self._make(payment, version=1))
        except Overloaded as error:
            # Overloaded would mean that nothing was done, but it is begun, and will be made.
            raise ActorStopped from error
        return Paid(pay.resources, replayed=False)

    async def _begin(self, payment: Row) -> None:
        try:
            await self._storage.commit(Create("chest_payments", payment))
        except Orphaned as error:
            raise AccountGone from error
        except Duplicate as error:
            # An earlier attempt was still in progress: the next look finds what it began.
            raise ActorStopped from error

    async def _make_again(self, payment: Row) -> None:
        """Make an existing payment; an earlier attempt that is still in progress then fails."""
        key = {"account_id": payment["account_id"], "key": payment["key"]}
        version = payment["version"]
        await self._storage.commit(
            Update("chest_payments", key, {"state": "begun"}, version=version)
        )
        await self._make(payment, version=version + 1)

    async def _make(self, payment: Row, *, version: int) -> None:
        """Debit the owner, then credit the chest: each once, however often this is called."""
        account_id = payment["account_id"]
        key = {"account_id": account_id, "key": payment["key"]}
        resources = msgspec.json.decode(payment["resources"], type=dict[str, int])
        take = Grant(
            account_id,
            {name: -amount for name, amount in resources.items()},
            reason="paid into the chest",
            operator="chest",
            # No player's key contains a space.
            idempotency_key=f"chest {payment['payment_id']}",
            fingerprint=b"",
        )
        try:
            await self._bus.ask(Topic.TASK, take, key=account_id, timeout_s=_REPLY_S)
        except (AccountGone, InsufficientResources, InvalidAmount, UnknownAsset):
            # Only these mean that nothing was taken; an erased account has no payments left.
            with suppress(Conflict):
                await self._storage.commit(Delete("chest_payments", key, version))
            raise
        chest = await self._chest()
        holdings = msgspec.json.decode(chest["holdings"], type=dict[str, int])
        for name, amount in resources.items():
            holdings[name] = holdings.get(name, 0) + amount
        after = {"holdings": msgspec.json.encode(holdings).decode()}
        await self._storage.commit(
            Update("chest", {"name": _NAME}, after, version=chest["version"]),
            Update("chest_payments", key, {"state": "made"}, version=version),
        )

    async def _resume(self, after: str | None) -> str | None:
        """Resume what was begun: its caller gave up, or this server or the last one stopped.

        Starts after payment ``after``; returns the last one reached, None at the end. So a payment
        that cannot be made now does not hold up the others.
        """
        begun = Read(
            "chest_payments",
            where={"state": "begun"},
            above=None if after is None else ("payment_id", after),
            order_by="payment_id",
            limit=_PAGE,
        )
        try:
            [payments] = await self._storage.read(begun)
            for payment in payments:
                after = payment["payment_id"]
                with suppress(InventoryError):
                    await self._make_again(payment)
        except (BusError, StorageError) as error:
            self._log.warning("chest_delayed", error=str(error))
            return after
        return after if len(payments) == _PAGE else None

    # --8<-- [end:pay]
