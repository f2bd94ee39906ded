"""How an Inventory handles each message: applied to a unit of work, without any I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uuid_utils import uuid7

from actors.inventory import records
from actors.inventory.engine import (
    cancel_order,
    forecast,
    next_due_ms,
    order_view,
    place_order,
    quote,
    view,
)
from actors.inventory.errors import OrderNotPending, UnknownOrder
from actors.inventory.events import read_events
from actors.inventory.handlers_admin import freeze, grant_assets, unfreeze
from actors.inventory.handlers_transfers import (
    get_transfer,
    list_transfers,
    receive_transfer,
    send_transfer,
    take_back_transfer,
)
from actors.inventory.messages import (
    CancelOrder,
    Freeze,
    GetEvents,
    GetForecast,
    GetInventory,
    GetLedger,
    GetOrder,
    GetQuote,
    GetTransfer,
    Grant,
    ListOrders,
    ListTransfers,
    PlaceOrder,
    ReceiveTransfer,
    SendTransfer,
    Settle,
    TakeBackTransfer,
    Thaw,
    WorkMessage,
)
from actors.inventory.records import Answered
from actors.inventory.views import Cancelled, InventoryView, LedgerPage, OrderView, Placed
from actors.inventory.work import LookUp, Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.inventory.engine import State
    from actors.inventory.work import Context
    from actors.storage import Row


def carry_out(work: Work, body: WorkMessage) -> object:
    """Carry one message out; return its answer, a `LookUp`, or a `Dispatch`.

    Raises:
        InventoryError: it is refused and has changed nothing.
    """
    match body:
        # The most frequent first.
        case PlaceOrder():
            return _place(work, body)
        case GetInventory():
            return _view(work)
        case SendTransfer() | ReceiveTransfer() | TakeBackTransfer():
            return _for_transfers(work, body)
        case GetTransfer() | ListTransfers():
            return _of_transfers(work, body)
        case GetEvents():
            return read_events(work, body)
        case Grant():
            return grant_assets(work, body)
        case Freeze():
            freeze(work)
        case Thaw():
            unfreeze(work)
        case Settle():
            work.settle_if_due()
        case _:
            return _for_owner(work, body)
    return None


def _for_transfers(work: Work, body: SendTransfer | ReceiveTransfer | TakeBackTransfer) -> object:
    match body:
        case SendTransfer():
            return send_transfer(work, body)
        case ReceiveTransfer(transfer=transfer):
            return receive_transfer(work, transfer)
        case TakeBackTransfer(transfer=transfer, receiver_gone=receiver_gone):
            return take_back_transfer(work, transfer, receiver_gone=receiver_gone)


def _of_transfers(work: Work, body: GetTransfer | ListTransfers) -> LookUp:
    match body:
        case GetTransfer(transfer_id=transfer_id):
            return get_transfer(work, transfer_id)
        case ListTransfers(before=before, limit=limit):
            return list_transfers(work, before, limit)


def _for_owner(
    work: Work,
    body: GetForecast | GetQuote | CancelOrder | GetOrder | ListOrders | GetLedger,
) -> object:
    match body:
        case CancelOrder(order_id=order_id):
            return _cancel(work, order_id)
        case GetForecast(seconds=seconds):
            return _forecast(work, seconds)
        case GetQuote(asset=asset, count=count):
            return quote(work.state, work.ruleset, asset=asset, count=count, now_ms=work.now_ms)
        case GetOrder(order_id=order_id):
            return _order(work, order_id)
        case ListOrders():
            return _pending(work)
        case GetLedger(after=after, limit=limit):
            return _ledger(work, after, limit)


def _place(work: Work, command: PlaceOrder) -> Placed:
    key, fingerprint = command.idempotency_key, command.fingerprint
    known = work.answered_before(key, fingerprint)
    if known is not None:
        return Placed(known.the(OrderView), replayed=True)
    order_id = str(uuid7())
    state, events = place_order(
        work.state,
        work.ruleset,
        order_id=order_id,
        asset=command.asset,
        count=command.count,
        now_ms=work.now_ms,
    )
    work.take(state, events, new_order=order_id)
    order = state.pending.views[-1]
    work.remember(key, fingerprint, Answered(order=order))
    return Placed(order, replayed=False)


def _cancel(work: Work, order_id: str) -> Cancelled | LookUp:
    try:
        state, events, refund = cancel_order(
            work.state, work.ruleset, order_id=order_id, now_ms=work.now_ms
        )
    except UnknownOrder:
        work.settle_if_due()
        return LookUp(
            (records.order_read(work.account_id, order_id),),
            lambda rows: _not_pending(order_id, rows[0]),
        )
    work.take(state, events)
    return Cancelled(order_view(work.order(order_id)), refund)


def _not_pending(order_id: str, rows: Sequence[Row]) -> OrderNotPending | UnknownOrder:
    return OrderNotPending(order_id, rows[0]["state"]) if rows else UnknownOrder(order_id)


def look(
    state: State, context: Context, *, version: int, frozen_ms: int | None
) -> InventoryView | None:
    """Show the inventory as `GetInventory` would, unless something has to be stored first."""
    ruleset, world = context.ruleset, context.world
    now_ms = max(world.now_ms, state.at_ms) if frozen_ms is None else state.at_ms
    due_ms = next_due_ms(state, ruleset)
    if due_ms is not None and due_ms <= now_ms:
        return None
    return view(state, ruleset, now_ms, version=version, tick=world.tick, encoded=context.encoded)


def _view(work: Work) -> InventoryView:
    work.settle_if_due()
    return work.view()


def _forecast(work: Work, seconds: int) -> InventoryView:
    now_ms, tick = work.now_ms, work.context.world.tick
    return forecast(
        work.state,
        work.ruleset,
        now_ms + 1000 * seconds,
        now_ms=now_ms,
        version=work.version,
        tick=tick,
    )


def _order(work: Work, order_id: str) -> OrderView | LookUp:
    work.settle_if_due()
    for pending in work.state.orders:
        if pending.id == order_id:
            return order_view(pending)

    def found(rows: Sequence[Sequence[Row]]) -> OrderView | UnknownOrder:
        return records.order_view_from_row(rows[0][0]) if rows[0] else UnknownOrder(order_id)

    return LookUp((records.order_read(work.account_id, order_id),), found)


def _pending(work: Work) -> tuple[OrderView, ...]:
    work.settle_if_due()
    orders = work.state.orders
    endless = max((order.finishes_ms or 0 for order in orders), default=0) + 1
    orders_by_end = sorted(orders, key=lambda order: (order.finishes_ms or endless, order.seq))
    return tuple(order_view(order) for order in orders_by_end)


def _ledger(work: Work, after: int, limit: int) -> LookUp:
    # A reader sees a complete ledger: what was produced so far is entered first.
    work.settle()

    def page(rows: Sequence[Sequence[Row]]) -> LedgerPage:
        entries = tuple(records.entry_from_row(row) for row in rows[0][:limit])
        return LedgerPage(entries, entries[-1].seq if len(rows[0]) > limit else None)

    return LookUp((records.ledger_read(work.account_id, after, limit),), page)
