"""How an Inventory answers from the tables: every request, with room for I/O in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from actors.inventory import handlers, records
from actors.inventory.messages import GetForecast, GetLedger, Grant, ListOrders
from tests.actors.inventory.world import TOWN, World, a_world, account, ruleset
from tests.actors.storage.support import counting_steps

if TYPE_CHECKING:
    from trio.testing import MockClock

    from actors.inventory.views import LedgerEntry, LedgerPage

ANN = account(1)
ENTRIES = 200
CLIENTS = 64
SHOWN_MAX = 1000
"""Per turn: less than two of the largest pages."""
PENDING = 30
LOOKS_MAX = 4
"""Pending orders per turn."""


async def grant(world: World, number: int) -> None:
    """Make one entry of the ledger."""
    await world.ask(Grant(ANN, {"gold": 1}, "for a test", "operator", f"grant-{number}", b"f"))


async def test_pages_for_many_clients_do_not_hold_up_the_loop(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """However many clients read one account's ledger at once, I/O comes in between."""
    pages: list[LedgerPage] = []
    async with a_world() as world:
        async with trio.open_nursery() as nursery:
            for number in range(ENTRIES):
                nursery.start_soon(grant, world, number)

        async def read() -> None:
            pages.append(await world.ask(GetLedger(ANN, 0, ENTRIES)))

        with counting_steps() as shown:
            show = records.entry_from_row

            def counted(row: dict[str, Any]) -> LedgerEntry:
                shown.add()
                return show(row)

            monkeypatch.setattr(records, "entry_from_row", counted)
            async with trio.open_nursery() as nursery:
                for _ in range(CLIENTS):
                    nursery.start_soon(read)
    assert [len(page.entries) for page in pages] == [ENTRIES] * CLIENTS
    assert 0 < shown.largest < SHOWN_MAX


@pytest.mark.parametrize(
    ("asked", "made_by", "most"),
    [
        (GetForecast(ANN, 3600), "forecast", LOOKS_MAX),
        (ListOrders(ANN), "order_view", LOOKS_MAX * PENDING),
    ],
)
async def test_looks_of_many_clients_do_not_hold_up_the_loop(
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
    asked: GetForecast | ListOrders,
    made_by: str,
    most: int,
) -> None:
    """However many clients project or view an account's pending orders, I/O comes in between."""
    rules = ruleset(TOWN.replace("length = 2", f"length = {PENDING}"))
    async with a_world(rules=rules) as world:
        await world.ask(Grant(ANN, {"gold": 5 * PENDING}, "for a test", "operator", "g", b"f"))
        for _ in range(PENDING):
            await world.order(ANN, "cart", 1)
        with counting_steps() as made:
            make = getattr(handlers, made_by)

            def counted(*given: Any, **named: Any) -> Any:
                made.add()
                return make(*given, **named)

            monkeypatch.setattr(handlers, made_by, counted)
            async with trio.open_nursery() as nursery:
                for _ in range(CLIENTS):
                    nursery.start_soon(world.ask, asked)
    assert 0 < made.largest <= most
