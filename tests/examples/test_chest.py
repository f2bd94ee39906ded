"""The example of an actor with its own tables: a payment is made once, whatever fails."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.inventory.errors import (
    AccountGone,
    IdempotencyKeyReused,
    InsufficientResources,
    InventoryError,
    UnknownAsset,
)
from actors.inventory.messages import Grant
from actors.shutdown import Phase, Shutdown
from actors.storage import Create, Delete, StorageError, Update
from actors.storage.errors import Orphaned
from actors.storage.schema import declared_tables
from app.http.endpoints import ENDPOINTS
from app.http.openapi import with_openapi
from bus import ActorStopped, BusError, Interest, Message, Topic
from examples.chest.actor import CHEST_KEY, RESUME_MS, Chest
from examples.chest.endpoint import CHEST_ROWS
from examples.chest.messages import GetChest, Paid, Pay
from examples.chest.tables import CHEST, CHEST_PAYMENTS
from tests.actors.inventory.world import Tampered, World, a_world, account, ruleset
from tests.app.http.harness import BEARER, FakeWorld, serving
from tests.app.http.rows import KEY
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from httpx import Response
    from trio.testing import MockClock

    from actors.storage.engine import Unit
    from actors.storage.operations import Operation, Read, Row
    from bus import Subscription

ANN = account(1)
TABLES = {**declared_tables(), "chest": CHEST, "chest_payments": CHEST_PAYMENTS}


class Stopping(Tampered):
    """An engine that withholds its answer once the unit that a test waits for is durable."""

    def __init__(self) -> None:
        super().__init__(TABLES)
        self.awaited = self.held_up = ""
        self.lands_at_look = self.orphans = False
        self.silent, self.resumed = trio.Event(), trio.Event()

    async def read(self, reads: Sequence[Read]) -> list[list[Row]]:
        """Read; a held-up commit may land just before the chest is read."""
        if self.lands_at_look and any(read.table == "chest" for read in reads):
            self.lands_at_look = False
            self.resumed.set()
            await trio.sleep(0.1)
        return await super().read(reads)

    async def commit(self, units: Sequence[Unit]) -> list[StorageError | None]:
        """Commit, but report the awaited step only once the test resumes."""
        steps = {step_of(operation) for unit in units for operation in unit}
        if self.held_up in steps:
            self.held_up = ""
            self.silent.set()
            await self.resumed.wait()
        if self.orphans and "begun" in steps:
            return [Orphaned("no such account") for _ in units]
        outcomes = await super().commit(units)
        if self.awaited in steps:
            self.awaited = ""
            self.silent.set()
            await self.resumed.wait()
        return outcomes


def step_of(operation: Operation) -> str | None:
    """Return the step of a payment that an operation belongs to."""
    match operation:
        case Create(table="chest_payments"):
            return "begun"
        case Create(table="ledger", values={"cause": "grant"}):
            return "taken"
        case Update(table="chest"):
            return "made"
        case Delete(table="chest_payments"):
            return "refused"
        case _:
            return None


@dataclass
class Common:
    """A world with a chest, whose actor a test can stop and restart."""

    world: World
    engine: Stopping
    subscription: Subscription
    nursery: trio.Nursery
    running: trio.CancelScope

    async def begin(self) -> None:
        """Run the actor until the next `end`."""
        self.running = trio.CancelScope()
        bus, storage = self.world.bus, self.world.storage
        resources = ruleset().resources
        chest = Chest(self.subscription, bus, storage, quiet_log(), resources=resources)

        async def run(task_status: trio.TaskStatus[None]) -> None:
            with self.running:
                await chest.run(task_status=task_status)

        await self.nursery.start(run)

    def end(self) -> None:
        """Cancel the actor wherever it is."""
        self.running.cancel()

    async def pay(self, wood: int, key: str = "k", fingerprint: bytes = b"f") -> Paid:
        """Pay some wood."""
        pay = Pay(ANN, {"wood": wood}, key, fingerprint)
        paid: Paid = await self.world.bus.ask(Topic.TASK, pay, key=CHEST_KEY, timeout_s=20)
        return paid

    async def try_to_pay(self, wood: int) -> None:
        """Pay some wood, ignoring failures."""
        with suppress(BusError, InventoryError, StorageError):
            await self.pay(wood)

    async def holdings(self) -> dict[str, int]:
        """Return the contents of the chest."""
        told: dict[str, int] = await self.world.bus.ask(
            Topic.TASK, GetChest(), key=CHEST_KEY, timeout_s=20
        )
        return told

    async def taken(self) -> int:
        """Return how much wood was taken from its owner, according to the ledger."""
        entries = (await self.world.ledger(ANN)).entries
        return -sum(each.changes["wood"].delta for each in entries if each.cause == "grant")


@asynccontextmanager
async def a_chest() -> AsyncGenerator[Common]:
    """Run a world with a chest."""
    engine = Stopping()
    async with a_world(engine=engine) as world, trio.open_nursery() as nursery:
        subscription = world.bus.subscribe(
            Interest(Topic.TASK, key=CHEST_KEY),
            Interest(Topic.TICK),
            Interest(Topic.SHUTDOWN),
            buffer=8,
        )
        await world.look(ANN)
        common = Common(world, engine, subscription, nursery, trio.CancelScope())
        await common.begin()
        yield common
        nursery.cancel_scope.cancel()


async def cut_off(common: Common, nursery: trio.Nursery, step: str, wood: int) -> None:
    """Cancel the actor in a payment while its write of this step is in flight."""
    common.engine.held_up = step
    nursery.start_soon(common.try_to_pay, wood)
    await common.engine.silent.wait()
    common.end()
    await wait_all_tasks_blocked()


async def try_again(common: Common, nursery: trio.Nursery, wood: int) -> None:
    """Restart the actor, pay, let the write in flight land, and wait for it to resume payments."""
    await common.begin()
    nursery.start_soon(common.try_to_pay, wood)
    await trio.sleep(1)
    common.engine.resumed.set()
    await trio.sleep(2 * RESUME_MS / 1000)


async def test_chest_takes_a_payment_once(autojump_clock: MockClock) -> None:
    """A payment moves from the account to the chest; the same key again gets the same answer."""
    async with a_chest() as common:
        assert await common.pay(30) == Paid({"wood": 30}, replayed=False)
        assert await common.pay(30) == Paid({"wood": 30}, replayed=True)
        with pytest.raises(IdempotencyKeyReused):
            await common.pay(31, fingerprint=b"another")
        assert (await common.holdings(), await common.taken()) == ({"wood": 30}, 30)


async def test_chest_leaves_nothing_of_a_payment_that_is_refused(
    autojump_clock: MockClock,
) -> None:
    """A payment that cannot be covered never begins, and leaves its key free."""
    async with a_chest() as common:
        with pytest.raises(InsufficientResources):
            await common.pay(100_000)
        assert common.engine.rows("chest_payments") == []
        assert not (await common.pay(10)).replayed


@pytest.mark.parametrize("step", ["begun", "taken", "made"])
async def test_chest_goes_on_with_what_a_crash_left(autojump_clock: MockClock, step: str) -> None:
    """Wherever the actor stops, a payment that has begun completes once, and by itself."""
    async with a_chest() as common, trio.open_nursery() as nursery:

        async def pay() -> None:
            with pytest.raises(ActorStopped):
                await common.pay(30)

        common.engine.awaited = step
        nursery.start_soon(pay)
        await common.engine.silent.wait()
        common.end()
        await wait_all_tasks_blocked()
        common.engine.resumed.set()
        await common.begin()
        await trio.sleep(RESUME_MS / 1000 + 2)
        assert (await common.holdings(), await common.taken()) == ({"wood": 30}, 30)
        assert await common.pay(30) == Paid({"wood": 30}, replayed=True)
        assert (await common.holdings(), await common.taken()) == ({"wood": 30}, 30)


async def test_chest_puts_in_once_what_is_still_under_way_when_it_comes_back(
    autojump_clock: MockClock,
) -> None:
    """Reads do not wait for writes: an old run's write may land between two reads of the next."""
    async with a_chest() as common, trio.open_nursery() as nursery:
        await cut_off(common, nursery, "made", 30)
        common.engine.lands_at_look = True
        await try_again(common, nursery, 30)
        assert (await common.holdings(), await common.taken()) == ({"wood": 30}, 30)


