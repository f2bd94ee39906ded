"""What the event streams send: amounts are whole units, times are world time."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from app.http.types.economy import TransferDetails
from app.http.types.inventory import (
    INTEGER_MAX,
    InventoryDetails,
    LedgerEntryDetails,
    OrderDetails,
    Stock,
)
from app.http.types.times import Time

EventId = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]


class EventsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to resume: the id of the last event received; without it, begin with a snapshot."""

    after: EventId | None = None


class StreamLogin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first message on a WebSocket opened without a token; ``after`` is as in the query.

    Without ``after``, that of the query applies.
    """

    access_token: Annotated[str, Meta(min_length=1, max_length=4096)]
    after: EventId | None = None


class EventDetails(msgspec.Struct, frozen=True):
    """One event: a ledger entry, its subject, and the current rates, which are those of ``at``.

    ``order`` and ``transfer`` are in their state when the event is sent; ``full`` names the
    resources that reached their capacity with this entry.
    """

    at: Time
    tick: int
    rates: dict[str, Stock]
    entry: LedgerEntryDetails
    order: OrderDetails | UnsetType = UNSET
    transfer: TransferDetails | UnsetType = UNSET
    full: list[str] | UnsetType = UNSET


class SnapshotDetails(msgspec.Struct, frozen=True):
    """The start of a stream that does not resume: everything that the account owns."""

    at: Time
    tick: int
    rates: dict[str, Stock]
    inventory: InventoryDetails


class StreamEnd(msgspec.Struct, frozen=True):
    """Why the server ends a stream; after ``bye`` and ``token-expired``, clients may reconnect."""

    reason: Literal["session-ended", "token-expired", "bye"]
    detail: str
