"""Accounts with something due: found by the clock, settled page by page."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import trio
import trio.testing
from structlog.testing import LogCapture

from actors.inventory.due import DueAccounts
from actors.inventory.passive import Outcome
from actors.inventory.world import WorldTime
from actors.storage import Update
from actors.storage.memory import MemoryEngine
from actors.storage.schema import declared_tables
from actors.ticker import Tick
from bus import Overloaded
from tests.actors.inventory.world import account
from tests.actors.storage.support import new_inventory, running_storage
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    import pytest
    from trio.testing import MockClock

    from actors.inventory.activation import Activation
    from actors.inventory.passive import PassiveAccounts
    from actors.storage import Read, Row, StorageClient
    from bus import Message

PAGE = 4
DUE_MS = 1_000


@dataclass
class Settling:
    """Stands in for the inventories: requests stay in flight until they are answered."""

    storage: StorageClient
    log: LogCapture
    world: WorldTime
    due: DueAccounts
    in_hand: list[Message]
    addressed: list[str] = field(default_factory=list[str])
    begun: list[int | None] = field(default_factory=list[int | None])
    """The moment above which each list of due accounts began; None: with the earliest."""

    async def settle(self, message: Message) -> None:
        """Settle one account: it is no longer due."""
        self.in_hand.remove(message)
        key = {"account_id": message.key}
        await self.storage.commit(Update("inventories", key, {"next_due_ms": None}))
        assert message.reply is not None
        message.reply.send_nowait(None)
        await trio.testing.wait_all_tasks_blocked()


@asynccontextmanager
async def settling(count: int, *, fitting: int = 10 * PAGE) -> AsyncGenerator[Settling]:
    """Look for due accounts, all live and due at one moment, where there are this many."""
    in_hand: list[Message] = []
    addressed: list[str] = []
    begun: list[int | None] = []

    class FakeActivation:
        def deliver(self, account_id: str, message: Message) -> None:
            addressed.append(account_id)
            in_hand.append(message)

    class Nobody:
        batch = fitting

        async def settle(self, account_ids: Sequence[str]) -> Outcome:
            await trio.lowlevel.checkpoint()
            return Outcome(0, account_ids)

    class Noting:
        def __init__(self, storage: StorageClient) -> None:
            self._storage = storage

        async def read(self, read: Read) -> list[list[Row]]:
            begun.append(None if read.above is None else cast("int", read.above[1]))
            return await self._storage.read(read)

    log = LogCapture()
    world = WorldTime(0, 0)
    async with running_storage(MemoryEngine(declared_tables())) as running:
        for number in range(count):
            await running.client.commit(new_inventory(account(number), next_due_ms=DUE_MS))
        due = DueAccounts(
            running.bus,
            cast("StorageClient", Noting(running.client)),
            cast("Activation", FakeActivation()),
            cast("PassiveAccounts", Nobody()),
            world,
            page=PAGE,
            reply_seconds_max=10,
            log=quiet_log(log),
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(due.run)
            await trio.testing.wait_all_tasks_blocked()
            yield Settling(running.client, log, world, due, in_hand, addressed, begun)
            nursery.cancel_scope.cancel()


async def test_due_waits_for_the_clock(autojump_clock: MockClock) -> None:
    """Nobody is addressed before the tick of the moment; then everyone is at once."""
    async with settling(3) as accounts:
        accounts.world.set(Tick(1, DUE_MS - 1))
        await trio.testing.wait_all_tasks_blocked()
        assert not accounts.addressed
        accounts.world.set(Tick(2, DUE_MS))
        await trio.testing.wait_all_tasks_blocked()
        assert len(accounts.in_hand) == 3


async def test_due_has_two_pages_in_hand_at_most(autojump_clock: MockClock) -> None:
    """The rest waits: players' commands come in between."""
    async with settling(100) as accounts:
        accounts.world.set(Tick(1, DUE_MS))
        await trio.testing.wait_all_tasks_blocked()
        while accounts.in_hand:
            assert len(accounts.in_hand) <= 2 * PAGE
            await accounts.settle(accounts.in_hand[-1])
        assert sorted(accounts.addressed) == sorted(map(account, range(100)))


