"""How Storage gives one query's answers to all callers: with room for I/O in between."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import trio

from actors.storage import Read
from actors.storage.memory import MemoryEngine
from actors.storage.schema import declared_tables
from tests.actors.storage.support import running_storage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.storage.operations import Row
    from tests.actors.storage.support import Running

ASKERS = 256
ROWS = 100
TURN_MAX = 1500
"""Rows per turn: two workers may hand out, each a slice and the answer that completes it."""


class Plenty(MemoryEngine):
    """Has many rows for every read."""

    async def read(self, reads: Sequence[Read]) -> list[list[Row]]:
        """Return them."""
        await trio.lowlevel.checkpoint()
        return [[{"seq": number} for number in range(ROWS)] for _ in reads]


class Turns(trio.abc.Instrument):
    """Counts the turns of Trio's loop: between two of them it polls for I/O."""

    def __init__(self) -> None:
        self.number = 0

    def before_io_wait(self, timeout: float) -> None:
        """Count one."""
        self.number += 1


async def test_answers_of_one_query_come_in_several_turns() -> None:
    """All callers answered in one turn run before anything else is polled: not too many."""
    turns, given = Turns(), Counter[int]()

    async def ask(running: Running) -> None:
        [rows] = await running.client.read(Read("world"))
        given[turns.number] += len(rows)

    async with running_storage(Plenty(declared_tables())) as running:
        trio.lowlevel.add_instrument(turns)
        async with trio.open_nursery() as nursery:
            for _ in range(ASKERS):
                nursery.start_soon(ask, running)
        trio.lowlevel.remove_instrument(turns)
    assert given.total() == ASKERS * ROWS
    assert max(given.values()) < TURN_MAX
