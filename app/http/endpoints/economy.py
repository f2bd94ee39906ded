"""Quotes, forecasts and transfers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from actors.authx.errors import InvalidUsername, UnknownAccount
from actors.authx.messages import FindAccount
from actors.inventory.messages import (
    GetForecast,
    GetQuote,
    GetTransfer,
    ListTransfers,
    SendTransfer,
)
from app.http.endpoint import Answer, Auth, Endpoint, Key
from app.http.endpoints.views import in_order, inventory_details
from app.http.types.economy import (
    ForecastQuery,
    Prerequisite,
    QuoteDetails,
    QuoteQuery,
    SendTransferRequest,
    TransferDetails,
    TransferList,
    TransfersQuery,
)
from app.http.types.inventory import InventoryDetails
from app.http.types.times import world_time

if TYPE_CHECKING:
    from actors.inventory.views import TransferRecord
    from app.http.endpoint import Call

OK = 200
_REPLAYED = ((b"idempotency-replayed", b"true"),)
_SECOND_MS = 1000


async def get_forecast(call: Call[None, ForecastQuery]) -> InventoryDetails:
    """Return what the caller will own if nothing more is ordered."""
    message = GetForecast(call.caller.account_id, call.query.seconds)
    return inventory_details(await call.gateway.inventory(message))


async def get_quote(call: Call[None, QuoteQuery]) -> QuoteDetails:
    """Return what an order placed now would cost, and when it will be affordable."""
    message = GetQuote(call.caller.account_id, call.path["asset"], call.query.count)
    quote = await call.gateway.inventory(message)
    whole, rest_ms = divmod(quote.duration_ms, _SECOND_MS)
    return QuoteDetails(
        asset=quote.asset,
        kind=quote.kind,
        cost=quote.cost,
        duration_seconds=quote.duration_ms / _SECOND_MS if rest_ms else whole,
        affordable=quote.affordable,
        affordable_at=world_time(quote.affordable_at_ms),
        missing=[Prerequisite(asset, level) for asset, level in quote.missing.items()],
        level=UNSET if quote.level is None else quote.level,
        count=UNSET if quote.count is None else quote.count,
    )


async def send_transfer(call: Call[SendTransferRequest, None]) -> Answer[TransferDetails]:
    """Send resources to another account; they have arrived when the answer is sent."""
    try:
        receiver = await call.gateway.auth(FindAccount(call.body.to))
        receiver_id, receiver_name = receiver.account_id, receiver.username
    except (InvalidUsername, UnknownAccount):
        # It may have existed when the same key was first sent.
        receiver_id, receiver_name = None, ""
    message = SendTransfer(
        account_id=call.caller.account_id,
        sender_name=call.caller.username,
        receiver_id=receiver_id,
        receiver_name=receiver_name,
        resources=call.body.resources,
        note=call.body.note,
        idempotency_key=call.command.key,
        fingerprint=call.command.fingerprint,
    )
    sent = await call.gateway.inventory(message)
    transfer = transfer_details(sent.transfer)
    return Answer(transfer, OK, _REPLAYED) if sent.replayed else Answer(transfer)


async def get_transfer(call: Call[None, None]) -> TransferDetails:
    """Return any transfer that the caller sent or received."""
    message = GetTransfer(call.caller.account_id, call.path["transfer_id"])
    return transfer_details(await call.gateway.inventory(message))


async def list_transfers(call: Call[None, TransfersQuery]) -> TransferList:
    """Return a page of the transfers that the caller sent or received."""
    query = call.query
    message = ListTransfers(call.caller.account_id, query.limit, query.before or None)
    page = await call.gateway.inventory(message)
    return TransferList([transfer_details(each) for each in page.transfers], page.next)


def transfer_details(transfer: TransferRecord) -> TransferDetails:
    """Convert a transfer to its API form."""
    return TransferDetails(
        id=transfer.id,
        sender=transfer.sender_name,
        receiver=transfer.receiver_name,
        resources=in_order(transfer.resources),
        note=transfer.note,
        state=transfer.state,
        sent_at=world_time(transfer.sent_at_ms),
        settled_at=world_time(transfer.settled_at_ms),
    )


ECONOMY = (
    Endpoint(
        method="GET",
        path="/v1/inventory/forecast",
        handler=get_forecast,
        summary="The inventory as it will be if nothing more is ordered",
        tag="inventory",
        auth=Auth.PLAYER,
        query=ForecastQuery,
        response=InventoryDetails,
    ),
    Endpoint(
        method="GET",
        path="/v1/inventory/quotes/{asset:text}",
        handler=get_quote,
        summary="What an order would cost, and when the account can pay for it",
        tag="orders",
        auth=Auth.PLAYER,
        query=QuoteQuery,
        response=QuoteDetails,
        errors=("max-level",),
        absent="unknown-asset",
    ),
    Endpoint(
        method="POST",
        path="/v1/transfers",
        handler=send_transfer,
        summary="Send resources to another account",
        tag="transfers",
        auth=Auth.PLAYER,
        request=SendTransferRequest,
        response=TransferDetails,
        status=201,
        also=((OK, "The same key again: the first answer, with Idempotency-Replayed: true"),),
        errors=(
            "unknown-account",
            "unknown-asset",
            "insufficient-resources",
            "transfers-disabled",
            "transfer-limit",
            "transfer-returned",
            "conflict",
        ),
        key=Key.REQUIRED,
    ),
    Endpoint(
        method="GET",
        path="/v1/transfers",
        handler=list_transfers,
        summary="The transfers sent and received, newest first",
        tag="transfers",
        auth=Auth.PLAYER,
        query=TransfersQuery,
        response=TransferList,
    ),
    Endpoint(
        method="GET",
        path="/v1/transfers/{transfer_id:uuid}",
        handler=get_transfer,
        summary="Any transfer with its state",
        tag="transfers",
        auth=Auth.PLAYER,
        response=TransferDetails,
        absent="unknown-transfer",
    ),
)
"""The endpoints of quotes, forecasts and transfers."""