async def test_chest_forgets_no_payment_that_a_second_try_has_taken(
    autojump_clock: MockClock,
) -> None:
    """The row of a refused payment is not deleted yet; its owner can pay by now, and retries."""
    async with a_chest() as common, trio.open_nursery() as nursery:
        await cut_off(common, nursery, "refused", 130)
        more = Grant(ANN, {"wood": 100}, "test", "test", "more", b"")
        await common.world.bus.send(Message(Topic.TASK, more, ANN))
        await try_again(common, nursery, 130)
        assert (await common.holdings()).get("wood", 0) - 100 == await common.taken()


async def test_chest_holds_up_no_payment_by_one_that_cannot_be_made(
    autojump_clock: MockClock,
) -> None:
    """An account that does not answer is left aside, and the payments of others are resumed."""
    async with a_chest() as common:
        hung = common.world.bus.subscribe(Interest(Topic.TASK, key=account(2)), buffer=64)
        for number, owner in enumerate((account(2), ANN)):
            payment = {
                "account_id": owner,
                "key": "k",
                "payment_id": account(90 + number),
                "fingerprint": b"f",
                "resources": '{"wood": 30}',
                "state": "begun",
            }
            await common.world.storage.commit(Create("chest_payments", payment))
        await trio.sleep(30)
        assert await common.taken() == 30
        hung.close()


