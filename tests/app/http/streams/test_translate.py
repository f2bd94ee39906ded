"""From ledger entries to events: one or none for each, named for its cause."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.inventory.views import EventPage, LedgerEntry, StockView, TransferRecord
from app.http.streams.sse import encode
from app.http.streams.translate import WireEvent, end_of, events_of, snapshot_of
from tests.app.http.harness import ACCOUNT_ID, INVENTORY, NOW_MS, ORDER, ORDER_ID, changed
from tests.app.http.streams.harness import entry

TRANSFER = TransferRecord(
    "t", ACCOUNT_ID, "ada", "other", "bob", {"metal": 5}, "", "sent", NOW_MS, None
)


def page(*entries: LedgerEntry, capacity: int | None = 1_000) -> EventPage:
    """Make a page of entries, with metal at this capacity."""
    now = changed(INVENTORY, resources={"metal": StockView(482, 63, capacity, None)})
    orders, transfers = {ORDER_ID: ORDER}, {"t": TRANSFER}
    return EventPage(now, 99, entries, orders, transfers)


def told(*entries: LedgerEntry, capacity: int | None = 1_000) -> list[tuple[int | None, str]]:
    """Return the ids and names of the events of some entries."""
    return [(event.id, event.name) for event in events_of(page(*entries, capacity=capacity))]


def data(event: WireEvent) -> dict[str, Any]:
    """Read an event's data."""
    found: dict[str, Any] = msgspec.json.decode(event.data)
    return found


@pytest.mark.parametrize(
    "cause",
    [
        "start",
        "order-placed",
        "order-started",
        "order-completed",
        "unit-completed",
        "order-cancelled",
        "transfer-sent",
        "transfer-received",
        "transfer-returned",
        "grant",
        "ruleset-changed",
    ],
)
def test_entry_is_an_event_by_its_number_and_cause(cause: str) -> None:
    """An event's id is its entry's number, its name the entry's cause."""
    assert told(entry(7, cause)) == [(7, cause)]


def test_production_alone_is_no_event() -> None:
    """Mere growth is not sent: a client knows the rate."""
    assert told(entry(1, "production", metal=(5, 999))) == []


def test_production_up_to_the_capacity_is_resource_full() -> None:
    """The entry with which a stock reaches its capacity is sent, whatever the capacity is now."""
    filling = entry(1, "production", full=("metal",), metal=(5, 999))
    assert told(filling) == told(filling, capacity=None) == [(1, "resource-full")]
    assert told(entry(1, "production", metal=(5, 1_000))) == []


def test_event_names_what_it_filled() -> None:
    """Whatever filled a stock, its event says so."""
    filled, other = events_of(
        page(entry(1, "grant", full=("metal",), metal=(900, 1_200)), entry(2, "grant"))
    )
    assert data(filled)["full"] == ["metal"]
    assert "full" not in data(other)


def test_event_names_what_it_filled_in_the_same_order_when_told_again() -> None:
    """The database keeps no order of names: an entry read back may have them in another."""
    changes = {"metal": (900, 1_200), "gas": (5, 10)}
    [first] = events_of(page(entry(1, "grant", full=("metal", "gas"), **changes)))
    [again] = events_of(page(entry(1, "grant", full=("gas", "metal"), **changes)))
    assert data(first)["full"] == data(again)["full"] == ["gas", "metal"]


def test_event_tells_what_is_held() -> None:
    """Events and snapshots show what waits for room as the inventory does."""
    stock = StockView(1_000, -63, 1_000, None, 5)
    held = changed(page(entry(1)), now=changed(INVENTORY, resources={"metal": stock}))
    [event] = events_of(held)
    told_of = [data(event)["rates"], data(snapshot_of(held))["inventory"]["resources"]]
    assert [each["metal"]["held"] for each in told_of] == [5, 5]


def test_event_carries_the_rates_of_its_moment() -> None:
    """Every event has the amounts and their growth rates, as of ``at``."""
    [event] = events_of(page(entry(1)))
    found = data(event)
    assert found["at"] == "2026-03-01T12:00:00Z"
    assert found["tick"] == INVENTORY.tick
    assert found["rates"] == {
        "metal": {"amount": 482, "per_hour": 63, "capacity": 1_000, "full_at": None}
    }
    assert found["entry"]["seq"] == 1
    assert "order" not in found
    assert "transfer" not in found


def test_event_carries_its_order_and_transfer() -> None:
    """The order or transfer behind an entry comes with it."""
    order, transfer, gone = events_of(
        page(
            changed(entry(1, "order-started"), order_id=ORDER_ID),
            changed(entry(2, "transfer-sent"), transfer_id="t"),
            changed(entry(3, "order-placed"), order_id="unknown", transfer_id="unknown"),
        )
    )
    assert data(order)["order"]["id"] == ORDER_ID
    assert data(transfer)["transfer"]["to"] == "bob"
    assert data(gone).keys() == {"at", "tick", "rates", "entry"}


def test_snapshot_is_the_inventory_at_the_last_entry() -> None:
    """A stream begins with everything, under the number of the last entry."""
    event = snapshot_of(page())
    assert (event.id, event.name) == (99, "snapshot")
    found = data(event)
    assert found["rates"] == found["inventory"]["resources"]
    assert found["inventory"]["orders"][0]["id"] == ORDER_ID


@pytest.mark.parametrize("reason", ["session-ended", "token-expired", "bye"])
def test_last_event_has_no_id(reason: str) -> None:
    """The end of a stream is not an entry: a client resumes after the last that was."""
    event = end_of(reason)
    assert (event.id, event.name, data(event)["reason"]) == (None, reason, reason)


def test_event_is_spelled_as_the_standard_says() -> None:
    """Id, name and data are on a line each; a blank line ends the event."""
    assert encode(WireEvent(7, "grant", b'{"a":1}')) == b'id: 7\nevent: grant\ndata: {"a":1}\n\n'
    assert encode(WireEvent(None, "bye", b"{}")) == b"event: bye\ndata: {}\n\n"
