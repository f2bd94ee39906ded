"""The Inventory actor: one writer, persist before reply, exactly once."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from actors.inventory.errors import (
    AccountGone,
    IdempotencyKeyReused,
    InsufficientResources,
    InventoryError,
    MaxLevel,
    OrderNotPending,
    PrerequisitesMissing,
    QueueFull,
    UnknownAsset,
    UnknownOrder,
)
from actors.inventory.messages import Forget, GetLedger, GetOrder, ListOrders, PlaceOrder
from actors.storage import Orphaned, Rejected
from bus import ActorStopped, Overloaded, ReplyTimeout
from tests.actors.inventory.world import TOWN, Tampered, World, a_world, account, ruleset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock

    from actors.inventory.views import LedgerPage, OrderView, Placed
    from actors.storage.engine import Unit
    from actors.storage.errors import StorageError

ANN, BEN = account(1), account(2)


async def test_inventory_begins_with_what_the_rules_give(autojump_clock: MockClock) -> None:
    """The first look at an account finds the start amounts, and a ledger that says so."""
    async with a_world() as world:
        assert await world.owned(ANN) == {"wood": 100, "gold": 50}
        [entry] = (await world.ledger(ANN)).entries
        assert (entry.seq, entry.cause) == (1, "start")


async def test_order_is_answered_only_when_it_is_durable(autojump_clock: MockClock) -> None:
    """No answer leaves during the commit; it leaves once the commit is done."""
    async with a_world() as world, trio.open_nursery() as nursery:
        await world.look(ANN)
        world.engine.close_gate()
        answered: list[Placed] = []

        async def order() -> None:
            answered.append(await world.order(ANN, "hut"))

        nursery.start_soon(order)
        await trio.sleep(5)
        assert not answered
        assert not world.engine.rows("orders")
        world.engine.open_gate()
        await trio.sleep(1)
        assert len(answered) == 1


async def test_order_completes_at_its_due_time_while_nobody_looks(
    autojump_clock: MockClock,
) -> None:
    """The world itself completes due orders, at their own time, and stores them."""
    async with a_world() as world:
        placed = await world.order(ANN, "hut")
        await trio.sleep(11)
        row = world.engine.row("orders", placed.order.id)
        assert row["state"] == "completed"
        assert row["finishes_ms"] == placed.order.placed_at_ms + 10_000
        [completion] = [r for r in world.engine.rows("ledger") if r["cause"] == "order-completed"]
        assert completion["at_ms"] == placed.order.finishes_at_ms


async def test_failed_commit_leaves_no_trace(autojump_clock: MockClock) -> None:
    """A commit that the database refuses changes nothing, and the next unit goes on as before."""
    async with a_world() as world:
        before = await world.owned(ANN)
        version = (await world.look(ANN)).version
        world.engine.failures.append(RuntimeError("the disk is gone"))
        with pytest.raises(ActorStopped):
            await world.order(ANN, "hut")
        await trio.sleep(1)
        assert (await world.look(ANN)).version == version
        assert before["gold"] == (await world.owned(ANN))["gold"]
        assert (await world.order(ANN, "hut")).order.state == "running"


async def test_refusals_change_nothing(autojump_clock: MockClock) -> None:
    """Each refusal has its own error, and version and ledger stay as they were."""
    async with a_world() as world:
        await world.look(ANN)
        stored = len(world.engine.rows("ledger"))
        for asset, error in (
            ("palace", UnknownAsset),
            ("mill", PrerequisitesMissing),
        ):
            with pytest.raises(error):
                await world.order(ANN, asset)
        with pytest.raises(InsufficientResources) as refusal:
            await world.order(ANN, "cart", 11)
        assert refusal.value.missing == {"gold": 5}
        with pytest.raises(UnknownOrder):
            await world.cancel(ANN, account(99))
        assert len(world.engine.rows("ledger")) == stored
        assert not world.engine.rows("orders")


async def test_queue_and_level_have_their_limits(autojump_clock: MockClock) -> None:
    """One runs and two wait; a fourth is refused, and so is a level beyond the last."""
    async with a_world() as world:
        await world.look(ANN)
        await trio.sleep(120)
        for _ in range(3):
            await world.order(ANN, "hut")
        with pytest.raises(QueueFull):
            await world.order(ANN, "cart", 1)
        await trio.sleep(31)
        with pytest.raises(MaxLevel):
            await world.order(ANN, "hut")


async def test_same_key_gives_the_first_answer_where_it_would_be_refused_now(
    autojump_clock: MockClock,
) -> None:
    """A repeat gets the first answer, however little is left, even from an actor that forgot it."""
    async with a_world() as world:
        first = await world.order(ANN, "cart", 9, key="once")
        with pytest.raises(InsufficientResources):
            await world.order(ANN, "cart", 9, key="another")
        for _ in range(2):
            again = await world.order(ANN, "cart", 9, key="once")
            assert again.replayed
            assert again.order == first.order
            await world.ask(Forget(ANN))
        with pytest.raises(InsufficientResources):
            await world.order(ANN, "cart", 9, key="another")
        assert len(world.engine.rows("orders")) == 1


async def test_same_key_gives_the_first_answer_again(autojump_clock: MockClock) -> None:
    """A repeated command takes effect once, even if the actor has forgotten everything."""
    async with a_world() as world:
        first = await world.order(ANN, "hut", key="once")
        again = await world.order(ANN, "hut", key="once")
        await world.ask(Forget(ANN))
        later = await world.order(ANN, "hut", key="once")
        assert again.replayed
        assert later.replayed
        assert first.order == again.order == later.order
        assert len(world.engine.rows("orders")) == 1


async def test_to_forget_a_passive_account_reads_and_begins_nothing(
    autojump_clock: MockClock,
) -> None:
    """An erased account that nobody looks at must not get an inventory by being forgotten."""
    async with a_world() as world:
        before = len(world.engine.units)
        await world.ask(Forget(ANN))
        assert len(world.engine.units) == before
        assert not world.engine.rows("inventories")


async def test_same_key_for_another_request_is_refused(autojump_clock: MockClock) -> None:
    """A key is for one request; another body under it is refused, cached or looked up."""
    async with a_world() as world:
        await world.order(ANN, "hut", key="once")
        other = PlaceOrder(ANN, "cart", 1, "once", b"another body")
        with pytest.raises(IdempotencyKeyReused):
            await world.ask(other)
        await world.ask(Forget(ANN))
        with pytest.raises(IdempotencyKeyReused):
            await world.ask(other)


async def test_same_key_a_hundred_times_at_once_has_one_effect(autojump_clock: MockClock) -> None:
    """A hundred parallel commands with one key give a hundred equal answers and one order."""
    async with a_world() as world:
        answers: list[Placed] = []

        async def order() -> None:
            answers.append(await world.order(ANN, "hut", key="once"))

        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(order)
        assert len({answer.order.id for answer in answers}) == 1
        assert sum(not answer.replayed for answer in answers) == 1
        assert len(world.engine.rows("orders")) == 1


async def test_two_hundred_orders_for_the_last_affordable_building_give_one(
    autojump_clock: MockClock,
) -> None:
    """Check and debit are one step: resources are spent once and never go below zero."""
    async with a_world() as world:
        outcomes: list[str] = []

        async def order(number: int) -> None:
            try:
                await world.order(ANN, "cart", 10, key=f"parallel-{number}")
            except InventoryError as refusal:
                outcomes.append(type(refusal).__name__)
            else:
                outcomes.append("placed")

        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(order, number)
        assert outcomes.count("placed") == 1
        assert set(outcomes) == {"placed", "InsufficientResources"}
        assert "gold" not in await world.owned(ANN)


async def test_cancel_and_completion_exclude_each_other(autojump_clock: MockClock) -> None:
    """An order ends once: cancelled before it is due, or completed, never both."""
    async with a_world() as world:
        early = await world.order(ANN, "hut")
        cancelled = await world.cancel(ANN, early.order.id)
        assert cancelled.refund == {"wood": 20}
        with pytest.raises(OrderNotPending, match="cancelled"):
            await world.cancel(ANN, early.order.id)
        late = await world.order(ANN, "hut")
        await trio.sleep(10.5)
        with pytest.raises(OrderNotPending, match="completed"):
            await world.cancel(ANN, late.order.id)
        assert (await world.owned(ANN))["hut"] == 1


async def test_orders_are_found_by_id_in_every_state(autojump_clock: MockClock) -> None:
    """Any order of one's own can be read, pending or not; another account's is unknown."""
    async with a_world() as world:
        placed = await world.order(ANN, "hut")
        assert await world.ask(ListOrders(ANN)) == (placed.order,)
        running: OrderView = await world.ask(GetOrder(ANN, placed.order.id))
        await trio.sleep(11)
        completed: OrderView = await world.ask(GetOrder(ANN, placed.order.id))
        assert (running.state, completed.state) == ("running", "completed")
        assert await world.ask(ListOrders(ANN)) == ()
        with pytest.raises(UnknownOrder):
            await world.ask(GetOrder(BEN, placed.order.id))


async def test_pending_orders_are_listed_first_to_finish_first(autojump_clock: MockClock) -> None:
    """Running orders come first, by their end, however old; then waiting ones, in sequence."""
    rules = ruleset(TOWN.replace("slots = 1", "slots = 2"))
    async with a_world(rules=rules) as world:
        slow = await world.order(ANN, "hut")
        quick = await world.order(ANN, "cart", 1)
        waiting = [await world.order(ANN, "cart", count) for count in (2, 1)]
        listed: tuple[OrderView, ...] = await world.ask(ListOrders(ANN))
        assert listed == tuple(placed.order for placed in (quick, slow, *waiting))


async def test_ledger_comes_in_pages_and_replays_to_the_inventory(
    autojump_clock: MockClock,
) -> None:
    """Pages join without gap or overlap, and add up to what the account owns."""
    async with a_world() as world:
        await world.look(ANN)
        await trio.sleep(100)
        for asset in ("hut", "cart", "hut"):
            await world.order(ANN, asset, 3 if asset == "cart" else None)
        await trio.sleep(40.5)
        assert await world.replayed(ANN) == await world.owned(ANN) == world.stored(ANN)
        whole = (await world.ledger(ANN)).entries
        first: LedgerPage = await world.ask(GetLedger(ANN, 0, 3))
        assert first.next == 3
        rest: LedgerPage = await world.ask(GetLedger(ANN, first.next, 1000))
        assert (*first.entries, *rest.entries) == whole
        assert rest.next is None
        for length in (len(rest.entries), len(rest.entries) - 1):
            page: LedgerPage = await world.ask(GetLedger(ANN, first.next, length))
            assert (len(page.entries), page.next is None) == (length, length == len(rest.entries))


class NoBeginning(Tampered):
    """An engine that does not let inventories begin."""

    def __init__(self, refusal: Rejected) -> None:
        super().__init__()
        self._refusal = refusal

    async def commit(self, units: Sequence[Unit]) -> list[StorageError | None]:
        """Refuse every unit with an inventory in it."""
        outcomes = await super().commit(units)
        begins = ["inventories" in {op.table for op in unit} for unit in units]
        return [
            self._refusal if begin else outcome
            for begin, outcome in zip(begins, outcomes, strict=True)
        ]


async def test_account_that_was_erased_is_gone(autojump_clock: MockClock) -> None:
    """Without its account, an inventory can neither begin nor be read."""
    async with a_world(engine=NoBeginning(Orphaned("no such account"))) as world:
        with pytest.raises(AccountGone):
            await world.look(ANN)


async def test_account_whose_beginning_is_refused_is_there(autojump_clock: MockClock) -> None:
    """A database that admits nobody does not mean the account is gone: it is a failure."""
    async with a_world(engine=NoBeginning(Rejected("permission denied"))) as world:
        with pytest.raises(ActorStopped):
            await world.look(ANN)


async def test_account_is_begun_once_whatever_became_of_its_first_unit(
    autojump_clock: MockClock,
) -> None:
    """A first unit given up as unknown that takes effect nevertheless was the beginning."""
    async with a_world() as world:
        world.engine.close_gate()
        with pytest.raises(ReplyTimeout):
            await world.look(ANN)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.look, ANN)
            await trio.testing.wait_all_tasks_blocked()
            world.engine.open_gate()
        assert [entry.cause for entry in (await world.ledger(ANN)).entries][:1] == ["start"]
        assert await world.replayed(ANN) == world.stored(ANN)
        assert not world.events("actor_restarted")


async def test_overload_of_storage_reaches_the_asker_and_changes_nothing(
    autojump_clock: MockClock,
) -> None:
    """A full Storage is Overloaded for the player; the state is as if nothing had been asked."""
    async with a_world() as world:
        await world.look(ANN)
        world.engine.failures.append(Overloaded("full"))
        with pytest.raises((Overloaded, ActorStopped)):
            await world.order(ANN, "hut")
        await trio.sleep(1)
        assert not world.engine.rows("orders")


async def test_refusal_leaves_no_garbage(autojump_clock: MockClock) -> None:
    """Repeated refused orders do not fill memory: their errors are in no reference cycle.

    Cycles stay until garbage is collected, which is seldom.
    """

    async def refused(world: World, number: int) -> weakref.ref[InventoryError]:
        try:
            await world.order(ANN, "mill", key=f"refused-{number}")
        except InventoryError as refusal:
            return weakref.ref(refusal)
        raise AssertionError

    async with a_world() as world:
        await world.look(ANN)
        gc.disable()
        try:
            refusals = [await refused(world, number) for number in range(3)]
            # The last batch is held until the next one comes.
            await world.look(ANN)
            assert [refusal() for refusal in refusals] == [None] * 3
        finally:
            gc.enable()


async def test_new_rules_after_a_commit_that_nobody_knows_of(autojump_clock: MockClock) -> None:
    """An account handed over to new rules without confirmation is served, and handed over once."""
    later = ruleset(TOWN.replace("start = 100", "start = 200"))
    async with a_world() as world:
        assert await world.owned(ANN) == {"wood": 100, "gold": 50}
        engine = world.engine
    async with a_world(engine=engine, rules=later) as world, trio.open_nursery() as nursery:
        engine.close_gate()
        with pytest.raises(ReplyTimeout):
            await world.look(ANN)
        version = engine.row("inventories", ANN)["version"]
        nursery.start_soon(world.look, ANN)
        await trio.testing.wait_all_tasks_blocked()
        engine.open_gate()
        await trio.testing.wait_all_tasks_blocked()
        assert engine.row("inventories", ANN)["version"] == version + 1
        assert world.events("actor_restarted") == []
