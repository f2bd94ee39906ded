"""The Chest over HTTP: rows for the table of endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from app.http.endpoint import Answer, Auth, Endpoint, Key
from app.http.types.economy import Amount
from app.http.types.inventory import AssetName
from examples.chest.actor import CHEST_KEY
from examples.chest.messages import GetChest, Paid, Pay

if TYPE_CHECKING:
    from app.http.endpoint import Call


# --8<-- [start:row]
class PayRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of which resources."""

    resources: Annotated[dict[AssetName, Amount], msgspec.Meta(min_length=1, max_length=100)]


class ChestDetails(msgspec.Struct, frozen=True):
    """Resources by name."""

    resources: dict[str, int]


async def pay_into_chest(call: Call[PayRequest, None]) -> Answer[ChestDetails]:
    """Pay into the chest; return what was paid."""
    command = call.command
    message = Pay(call.caller.account_id, call.body.resources, command.key, command.fingerprint)
    paid: Paid = await call.gateway.ask(message, key=CHEST_KEY)
    details = ChestDetails(dict(paid.resources))
    if paid.replayed:
        return Answer(details, 200, ((b"idempotency-replayed", b"true"),))
    return Answer(details)


async def get_chest(call: Call[None, None]) -> ChestDetails:
    """Return what is in the chest."""
    return ChestDetails(await call.gateway.ask(GetChest(), key=CHEST_KEY))


CHEST_ROWS = (
    Endpoint(
        method="POST",
        path="/v1/chest/payments",
        handler=pay_into_chest,
        summary="Pay into the common chest",
        tag="chest",
        auth=Auth.PLAYER,
        request=PayRequest,
        response=ChestDetails,
        status=201,
        also=((200, "The same key again: the first answer, with Idempotency-Replayed: true"),),
        errors=("unknown-asset", "insufficient-resources", "conflict", "ruleset-mismatch"),
        key=Key.REQUIRED,
    ),
    Endpoint(
        method="GET",
        path="/v1/chest",
        handler=get_chest,
        summary="What is in the common chest",
        tag="chest",
        auth=Auth.PLAYER,
        response=ChestDetails,
    ),
)
# --8<-- [end:row]
"""The endpoints of the chest."""