async def test_due_pages_hold_no_more_than_should_be_read_together(
    autojump_clock: MockClock,
) -> None:
    """A page of accounts with many orders is smaller than one may be."""
    async with settling(2 * PAGE, fitting=2) as accounts:
        accounts.world.set(Tick(1, DUE_MS))
        await trio.testing.wait_all_tasks_blocked()
        while accounts.in_hand:
            assert len(accounts.in_hand) <= 2 * 2
            await accounts.settle(accounts.in_hand[-1])
        assert sorted(accounts.addressed) == sorted(map(account, range(2 * PAGE)))


async def test_due_asks_for_the_next_page_while_one_is_settled(autojump_clock: MockClock) -> None:
    """The database does not idle between two pages."""
    async with settling(3 * PAGE) as accounts:
        accounts.world.set(Tick(1, DUE_MS))
        await trio.testing.wait_all_tasks_blocked()
        assert len(accounts.in_hand) == 2 * PAGE
        for message in accounts.in_hand[:PAGE]:
            await accounts.settle(message)
        assert len(accounts.in_hand) == 2 * PAGE


async def test_due_account_that_fails_comes_again_with_the_next_tick(
    autojump_clock: MockClock,
) -> None:
    """A failure is reported and delays nobody; an account still due is addressed again."""
    async with settling(3) as accounts:
        accounts.world.set(Tick(1, DUE_MS))
        await trio.testing.wait_all_tasks_blocked()
        first, *others = accounts.in_hand
        assert first.reply is not None
        first.reply.fail(Overloaded("busy"))
        accounts.in_hand.remove(first)
        for message in others:
            await accounts.settle(message)
        assert [entry["event"] for entry in accounts.log.entries] == ["due_not_settled"]
        accounts.world.set(Tick(2, DUE_MS + 250))
        await trio.testing.wait_all_tasks_blocked()
        assert [message.key for message in accounts.in_hand] == [first.key]
        assert accounts.due.lag_ms == 250


async def test_tick_that_comes_while_accounts_are_settled_is_looked_at_next(
    autojump_clock: MockClock,
) -> None:
    """Accounts that came due meanwhile do not wait for yet another tick."""
    async with settling(1) as accounts:
        accounts.world.set(Tick(1, DUE_MS))
        await trio.testing.wait_all_tasks_blocked()
        await accounts.storage.commit(new_inventory(account(1), next_due_ms=DUE_MS + 250))
        accounts.world.set(Tick(2, DUE_MS + 250))
        await trio.testing.wait_all_tasks_blocked()
        assert accounts.addressed == [account(0)]
        await accounts.settle(accounts.in_hand[0])
        assert accounts.addressed == [account(0), account(1)]


async def test_due_accounts_that_are_silent_are_waited_for_together(
    autojump_clock: MockClock,
) -> None:
    """However many do not answer, the look goes on after the longest single wait, and says so."""
    async with settling(PAGE) as accounts:
        accounts.world.set(Tick(1, DUE_MS))
        await trio.testing.wait_all_tasks_blocked()
        accounts.world.set(Tick(2, DUE_MS + 1))
        await trio.sleep(10.1)
        errors = [entry["error"] for entry in accounts.log.entries]
        assert errors == ["no answer within 10 s"] * PAGE
        assert len(accounts.addressed) == 2 * PAGE


