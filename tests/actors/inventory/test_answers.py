"""How an Inventory answers from the tables: everyone, and with room for I/O in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from actors.inventory import records
from actors.inventory.messages import GetLedger, Grant
from tests.actors.inventory.world import World, a_world, account
from tests.actors.storage.support import counting_steps

if TYPE_CHECKING:
    import pytest
    from trio.testing import MockClock

    from actors.inventory.views import LedgerEntry, LedgerPage

ANN = account(1)
ENTRIES = 200
CLIENTS = 64
SHOWN_MAX = 1000
"""Of one turn: less than two pages of the largest there are."""


async def grant(world: World, number: int) -> None:
    """Make one entry of the ledger."""
    await world.ask(Grant(ANN, {"gold": 1}, "for a test", "operator", f"grant-{number}", b"f"))


async def test_pages_for_many_clients_do_not_hold_up_the_loop(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """However many clients of one account read its ledger at once, I/O comes in between."""
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