async def test_chest_takes_resources_alone(autojump_clock: MockClock) -> None:
    """Levels and units can be granted too, but cannot be used to pay."""
    async with a_chest() as common:
        await common.world.order(ANN, "hut")
        await trio.sleep(20)
        pay = Pay(ANN, {"hut": 1}, "k", b"f")
        with pytest.raises(UnknownAsset):
            await common.world.bus.ask(Topic.TASK, pay, key=CHEST_KEY, timeout_s=20)


async def test_chest_does_not_know_of_a_payment_whose_first_try_is_just_begun(
    autojump_clock: MockClock,
) -> None:
    """While another attempt still writes the row, the outcome is unknown rather than a failure."""
    async with a_chest() as common, trio.open_nursery() as nursery:
        common.engine.held_up = "begun"
        nursery.start_soon(common.try_to_pay, 30)
        await common.engine.silent.wait()
        common.end()
        await wait_all_tasks_blocked()
        await common.begin()

        async def pay_again() -> None:
            with pytest.raises(ActorStopped):
                await common.pay(30)

        nursery.start_soon(pay_again)
        await trio.sleep(1)
        common.engine.resumed.set()
        await trio.sleep(2 * RESUME_MS / 1000)
        assert (await common.holdings(), await common.taken()) == ({"wood": 30}, 30)


async def test_chest_tells_who_was_erased_that_they_are_gone(autojump_clock: MockClock) -> None:
    """The database refuses the row of a payment for an account that no longer exists."""
    async with a_chest() as common:
        common.engine.orphans = True
        with pytest.raises(AccountGone):
            await common.pay(30)


async def test_chest_does_not_say_that_nothing_was_done_of_what_is_begun(
    autojump_clock: MockClock,
) -> None:
    """If the account's mailbox is full, the payment waits, and the caller gets no outcome."""
    async with a_chest() as common:
        inventory = common.world.bus.subscribe(Interest(Topic.TASK, key=ANN), buffer=1)
        await common.world.bus.send(Message(Topic.TASK, object(), ANN))
        with pytest.raises(ActorStopped):
            await common.pay(30)
        inventory.close()
        await trio.sleep(RESUME_MS / 1000 + 2)
        assert (await common.holdings(), await common.taken()) == ({"wood": 30}, 30)


async def test_chest_stops_with_the_world(autojump_clock: MockClock) -> None:
    """It serves while requests finish, stops in its phase, and drops unknown messages."""
    async with a_chest() as common:
        bus = common.world.bus
        with pytest.raises(ActorStopped):
            await bus.ask(Topic.TASK, object(), key=CHEST_KEY, timeout_s=5)
        await bus.send(Message(Topic.SHUTDOWN, Shutdown(Phase.EDGE, "test")))
        assert await common.holdings() == {}
        await bus.send(Message(Topic.SHUTDOWN, Shutdown(Phase.WORLD, "test")))
        await wait_all_tasks_blocked()
        with pytest.raises(ActorStopped):
            await common.holdings()


async def test_endpoints_tell_of_the_chest() -> None:
    """A payment needs a key, is replayed when repeated, and accepts only valid input."""
    world = FakeWorld()
    world.answers |= {GetChest: {"wood": 5}, Pay: Paid({"wood": 5}, replayed=False)}
    body = {"resources": {"wood": 5}}
    async with serving(world, endpoints=with_openapi((*ENDPOINTS, *CHEST_ROWS))) as server:

        async def pay(sent: object, **headers: str) -> Response:
            return await server.client.post(
                "/v1/chest/payments", json=sent, headers={**BEARER, **headers}
            )

        made = await pay(body, **KEY)
        assert (made.status_code, made.json()) == (201, body)
        world.answers[Pay] = Paid({"wood": 5}, replayed=True)
        again = await pay(body, **KEY)
        assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
        assert (await pay(body)).json()["type"] == "/problems/idempotency-key-required"
        assert (await pay({**body, "x": 1}, **KEY)).json()["type"] == "/problems/invalid-request"
        assert (await server.client.get("/v1/chest", headers=BEARER)).json() == body
