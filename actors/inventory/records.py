"""How an inventory is stored: table rows to and from the engine's types; pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final, TypeVar
from uuid import UUID

import msgspec

from actors.inventory.engine import Order, encode_state, next_due_ms, order_view
from actors.inventory.errors import IdempotencyKeyReused
from actors.inventory.views import (
    ChangeView,
    GrantRecord,
    LedgerEntry,
    OrderView,
    TransferRecord,
)
from actors.storage import Create, Operation, Read, Row, Update

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from actors.inventory.engine import Events, State
    from actors.inventory.ruleset import Ruleset

A = TypeVar("A", OrderView, TransferRecord, GrantRecord)

_PENDING = ("queued", "running")

_CHANGING = ("level", "delivered", "state", "starts_ms", "finishes_ms")
_RENAMED = (*_CHANGING, "asset", "kind", "queue", "cost")
"""The columns that a change of rules may also change: what things are called, and their queue."""

_FULL: Final = 1

CHANGES: Final = msgspec.json.Decoder(
    dict[str, Annotated[list[int], msgspec.Meta(min_length=2, max_length=3)]]
)
"""Reads a ledger entry's changes: delta and balance of each asset, and a 1 if that filled it."""

RECEIVER = ("receiver_name", "note")
"""The fields that describe the receiver, removed when either side is erased."""