async def test_due_does_not_read_through_what_was_settled_long_ago(
    autojump_clock: MockClock,
) -> None:
    """A look costs by what is due, even if nothing that came due before can be vacuumed."""
    async with settling(2) as accounts:
        accounts.world.set(Tick(1, DUE_MS))
        await trio.testing.wait_all_tasks_blocked()
        for message in (*accounts.in_hand,):
            await accounts.settle(message)
        accounts.begun.clear()
        moments = [DUE_MS + 250 * number for number in range(100)]
        for tick, now_ms in enumerate(moments[1:], 2):
            accounts.world.set(Tick(tick, now_ms))
            await trio.testing.wait_all_tasks_blocked()
        # Each above what the previous look settled, less the margin for late writes.
        assert accounts.begun == [now_ms - 10_000 for now_ms in moments[:-1]]


async def test_due_finds_what_was_written_late_for_a_moment_long_past(
    autojump_clock: MockClock,
) -> None:
    """Within half a minute, and then at every tick until it is settled."""
    async with settling(0) as accounts:
        accounts.world.set(Tick(1, 30_000))
        await trio.testing.wait_all_tasks_blocked()
        await accounts.storage.commit(new_inventory(account(7), next_due_ms=DUE_MS))
        accounts.world.set(Tick(2, 59_999))
        await trio.testing.wait_all_tasks_blocked()
        assert not accounts.addressed
        for tick, now_ms in ((3, 60_000), (4, 60_250), (5, 60_500)):
            accounts.world.set(Tick(tick, now_ms))
            await trio.testing.wait_all_tasks_blocked()
            [message] = accounts.in_hand
            if tick < 5:
                accounts.in_hand.remove(message)
                assert message.reply is not None
                message.reply.fail(Overloaded("busy"))
                await trio.testing.wait_all_tasks_blocked()
        await accounts.settle(accounts.in_hand[0])
        assert accounts.addressed == [account(7)] * 3


async def test_due_account_that_always_fails_does_not_have_every_look_be_whole(
    autojump_clock: MockClock,
) -> None:
    """Most looks cost by what is due again; the lag is reported all the time."""
    async with settling(1) as accounts:
        for tick, now_ms in enumerate(range(DUE_MS, DUE_MS + 90_000, 1_000), 1):
            accounts.world.set(Tick(tick, now_ms))
            await trio.testing.wait_all_tasks_blocked()
            for message in (*accounts.in_hand,):
                accounts.in_hand.remove(message)
                assert message.reply is not None
                message.reply.fail(Overloaded("broken"))
            await trio.testing.wait_all_tasks_blocked()
            assert accounts.due.lag_ms == now_ms - DUE_MS
        # At first above what was settled; from 30 s on, whole for ten seconds of each half minute.
        assert (accounts.begun.count(None), len(accounts.addressed)) == (1 + 10 + 10 + 1, 29 + 21)
        # Once it is settled, only the look of each half minute is whole.
        accounts.world.set(Tick(91, DUE_MS + 90_000))
        await trio.testing.wait_all_tasks_blocked()
        await accounts.settle(accounts.in_hand[0])
        accounts.begun.clear()
        accounts.world.set(Tick(92, DUE_MS + 91_000))
        await trio.testing.wait_all_tasks_blocked()
        assert accounts.begun == [DUE_MS + 80_000]


async def test_due_look_from_the_earliest_moment_that_fails_is_not_repeated_at_once(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even for an account left due: the database may be too slow for such looks."""
    async with settling(1) as accounts:
        accounts.world.set(Tick(1, 30_000))
        await trio.testing.wait_all_tasks_blocked()
        reply = accounts.in_hand.pop().reply
        assert reply is not None
        reply.fail(Overloaded("broken"))
        await trio.testing.wait_all_tasks_blocked()
        accounts.begun.clear()

        async def away(_storage: StorageClient, _read: Read) -> list[list[Row]]:
            await trio.lowlevel.checkpoint()
            raise Overloaded("too slow")

        monkeypatch.setattr(type(accounts.storage), "read", away)
        for tick, now_ms in enumerate((30_250, 30_500, 30_750), 2):
            accounts.world.set(Tick(tick, now_ms))
            await trio.testing.wait_all_tasks_blocked()
        assert accounts.begun == [None, 20_000, 20_000]
