"""Quotes, forecasts and transfers: amounts are whole units, times are world time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from app.http.types.ids import Id
from app.http.types.inventory import INTEGER_MAX, AssetName, Cursor
from app.http.types.times import Time

FORECAST_SECONDS_MAX = 10 * 365 * 86_400
"""How far ahead a forecast may look: ten years."""

TRANSFER_STATES = ("sent", "delivered", "returned", "lost")
"""The states of a transfer."""

Amount = Annotated[int, Meta(ge=1, le=INTEGER_MAX)]


class ForecastQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many seconds of world time to look ahead."""

    seconds: Annotated[int, Meta(ge=0, le=FORECAST_SECONDS_MAX)]


class QuoteQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many units; omit it for a building or technology."""

    count: Amount | None = None


class Prerequisite(msgspec.Struct, frozen=True):
    """An asset still missing, and the level (for a unit: the count) needed of it."""

    asset: str
    level: int


class QuoteDetails(msgspec.Struct, frozen=True):
    """What an order placed now would be; ``affordable_at`` is null if it can never be paid."""

    asset: str
    kind: str
    cost: Mapping[str, int]
    duration_seconds: int | float
    affordable: bool
    affordable_at: Time | None
    missing: list[Prerequisite]
    level: int | UnsetType = UNSET
    count: int | UnsetType = UNSET


class SendTransferRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The receiver, and how much of which resources to send."""

    to: Annotated[str, Meta(min_length=1, max_length=200)]
    resources: Annotated[dict[AssetName, Amount], Meta(min_length=1, max_length=100)]
    note: Annotated[str, Meta(max_length=500)] = ""


class TransferDetails(msgspec.Struct, frozen=True):
    """One transfer; a name is empty if the account was erased."""

    id: Id
    sender: str = msgspec.field(name="from")
    receiver: str = msgspec.field(name="to")
    resources: Mapping[str, int]
    note: str
    state: Annotated[str, Meta(extra_json_schema={"enum": list(TRANSFER_STATES)})]
    sent_at: Time
    settled_at: Time | None


class TransfersQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The transfers before another one; ``before`` is a page's ``next``."""

    before: Cursor = ""
    limit: Annotated[int, Meta(ge=1, le=500)] = 100


class TransferList(msgspec.Struct, frozen=True):
    """A page of transfers sent and received, newest first.

    ``next`` is the ``before`` of the next page, null at the end.
    """

    transfers: list[TransferDetails]
    next: str | None