class Answered(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The first answer to an idempotency key: one of these is set, the others are None."""

    order: OrderView | None = None
    transfer: TransferRecord | None = None
    grant: GrantRecord | None = None

    def the(self, kind: type[A]) -> A:
        """Return the answer, which must be of this kind.

        Raises:
            IdempotencyKeyReused: the key was used for something else.
        """
        for answer in (self.order, self.transfer, self.grant):
            if isinstance(answer, kind):
                return answer
        raise IdempotencyKeyReused


class KeyRecord(msgspec.Struct, frozen=True, gc=False):
    """An idempotency key's record: the request's digest, and the first answer."""

    fingerprint: bytes
    answer: Answered


def reads_of(account_ids: tuple[str, ...]) -> tuple[Read, Read]:
    """Return the reads that activate inventories: their records, and their pending orders.

    The order matters: if a unit commits in between, the record is the older one, and any change
    made from both meets a `Conflict`. The other way round, older orders would pass unnoticed.
    """
    return (
        Read("inventories", within={"account_id": account_ids}),
        Read("orders", within={"account_id": account_ids, "state": _PENDING}),
    )


def key_read(account_id: str, keys: Iterable[str]) -> Read:
    """Return the read that looks up idempotency keys."""
    return Read("idempotency", where={"account_id": account_id}, within={"key": tuple(keys)})


def order_read(account_id: str, order_id: str) -> Read:
    """Return the read that looks up one order; another account's is not found."""
    return Read("orders", where={"order_id": order_id, "account_id": account_id})


def orders_read(account_id: str, order_ids: Iterable[str]) -> Read:
    """Return the read of some of an account's orders by their ids."""
    return Read("orders", where={"account_id": account_id}, within={"order_id": tuple(order_ids)})


def ledger_read(account_id: str, after: int, limit: int) -> Read:
    """Return the read of a page of the ledger, plus one entry to see whether it is the last."""
    return Read(
        "ledger",
        where={"account_id": account_id},
        above=("seq", after),
        order_by="seq",
        limit=limit + 1,
    )


def new_inventory(state: State, ruleset: Ruleset) -> Create:
    """Return the operation that begins an inventory's record."""
    return Create(
        "inventories",
        {"account_id": state.account_id, "frozen_ms": None, **_state_values(state, ruleset)},
    )


def changed_inventory(
    state: State, ruleset: Ruleset, version: int, frozen_ms: int | None
) -> Update:
    """Return the operation that replaces an inventory's record of this ``version``."""
    values = _state_values(state, ruleset)
    values["frozen_ms"] = frozen_ms
    if frozen_ms is not None:
        # A frozen account is never due.
        values["next_due_ms"] = None
    return Update("inventories", {"account_id": state.account_id}, values, version)


def event_operations(
    account_id: str, events: Events, new_orders: Collection[str] = (), *, renamed: bool = False
) -> Iterator[Operation]:
    """Yield the operations that store what happened: the entries, and orders in their last form.

    ``renamed`` if a change of rules may have given things other names.
    """
    for entry in events.entries:
        yield Create("ledger", _ledger_values(account_id, entry))
    for order in events.orders:
        values = _order_values(account_id, order)
        if order.id in new_orders:
            yield Create("orders", values)
        else:
            changing = _RENAMED if renamed else _CHANGING
            yield Update("orders", {"order_id": order.id}, {k: values[k] for k in changing})


def key_operation(account_id: str, key: str, record: KeyRecord, at_ms: int) -> Create:
    """Return the operation that stores an idempotency key with its answer."""
    return Create(
        "idempotency",
        {
            "account_id": account_id,
            "key": key,
            "fingerprint": record.fingerprint,
            "response": msgspec.json.encode(record.answer).decode(),
            "at_ms": at_ms,
        },
    )


def key_from_row(row: Row) -> tuple[str, KeyRecord]:
    """Return the idempotency key and record of a row."""
    answer = msgspec.json.decode(row["response"], type=Answered)
    return row["key"], KeyRecord(row["fingerprint"], answer)


def order_from_row(row: Row) -> Order:
    """Return the order of a row."""
    return Order(
        id=row["order_id"],
        seq=row["seq"],
        asset=row["asset"],
        kind=row["kind"],
        queue=row["queue"],
        level=row["level"],
        count=row["count"],
        delivered=row["delivered"],
        cost=msgspec.json.decode(row["cost"], type=dict[str, int]),
        refund=msgspec.json.decode(row["refund"], type=tuple[int, int]),
        piece_ms=row["duration_ms"],
        state=row["state"],
        placed_ms=row["placed_ms"],
        starts_ms=row["starts_ms"],
        finishes_ms=row["finishes_ms"],
    )


def order_view_from_row(row: Row) -> OrderView:
    """Return a stored order as its owner sees it."""
    return order_view(order_from_row(row))


def entry_from_row(row: Row) -> LedgerEntry:
    """Return the ledger entry of a row."""
    changes = CHANGES.decode(row["changes"])
    return LedgerEntry(
        row["seq"],
        row["at_ms"],
        row["cause"],
        row["order_id"],
        row["transfer_id"],
        {asset: ChangeView(delta, balance) for asset, (delta, balance, *_) in changes.items()},
        tuple(asset for asset, (_, _, *full) in changes.items() if full),
    )


def transfer_reads(account_id: str, before: str | None, limit: int) -> tuple[Read, Read]:
    """Return the reads of the transfers older than ``before`` that an account sent and received.

    Each reads one more than fits the page, to see whether it is the last.
    """
    sent, received = (
        Read(
            "transfers",
            where={side: account_id},
            at_most=None if before is None else ("transfer_id", _uuid_below(before)),
            order_by="transfer_id",
            descending=True,
            limit=limit + 1,
        )
        for side in ("sender", "receiver")
    )
    return sent, received


def _uuid_below(uuid: str) -> str:
    # Nothing is below the lowest, and no transfer has the lowest for its id.
    return str(UUID(int=max(0, UUID(uuid).int - 1)))


def sent_since_read(account_id: str, after_ms: int) -> Read:
    """Return the read of what an account has sent after a moment."""
    return Read("transfers", where={"sender": account_id}, above=("sent_ms", after_ms))


def transfers_read(transfer_ids: Iterable[str]) -> Read:
    """Return the read of some transfers by their ids."""
    return Read("transfers", within={"transfer_id": tuple(transfer_ids)})


def transfer_operation(transfer: TransferRecord) -> Create:
    """Return the operation that records a transfer as in flight."""
    return Create(
        "transfers",
        {
            "transfer_id": transfer.id,
            "sender": transfer.sender_id,
            "receiver": transfer.receiver_id,
            "sender_name": transfer.sender_name,
            "receiver_name": transfer.receiver_name,
            "resources": msgspec.json.encode(transfer.resources).decode(),
            "note": transfer.note,
            "state": transfer.state,
            "sent_ms": transfer.sent_at_ms,
            "settled_ms": None,
            "ruleset": transfer.ruleset,
        },
    )


def settled_transfer(
    transfer_id: str, state: str, at_ms: int, erased: Sequence[str] = ()
) -> Update:
    """Return the operation that settles a transfer; a `Conflict` if it is already settled.

    ``erased`` names the fields to clear: `RECEIVER` if that account was erased.
    """
    values = {"state": state, "settled_ms": at_ms, **dict.fromkeys(erased, "")}
    return Update("transfers", {"transfer_id": transfer_id}, values, version=1)


def transfer_from_row(row: Row) -> TransferRecord:
    """Return the transfer of a row."""
    return TransferRecord(
        id=row["transfer_id"],
        sender_id=row["sender"],
        sender_name=row["sender_name"],
        receiver_id=row["receiver"],
        receiver_name=row["receiver_name"],
        resources=msgspec.json.decode(row["resources"], type=dict[str, int]),
        note=row["note"],
        state=row["state"],
        sent_at_ms=row["sent_ms"],
        settled_at_ms=row["settled_ms"],
        ruleset=row["ruleset"],
    )


def audit_operation(grant: GrantRecord) -> Create:
    """Return the operation that records who changed an account's assets, and why."""
    return Create(
        "audit",
        {
            "audit_id": grant.id,
            "at": _made_at(grant.id),
            "actor": grant.operator,
            "action": "assets-granted",
            "subject": grant.account_id,
            "reason": grant.reason,
            "detail": msgspec.json.encode(grant.changes).decode(),
        },
    )


def _made_at(uuid7: str) -> datetime:
    """Read the wall-clock time from a UUIDv7 (RFC 9562, 5.7: its first 48 bits are ms)."""
    return datetime.fromtimestamp(int(uuid7[:8] + uuid7[9:13], 16) / 1000, UTC)


def _state_values(state: State, ruleset: Ruleset) -> dict[str, object]:
    return {
        "ruleset": state.ruleset,
        "at_ms": state.at_ms,
        "next_due_ms": next_due_ms(state, ruleset),
        "ledger_seq": state.seq,
        "state": encode_state(state).decode(),
    }


def _ledger_values(account_id: str, entry: LedgerEntry) -> dict[str, object]:
    changes: dict[str, tuple[int, ...]] = {
        asset: (change.delta, change.balance) for asset, change in entry.changes.items()
    }
    for asset in entry.full:
        changes[asset] += (_FULL,)
    return {
        "account_id": account_id,
        "seq": entry.seq,
        "at_ms": entry.at_ms,
        "cause": entry.cause,
        "order_id": entry.order_id,
        "transfer_id": entry.transfer_id,
        "changes": msgspec.json.encode(changes).decode(),
    }


def _order_values(account_id: str, order: Order) -> Mapping[str, object]:
    return {
        "order_id": order.id,
        "account_id": account_id,
        "seq": order.seq,
        "asset": order.asset,
        "kind": order.kind,
        "queue": order.queue,
        "level": order.level,
        "count": order.count,
        "delivered": order.delivered,
        "cost": msgspec.json.encode(order.cost).decode(),
        "refund": msgspec.json.encode(order.refund).decode(),
        "duration_ms": order.piece_ms,
        "state": order.state,
        "placed_ms": order.placed_ms,
        "starts_ms": order.starts_ms,
        "finishes_ms": order.finishes_ms,
    }
