"""The stored state of accounts that come to life: read together, told apart."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from actors.inventory import records
from actors.inventory.batch_size import ORDERS_MAX
from actors.inventory.engine import Events, decode_state, new_state, place_order
from actors.inventory.loading import Loader, Stored
from actors.storage import Create, Refused
from actors.storage.engine import EngineUnavailable
from actors.storage.memory import MemoryEngine
from actors.storage.schema import declared_tables
from bus import ActorStopped, Overloaded, Reply, ReplyTimeout
from tests.actors.inventory.world import account, ruleset
from tests.actors.storage.conftest import postgres_engine
from tests.actors.storage.support import (
    Counter,
    counting_steps,
    make_account,
    new_id,
    running_storage,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from trio.testing import MockClock

    from actors.storage.engine import Engine
    from actors.storage.operations import Operation, Read, Row

ANN, BEN = account(1), account(2)


class Marked(dict[str, Any]):
    """A row that reports when it is looked into, and when it is gone."""

    def __init__(self, row: Row, looked: Counter, gone: Counter) -> None:
        super().__init__(row)
        self._looked, self._gone = looked, gone

    def __getitem__(self, name: str) -> Any:
        """Return a value."""
        self._looked.add()
        return super().__getitem__(name)

    def __del__(self) -> None:
        """Report that nobody has it any more."""
        self._gone.add()


class Marking(MemoryEngine):
    """An engine with accounts of 100 pending orders each, which marks the rows it returns."""

    def __init__(self, looked: Counter, gone: Counter) -> None:
        super().__init__(declared_tables())
        self._counters = looked, gone

    async def keep(self, account_ids: Sequence[str]) -> None:
        """Keep these accounts."""
        for account_id in account_ids:
            orders = [{"order_id": new_id(), "account_id": account_id} for _ in range(100)]
            unit = tuple(Create("orders", {**order, "state": "queued"}) for order in orders)
            assert await self.commit([unit]) == [None]

    async def read(self, reads: Sequence[Read]) -> list[list[Row]]:
        """Return marked rows."""
        answers = await super().read(reads)
        return [[Marked(row, *self._counters) for row in rows] for rows in answers]


class Watched(MemoryEngine):
    """An engine that remembers its queries, and can hold its answers back."""

    def __init__(self) -> None:
        super().__init__(declared_tables())
        self.asked: list[Sequence[Read]] = []
        self.gate = trio.Event()
        self.gate.set()
        self.away = False

    async def read(self, reads: Sequence[Read]) -> list[list[Row]]:
        """Answer once the gate is open."""
        self.asked.append(reads)
        await self.gate.wait()
        if self.away:
            raise EngineUnavailable("away")
        return await super().read(reads)


@asynccontextmanager
async def loading(engine: Engine) -> AsyncGenerator[Loader]:
    """Run a loader on a Storage of its own."""
    async with running_storage(engine) as running, trio.open_nursery() as nursery:
        loader = Loader(running.bus, running.client, wait_seconds_max=10)
        nursery.start_soon(loader.run)
        yield loader
        nursery.cancel_scope.cancel()


def stored_account(account_id: str, orders: int = 1) -> list[Operation]:
    """Return the operations that store an inventory with some pending orders."""
    rules = ruleset()
    state, _ = new_state(account_id, rules, 0)
    for _ in range(orders):
        state, _ = place_order(state, rules, order_id=new_id(), asset="cart", count=1, now_ms=0)
    pending = Events((), tuple(state.orders))
    new = frozenset(order.id for order in state.orders)
    return [
        records.new_inventory(state, rules),
        *records.event_operations(account_id, pending, new),
    ]


async def load_all(loader: Loader, account_ids: Sequence[str]) -> dict[str, Stored]:
    """Load accounts at once."""
    found: dict[str, Stored] = {}

    async def load(account_id: str) -> None:
        found[account_id] = await loader.load(account_id)

    async with trio.open_nursery() as nursery:
        for account_id in account_ids:
            nursery.start_soon(load, account_id)
    return found


async def test_loader_reads_a_lone_account_at_once(autojump_clock: MockClock) -> None:
    """Nothing waits for company: there is no timer."""
    async with loading(Watched()) as loader:
        began = trio.current_time()
        assert await loader.load(ANN) == Stored(None, [])
        assert trio.current_time() == began


async def test_loader_reads_a_burst_in_few_queries(autojump_clock: MockClock) -> None:
    """A thousand accounts that come to life together cost a few queries."""
    engine = Watched()
    async with loading(engine) as loader:
        found = await load_all(loader, [account(number) for number in range(1000)])
    assert len(found) == 1000
    assert len(engine.asked) <= 8


async def test_loader_reads_fewer_accounts_at_once_that_have_many_orders(
    autojump_clock: MockClock,
) -> None:
    """What one read returns is bounded by orders, not by accounts alone."""

    class Counting(Marking):
        most = 0

        async def read(self, reads: Sequence[Read]) -> list[list[Row]]:
            answers = await super().read(reads)
            self.most = max(self.most, *map(len, answers))
            return answers

    ids = [account(number) for number in range(300)]
    with counting_steps():
        engine = Counting(Counter(), Counter())
        await engine.keep(ids)
        async with loading(engine) as loader:
            found = await load_all(loader, ids)
    assert all(len(stored.pending) == 100 for stored in found.values())
    assert engine.most <= ORDERS_MAX


async def test_loader_reads_ever_fewer_accounts_while_reads_fail(
    autojump_clock: MockClock,
) -> None:
    """A read that takes too long is not tried again as it is for ever, for all that are due."""

    class Slow(Marking):
        async def read(self, reads: Sequence[Read]) -> list[list[Row]]:
            answers = await super().read(reads)
            if any(len(rows) > 500 for rows in answers):
                raise EngineUnavailable("no answer in time")
            return answers

    ids = [account(number) for number in range(20)]
    engine = Slow(Counter(), Counter())
    await engine.keep(ids)
    async with loading(engine) as loader:
        left = ids
        while left:
            page = tuple(left[: loader.batch])
            try:
                assert len(await loader.read(page)) == len(page)
            except Overloaded:
                continue
            left = left[len(page) :]


async def test_loader_tells_many_orders_apart_in_slices(autojump_clock: MockClock) -> None:
    """However many pending orders there are, other tasks have their turn in between."""
    ids = tuple(account(number) for number in range(40))
    with counting_steps() as looked:
        engine = Marking(looked, Counter())
        await engine.keep(ids)
        async with loading(engine) as loader:
            found = await loader.read(ids)
        assert [len(stored.pending) for stored in found.values()] == [100] * 40
        assert 0 < looked.largest <= 1000


async def test_loader_has_few_begin_at_once_who_have_many_orders(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both what one step hands out and what it frees are bounded by orders."""
    send_nowait = Reply[Any].send_nowait

    def counted(reply: Reply[Any], value: object) -> bool:
        if isinstance(value, Stored):
            given.add(len(value.pending))
        return send_nowait(reply, value)

    monkeypatch.setattr(Reply, "send_nowait", counted)
    ids = [account(number) for number in range(40)]
    with counting_steps() as given, counting_steps() as gone:
        engine = Marking(Counter(), gone)
        await engine.keep(ids)
        async with loading(engine) as loader, trio.open_nursery() as nursery:
            for account_id in (*ids, *ids):
                nursery.start_soon(loader.load, account_id)
        assert 0 < given.largest <= 2 * 500
        assert 0 < gone.largest <= 500


