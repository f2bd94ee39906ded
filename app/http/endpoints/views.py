"""Converts an Inventory's answers to their API form: milliseconds become RFC 3339 times."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from msgspec import UNSET, Raw
from msgspec.json import Encoder

from app.http.types.inventory import (
    Balance,
    CancelledOrder,
    Change,
    InventoryDetails,
    LedgerEntryDetails,
    LedgerPageDetails,
    OrderDetails,
    Stock,
)
from app.http.types.times import world_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.inventory.views import (
        Cancelled,
        InventoryView,
        LedgerEntry,
        LedgerPage,
        OrderView,
    )


Value = TypeVar("Value")

_encode = Encoder().encode


def in_order(named: Mapping[str, Value]) -> Mapping[str, Value]:
    """Sort a mapping by name, because the database keeps no order.

    So a repeated answer is the same to the byte.
    """
    return named if len(named) <= 1 else dict(sorted(named.items()))


def inventory_details(view: InventoryView) -> InventoryDetails:
    """Convert an inventory."""
    if view.encoded is None:
        orders = [order_details(order) for order in view.orders]
    else:
        encoded = view.encoded.made_of(view.orders, _encoded_order)
        # The encoder inserts what is already encoded as it is.
        orders = cast("list[OrderDetails]", encoded)
    return InventoryDetails(
        account_id=view.account_id,
        version=view.version,
        at=world_time(view.at_ms),
        tick=view.tick,
        resources=stocks(view),
        balances={
            name: Balance(balance.produced, balance.used, balance.factor_percent / 100)
            for name, balance in view.balances.items()
        },
        buildings=view.buildings,
        technologies=view.technologies,
        units=view.units,
        orders=orders,
    )


def stocks(view: InventoryView) -> dict[str, Stock]:
    """Convert the resources of an inventory."""
    return {
        name: Stock(
            stock.amount,
            stock.per_hour,
            stock.capacity,
            world_time(stock.full_at_ms),
            stock.held or UNSET,
        )
        for name, stock in view.resources.items()
    }


def _encoded_order(view: OrderView) -> Raw:
    return Raw(_encode(order_details(view)))


def order_details(view: OrderView) -> OrderDetails:
    """Convert an order."""
    return OrderDetails(
        id=view.id,
        asset=view.asset,
        kind=view.kind,
        cost=in_order(view.cost),
        state=view.state,
        placed_at=world_time(view.placed_at_ms),
        starts_at=world_time(view.starts_at_ms),
        finishes_at=world_time(view.finishes_at_ms),
        level=UNSET if view.level is None else view.level,
        count=UNSET if view.count is None else view.count,
    )


def cancelled_order(cancelled: Cancelled) -> CancelledOrder:
    """Convert a cancelled order with its refund."""
    return CancelledOrder(order_details(cancelled.order), cancelled.refund)


def ledger_page(page: LedgerPage) -> LedgerPageDetails:
    """Convert a page of the ledger."""
    return LedgerPageDetails([ledger_entry(entry) for entry in page.entries], page.next)


def ledger_entry(entry: LedgerEntry) -> LedgerEntryDetails:
    """Convert a ledger entry."""
    return LedgerEntryDetails(
        seq=entry.seq,
        at=world_time(entry.at_ms),
        cause=entry.cause,
        changes={
            name: Change(change.delta, change.balance) for name, change in entry.changes.items()
        },
        order_id=UNSET if entry.order_id is None else entry.order_id,
        transfer_id=UNSET if entry.transfer_id is None else entry.transfer_id,
    )
