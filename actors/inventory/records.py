"""How an inventory is kept in the tables: rows from and to the engine's types; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from actors.inventory.engine import Events, Order, State, encode_state, next_due_ms, order_view
from actors.inventory.views import ChangeView, LedgerEntry, OrderView
from actors.storage import Create, Operation, Read, Row, Update

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from actors.inventory.ruleset import Ruleset

_PENDING = ("queued", "running")


class KeyRecord(msgspec.Struct, frozen=True):
    """What an idempotency key stands for: the request's digest, and the first answer."""

    fingerprint: bytes
    order: OrderView


def reads_of(account_id: str) -> tuple[Read, Read]:
    """The reads that activate an inventory: its record, and its pending orders."""
    return (
        Read("inventories", where={"account_id": account_id}),
        Read("orders", where={"account_id": account_id}, within={"state": _PENDING}),
    )


def key_read(account_id: str, keys: Iterable[str]) -> Read:
    """The read that looks idempotency keys up."""
    return Read("idempotency", where={"account_id": account_id}, within={"key": tuple(keys)})


def order_read(account_id: str, order_id: str) -> Read:
    """The read that looks one order up; another account's is not found."""
    return Read("orders", where={"order_id": order_id, "account_id": account_id})


def ledger_read(account_id: str, after: int, limit: int) -> Read:
    """The read of a page of the ledger, with one entry more to see whether it is the last."""
    return Read(
        "ledger",
        where={"account_id": account_id},
        above=("seq", after),
        order_by="seq",
        limit=limit + 1,
    )


def new_inventory(state: State, ruleset: Ruleset) -> Create:
    """The operation that begins an inventory's record."""
    return Create(
        "inventories", {"account_id": state.account_id, **_state_values(state, ruleset)}
    )


def changed_inventory(state: State, ruleset: Ruleset, version: int) -> Update:
    """The operation that replaces an inventory's record where it has ``version`` still."""
    values = _state_values(state, ruleset)
    return Update("inventories", {"account_id": state.account_id}, values, version)


def event_operations(
    account_id: str, events: Events, new_orders: frozenset[str]
) -> Iterator[Operation]:
    """The operations that keep what happened: ledger entries, and orders in their last form."""
    for entry in events.entries:
        yield Create("ledger", _ledger_values(account_id, entry))
    for order in events.orders:
        values = _order_values(account_id, order)
        if order.id in new_orders:
            yield Create("orders", values)
        else:
            changing = ("level", "delivered", "state", "starts_ms", "finishes_ms")
            yield Update("orders", {"order_id": order.id}, {k: values[k] for k in changing})


def key_operation(account_id: str, key: str, record: KeyRecord, at_ms: int) -> Create:
    """The operation that keeps an idempotency key with its answer."""
    return Create(
        "idempotency",
        {
            "account_id": account_id,
            "key": key,
            "fingerprint": record.fingerprint,
            "response": msgspec.json.encode(record.order).decode(),
            "at_ms": at_ms,
        },
    )


def key_from_row(row: Row) -> tuple[str, KeyRecord]:
    """The idempotency key and record of a row."""
    order = msgspec.json.decode(row["response"], type=OrderView)
    return row["key"], KeyRecord(row["fingerprint"], order)


def order_from_row(row: Row) -> Order:
    """The order of a row."""
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
    """A stored order as its owner sees it."""
    return order_view(order_from_row(row))


def entry_from_row(row: Row) -> LedgerEntry:
    """The ledger entry of a row."""
    changes = msgspec.json.decode(row["changes"], type=dict[str, tuple[int, int]])
    return LedgerEntry(
        row["seq"],
        row["at_ms"],
        row["cause"],
        row["order_id"],
        row["transfer_id"],
        {asset: ChangeView(delta, balance) for asset, (delta, balance) in changes.items()},
    )


def _state_values(state: State, ruleset: Ruleset) -> dict[str, object]:
    return {
        "ruleset": state.ruleset,
        "at_ms": state.at_ms,
        "next_due_ms": next_due_ms(state, ruleset),
        "ledger_seq": state.seq,
        "state": encode_state(state).decode(),
    }


def _ledger_values(account_id: str, entry: LedgerEntry) -> dict[str, object]:
    changes = {asset: (change.delta, change.balance) for asset, change in entry.changes.items()}
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
