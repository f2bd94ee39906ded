"""What an account owns and orders, and its history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.inventory.messages import (
    CancelOrder,
    GetLedger,
    GetOrder,
    ListOrders,
    PlaceOrder,
)
from app.http.endpoint import Answer, Auth, Endpoint, Key
from app.http.endpoints.views import (
    cancelled_order,
    inventory_details,
    ledger_page,
    order_details,
)
from app.http.types.inventory import (
    CancelledOrder,
    InventoryDetails,
    LedgerPageDetails,
    LedgerQuery,
    OrderDetails,
    OrderList,
    PlaceOrderRequest,
)

if TYPE_CHECKING:
    from app.http.endpoint import Call

OK = 200
_REPLAYED = ((b"idempotency-replayed", b"true"),)


async def get_inventory(call: Call[None, None]) -> InventoryDetails:
    """Return what the caller owns now."""
    view = await call.gateway.look(call.caller.account_id)
    return inventory_details(view)


async def place_order(call: Call[PlaceOrderRequest, None]) -> Answer[OrderDetails]:
    """Order an asset; the order is durable when the answer is sent."""
    command = call.command
    message = PlaceOrder(
        account_id=call.caller.account_id,
        asset=call.body.asset,
        count=call.body.count,
        idempotency_key=command.key,
        fingerprint=command.fingerprint,
    )
    placed = await call.gateway.inventory(message)
    order = order_details(placed.order)
    return Answer(order, OK, _REPLAYED) if placed.replayed else Answer(order)


async def list_orders(call: Call[None, None]) -> OrderList:
    """Return the caller's pending orders."""
    orders = await call.gateway.inventory(ListOrders(call.caller.account_id))
    return OrderList([order_details(order) for order in orders])


async def get_order(call: Call[None, None]) -> OrderDetails:
    """Return any of the caller's orders, pending or not."""
    message = GetOrder(call.caller.account_id, call.path["order_id"])
    return order_details(await call.gateway.inventory(message))


async def cancel_order(call: Call[None, None]) -> CancelledOrder:
    """Cancel a pending order and refund what it cost."""
    message = CancelOrder(call.caller.account_id, call.path["order_id"])
    return cancelled_order(await call.gateway.inventory(message))


async def get_ledger(call: Call[None, LedgerQuery]) -> LedgerPageDetails:
    """Return a page of the caller's ledger."""
    message = GetLedger(call.caller.account_id, call.query.after, call.query.limit)
    return ledger_page(await call.gateway.inventory(message))


INVENTORY = (
    Endpoint(
        method="GET",
        path="/v1/inventory",
        handler=get_inventory,
        summary="The inventory now",
        tag="inventory",
        auth=Auth.PLAYER,
        response=InventoryDetails,
    ),
    Endpoint(
        method="POST",
        path="/v1/inventory/orders",
        handler=place_order,
        summary="Order an asset",
        tag="orders",
        auth=Auth.PLAYER,
        request=PlaceOrderRequest,
        response=OrderDetails,
        status=201,
        also=((OK, "The same key again: the first answer, with Idempotency-Replayed: true"),),
        errors=(
            "unknown-asset",
            "insufficient-resources",
            "prerequisites-missing",
            "queue-full",
            "max-level",
            "conflict",
        ),
        key=Key.REQUIRED,
    ),
    Endpoint(
        method="GET",
        path="/v1/inventory/orders",
        handler=list_orders,
        summary="The pending orders, first to finish first",
        tag="orders",
        auth=Auth.PLAYER,
        response=OrderList,
    ),
    Endpoint(
        method="GET",
        path="/v1/inventory/orders/{order_id:uuid}",
        handler=get_order,
        summary="Any order with its state",
        tag="orders",
        auth=Auth.PLAYER,
        response=OrderDetails,
        absent="unknown-order",
    ),
    Endpoint(
        method="DELETE",
        path="/v1/inventory/orders/{order_id:uuid}",
        handler=cancel_order,
        summary="Cancel a pending order and refund what it cost",
        tag="orders",
        auth=Auth.PLAYER,
        response=CancelledOrder,
        errors=("order-not-pending", "conflict"),
        absent="unknown-order",
    ),
    Endpoint(
        method="GET",
        path="/v1/inventory/ledger",
        handler=get_ledger,
        summary="Every change of every asset, in order",
        tag="inventory",
        auth=Auth.PLAYER,
        query=LedgerQuery,
        response=LedgerPageDetails,
    ),
)
"""The endpoints of an account's inventory."""