async def test_loader_gathers_who_comes_while_it_reads(autojump_clock: MockClock) -> None:
    """Requests made during a query are in the next one."""
    engine = Watched()
    async with loading(engine) as loader, trio.open_nursery() as nursery:
        engine.gate = trio.Event()
        for number in range(10):
            nursery.start_soon(loader.load, account(number))
            await trio.testing.wait_all_tasks_blocked()
        assert len(engine.asked) == 1
        engine.gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert len(engine.asked) == 2


async def test_loader_keeps_an_account_back_while_it_is_held(autojump_clock: MockClock) -> None:
    """A caller waits until it is let go, even by a failure; nobody else waits."""
    engine = Watched()
    async with loading(engine) as loader, trio.open_nursery() as nursery:
        held = loader.holding([ANN])
        held.__enter__()
        nursery.start_soon(loader.load, ANN)
        await loader.load(BEN)
        await trio.testing.wait_all_tasks_blocked()
        assert len(engine.asked) == 1
        held.__exit__(ValueError, ValueError("the end"), None)
        await trio.testing.wait_all_tasks_blocked()
        assert len(engine.asked) == 2


async def test_loader_refuses_one_account_alone(autojump_clock: MockClock) -> None:
    """A malformed account id is refused; those requested with it are read."""
    engine = Watched()
    async with loading(engine) as loader, trio.open_nursery() as nursery:
        engine.gate = trio.Event()
        nursery.start_soon(loader.load, ANN)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(loader.load, BEN)
        nursery.start_soon(_expect_refused, loader)
        await trio.testing.wait_all_tasks_blocked()
        engine.gate.set()


