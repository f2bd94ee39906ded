"""Translates pages of the ledger to the events that are sent; pure.

A ledger entry becomes one event or none, never two: its number is the event's id, and a client
that resumes after an id misses nothing and gets nothing twice. The event is named after the entry's
cause; mere production is left out unless it filled a stock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import UNSET

from app.http.endpoints.economy import transfer_details
from app.http.endpoints.views import inventory_details, ledger_entry, order_details, stocks
from app.http.types.events import EventDetails, SnapshotDetails, StreamEnd
from app.http.types.times import world_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.inventory.views import EventPage

SNAPSHOT: Final = "snapshot"
RESOURCE_FULL: Final = "resource-full"
SESSION_ENDED: Final = "session-ended"
TOKEN_EXPIRED: Final = "token-expired"  # noqa: S105 - the name of an event
BYE: Final = "bye"

_PRODUCTION = "production"
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class WireEvent:
    """One event: its id, if it has one, its name, and its data as JSON."""

    id: int | None
    name: str
    data: bytes


def snapshot_of(page: EventPage) -> WireEvent:
    """Return the event that begins a stream."""
    inventory = inventory_details(page.now)
    details = SnapshotDetails(inventory.at, inventory.tick, inventory.resources, inventory)
    return WireEvent(page.seq, SNAPSHOT, _encode(details))


def events_of(page: EventPage) -> Iterator[WireEvent]:
    """Yield the events of a page, in order."""
    at, rates = world_time(page.now.at_ms), stocks(page.now)
    for entry in page.entries:
        if entry.cause == _PRODUCTION and not entry.full:
            continue
        order = None if entry.order_id is None else page.orders.get(entry.order_id)
        transfer = None if entry.transfer_id is None else page.transfers.get(entry.transfer_id)
        details = EventDetails(
            at=at,
            tick=page.now.tick,
            rates=rates,
            entry=ledger_entry(entry),
            order=UNSET if order is None else order_details(order),
            transfer=UNSET if transfer is None else transfer_details(transfer),
            full=sorted(entry.full) or UNSET,
        )
        name = RESOURCE_FULL if entry.cause == _PRODUCTION else entry.cause
        yield WireEvent(entry.seq, name, _encode(details))


def end_of(reason: str) -> WireEvent:
    """Return the event that ends a stream."""
    match reason:
        case "session-ended":
            end = StreamEnd(SESSION_ENDED, "the session has ended, or the account may not use it")
        case "token-expired":
            end = StreamEnd(TOKEN_EXPIRED, "refresh, and resume with the new access token")
        case _:
            end = StreamEnd(BYE, "the server is stopping: resume when it is back")
    return WireEvent(None, end.reason, _encode(end))