async def test_loader_tells_all_that_the_database_is_away(autojump_clock: MockClock) -> None:
    """Past Storage's patience every waiting caller learns so, and the next ones are read again."""
    engine = Watched()
    async with loading(engine) as loader:
        engine.away = True
        async with trio.open_nursery() as nursery:
            for number in range(600):
                nursery.start_soon(_expect_overloaded, loader, account(number))
        engine.away = False
        assert (await loader.load(ANN)).row is None


async def test_loader_that_ends_leaves_nobody_waiting(autojump_clock: MockClock) -> None:
    """When the loader ends, all waiting callers, read for or not, learn so at once."""
    engine = Watched()
    engine.gate = trio.Event()
    async with running_storage(engine) as running, trio.open_nursery() as nursery:
        loader = Loader(running.bus, running.client, wait_seconds_max=10)
        async with trio.open_nursery() as reading:
            reading.start_soon(loader.run)
            nursery.start_soon(_expect_stopped, loader, ANN)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(_expect_stopped, loader, BEN)
            await trio.testing.wait_all_tasks_blocked()
            began = trio.current_time()
            reading.cancel_scope.cancel()
        await _expect_stopped(loader, ANN)
    assert trio.current_time() == began


@given(st.lists(st.integers(0, 2), min_size=1, max_size=12), st.data())
def test_loader_gives_each_account_its_own(orders: list[int], data: st.DataObject) -> None:
    """Whatever is requested together, each account gets its own row and orders, as if alone."""
    ids = [account(number) for number in range(len(orders))]
    wanted = data.draw(st.lists(st.sampled_from([*ids, account(99)]), min_size=1))

    async def run() -> None:
        engine = MemoryEngine(declared_tables())
        await engine.commit(
            [
                tuple(stored_account(account_id, count))
                for account_id, count in zip(ids, orders, strict=True)
            ]
        )
        async with loading(engine) as loader:
            found = await load_all(loader, wanted)
            alone = {account_id: await loader.load(account_id) for account_id in found}
        assert found == alone
        for account_id, stored in found.items():
            number = ids.index(account_id) if account_id in ids else None
            assert (stored.row is None) is (number is None)
            assert len(stored.pending) == (0 if number is None else orders[number])
            assert all(order["account_id"] == account_id for order in stored.pending)

    trio.run(run)


async def test_loader_reads_the_same_from_postgres(database_dsn: str) -> None:
    """The rows of many accounts come back from PostgreSQL, each to its own account."""
    ids = [await make_account(database_dsn) for _ in range(3)]
    async with postgres_engine(database_dsn) as engine:
        units = [tuple(stored_account(id_, count)) for count, id_ in enumerate(ids)]
        assert await engine.commit(units) == [None] * 3
        async with loading(engine) as loader:
            found = await load_all(loader, [*ids, new_id()])
    assert [len(found[id_].pending) for id_ in ids] == [0, 1, 2]
    assert [stored.row is None for stored in found.values()].count(True) == 1
    for id_ in ids:
        row, pending = found[id_]
        assert row is not None
        orders = [records.order_from_row(order) for order in pending]
        assert decode_state(row["state"], ruleset(), orders).account_id == id_


async def _expect_refused(loader: Loader) -> None:
    with pytest.raises(Refused):
        await loader.load("nobody")


async def _expect_overloaded(loader: Loader, account_id: str) -> None:
    with pytest.raises(Overloaded):
        await loader.load(account_id)


async def _expect_stopped(loader: Loader, account_id: str) -> None:
    with pytest.raises(ActorStopped):
        await loader.load(account_id)


async def test_load_of_a_held_account_is_bounded(autojump_clock: MockClock) -> None:
    """A caller held back too long gets an error; others are not kept waiting."""
    engine = Watched()
    async with loading(engine) as loader:
        with loader.holding([ANN]):
            assert (await loader.load(BEN)).row is None
            began = trio.current_time()
            with pytest.raises(ReplyTimeout):
                await loader.load(ANN)
            assert trio.current_time() - began == 10
        assert (await loader.load(ANN)).row is None
