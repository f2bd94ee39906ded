"""Transfers: from one account to another, once, and never nowhere."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.inventory import InventoriesSettings, records
from actors.inventory.courier import COURIER_KEY
from actors.inventory.engine import AMOUNT_MAX
from actors.inventory.errors import (
    IdempotencyKeyReused,
    InsufficientResources,
    InventoryError,
    TransferLimit,
    TransferReturned,
    TransfersDisabled,
    TransferToSelf,
    UnknownReceiver,
    UnknownTransfer,
)
from actors.inventory.messages import (
    Deliver,
    Freeze,
    GetTransfer,
    Grant,
    ListTransfers,
    ReceiveTransfer,
    SendTransfer,
    TakeBackTransfer,
)
from actors.inventory.views import TransferRecord
from actors.shutdown import Phase, Shutdown
from bus import ActorStopped, BusError, Message, ReplyTimeout, Topic
from tests.actors.inventory.world import TOWN, Tampered, World, a_world, account, ruleset
from tests.actors.storage.support import counting_steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock

    from actors.storage import Row
    from actors.storage.engine import Unit
    from actors.storage.errors import StorageError
    from bus import Reply

ANN, BEN = account(1), account(2)
LEFT_OVER = 120


class SlowToDeliver(Tampered):
    """An engine that is slow to store deliveries."""

    async def commit(self, units: Sequence[Unit]) -> list[StorageError | None]:
        """Commit, with a delay if a transfer is settled."""
        if "'delivered'" in repr(units):
            await trio.sleep(4)
        return await super().commit(units)


def with_policy(policy: str, more: str = "") -> str:
    """Write the town's rules with another overflow policy."""
    return TOWN.replace('overflow = "reject"', f'overflow = "{policy}"\n{more}')


async def test_transfer_moves_resources_and_both_ledgers_say_so(autojump_clock: MockClock) -> None:
    """Goods that leave the sender reach the receiver, with the same transfer in both ledgers."""
    async with a_world() as world:
        sent = await world.send(ANN, BEN, gold=30)
        assert sent.transfer.state == "delivered"
        assert (world.stored(ANN)["gold"], world.stored(BEN)["gold"]) == (20, 80)
        for who, cause, delta in ((ANN, "transfer-sent", -30), (BEN, "transfer-received", 30)):
            entry = (await world.ledger(who)).entries[-1]
            if entry.cause == "production":
                entry = (await world.ledger(who)).entries[-2]
            assert (entry.cause, entry.transfer_id) == (cause, sent.transfer.id)
            assert entry.changes["gold"].delta == delta


async def test_transfer_to_a_frozen_account_is_not_settled_before_it_is_sent(
    autojump_clock: MockClock,
) -> None:
    """It arrives at the world's time; the receiver's ledger has the moment its time stopped."""
    async with a_world() as world:
        await world.look(BEN)
        await world.ask(Freeze(BEN))
        frozen = await world.look(BEN)
        await trio.sleep(8)
        sent = (await world.send(ANN, BEN, gold=30)).transfer
        assert (sent.settled_at_ms or 0) >= sent.sent_at_ms >= frozen.at_ms + 7_000
        assert await world.ask(GetTransfer(ANN, sent.id)) == sent
        entry = (await world.ledger(BEN)).entries[-1]
        assert (entry.cause, entry.at_ms) == ("transfer-received", frozen.at_ms)


async def test_transfer_refusals_change_nothing(autojump_clock: MockClock) -> None:
    """More than there is, to oneself, or in a world without transfers: refused as a whole."""
    async with a_world() as world:
        with pytest.raises(InsufficientResources):
            await world.send(ANN, BEN, gold=51)
        with pytest.raises(TransferToSelf):
            await world.send(ANN, ANN, gold=1)
        assert not world.engine.rows("transfers")
    closed = TOWN.replace("enabled = true", "enabled = false")
    async with a_world(rules=ruleset(closed)) as world:
        with pytest.raises(TransfersDisabled):
            await world.send(ANN, BEN, gold=1)


async def test_same_key_is_the_same_transfer(autojump_clock: MockClock) -> None:
    """Sent twice, even at once or much later, it is one transfer with one answer."""
    async with a_world() as world:
        answers: list[TransferRecord] = []

        async def send() -> None:
            answers.append((await world.send(ANN, BEN, key="gift", gold=10)).transfer)

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(send)
        await trio.sleep(100)
        await send()
        assert len(set(map(repr, answers))) == 1
        assert world.stored(BEN)["gold"] == 60
        other = SendTransfer(ANN, "a", BEN, "b", {"gold": 11}, "", "gift", b"another")
        with pytest.raises(IdempotencyKeyReused):
            await world.ask(other)


async def test_two_accounts_that_send_to_each_other_do_not_block(
    autojump_clock: MockClock,
) -> None:
    """Crossing transfers all arrive, and the total of the two stays the same."""
    async with a_world() as world:
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(_send, world, ANN, BEN, f"to-{number}")
                nursery.start_soon(_send, world, BEN, ANN, f"fro-{number}")
        assert world.stored(ANN)["gold"] + world.stored(BEN)["gold"] == 100
        assert {row["state"] for row in world.engine.rows("transfers")} == {"delivered"}


async def test_rejected_transfer_returns_to_its_sender(autojump_clock: MockClock) -> None:
    """Under ``reject`` goods that do not fit go back whole, and the same key says so again."""
    async with a_world() as world:
        await world.look(ANN)
        await world.look(BEN)
        await trio.sleep(950)
        for replayed in (False, True):
            with pytest.raises(TransferReturned) as refusal:
                await world.send(ANN, BEN, key="too much", wood=500)
            assert refusal.value.replayed is replayed
        causes = [entry.cause for entry in (await world.ledger(ANN)).entries]
        assert causes.count("transfer-sent") == causes.count("transfer-returned") == 1
        assert await world.replayed(ANN) == world.stored(ANN)


async def test_held_overflow_waits_for_room(autojump_clock: MockClock) -> None:
    """Under ``hold`` the rest is the receiver's already and flows in as room appears."""
    async with a_world(rules=ruleset(with_policy("hold"))) as world:
        await world.look(ANN)
        await world.look(BEN)
        await trio.sleep(950)
        await world.send(ANN, BEN, wood=500)
        assert world.stored(BEN)["held:wood"] == 500
        await world.order(BEN, "hut")
        stored = world.stored(BEN)
        assert (stored["wood"], stored["held:wood"]) == (1000, 460)
        assert await world.replayed(BEN) == world.stored(BEN)


async def test_spilled_overflow_is_lost_and_entered_as_such(autojump_clock: MockClock) -> None:
    """Under ``spill`` the ledger shows all of it arriving and the rest leaving."""
    async with a_world(rules=ruleset(with_policy("spill"))) as world:
        await world.look(ANN)
        await world.look(BEN)
        await trio.sleep(950)
        await world.send(ANN, BEN, wood=500)
        assert world.stored(BEN)["wood"] == 1000
        spilled = [e for e in (await world.ledger(BEN)).entries if e.cause == "spilled"]
        assert [entry.changes["wood"].delta for entry in spilled] == [-500]


async def test_daily_limit_holds_across_passivation(autojump_clock: MockClock) -> None:
    """Amounts sent since midnight count, even after the actor was away."""
    rules = ruleset(with_policy("reject", "per_day_max = 25"))
    async with a_world(rules=rules, began=datetime(2025, 12, 31, 23, 59, 58, tzinfo=UTC)) as world:
        await world.send(ANN, BEN, gold=20)
        await trio.sleep(2.5)
        sent = await world.send(ANN, BEN, gold=20)
        assert sent.transfer.sent_at_ms % 86_400_000 == 0
        with pytest.raises(TransferLimit) as refusal:
            await world.send(ANN, BEN, gold=6)
        assert refusal.value.left == {"gold": 5}
        await trio.sleep(100)
        with pytest.raises(TransferLimit):
            await world.send(ANN, BEN, gold=6)
        await world.send(ANN, BEN, gold=5)


async def test_daily_limit_does_not_count_what_came_back(autojump_clock: MockClock) -> None:
    """Goods without room are the sender's again, for the daily limit too."""
    rules = ruleset(with_policy("reject", "per_day_max = 500"))
    async with a_world(rules=rules) as world:
        await world.look(ANN)
        await world.look(BEN)
        await trio.sleep(950)
        for away_s in (0, 0, 100):
            with pytest.raises(TransferReturned):
                await world.send(ANN, BEN, wood=500)
            await trio.sleep(away_s)
        await world.order(BEN, "hut")
        await world.send(ANN, BEN, wood=1)
        with pytest.raises(TransferLimit) as refusal:
            await world.send(ANN, BEN, wood=500)
        assert refusal.value.left == {"wood": 499}


async def test_transfer_is_answered_again_when_its_receiver_is_gone(
    autojump_clock: MockClock,
) -> None:
    """The key gives its first answer, whether or not anybody has the name by now."""
    async with a_world() as world:
        sent = await world.send(ANN, BEN, key="a gift", gold=30)
        await trio.sleep(100)
        gone = SendTransfer(ANN, "sender", None, "", {"gold": 30}, "", "a gift", b"f")
        again = await world.ask(gone)
        assert (again.transfer, again.replayed) == (sent.transfer, True)
        other = SendTransfer(ANN, "sender", None, "", {"gold": 30}, "", "another", b"f")
        with pytest.raises(UnknownReceiver):
            await world.ask(other)
        assert world.stored(ANN)["gold"] == 20


async def test_receiver_that_fails_holds_up_nobody_else(autojump_clock: MockClock) -> None:
    """Its transfers take few of the places, give them up, and hide none that come after them."""
    broken, spammer = account(3), account(4)
    engine = Tampered()
    rules = ruleset(TOWN.replace("start = 50\n", "start = 5000\n"))
    async with a_world(rules=rules, engine=engine) as world:
        for who in (broken, spammer, ANN, BEN):
            await world.look(who)
    whole = engine.row("inventories", broken)["state"]
    engine.row("inventories", broken)["state"] = whole.replace('"amounts"', '"was"')

    few: dict[str, Any] = {"rules": rules, "engine": engine, "transfers_in_flight_max": 32}
    async with a_world(**few) as world, trio.open_nursery() as nursery:
        answers: list[type[Exception]] = []
        for _ in range(600):
            nursery.start_soon(_send_in_vain, world, spammer, broken, answers)
        await trio.sleep(1)
        assert world.courier.in_flight == 4
        assert (await world.send(ANN, BEN, gold=7)).transfer.state == "delivered"
        await trio.sleep(60)
        assert len(answers) == 600
        assert set(answers) <= {ActorStopped, ReplyTimeout}

    async with a_world(**few) as world:
        late = (await world.send(ANN, BEN, gold=7)).transfer
        engine.row("transfers", late.id).update(state="sent", settled_ms=None, version=1)
        await trio.sleep(60)
        assert engine.row("transfers", late.id)["state"] == "delivered"
        assert len(_on_their_way(engine)) == 600
        engine.row("inventories", broken)["state"] = whole
        await trio.sleep(2000)
        assert _on_their_way(engine) == []
        assert world.stored(broken)["gold"] == 5000 + 600


async def _send_in_vain(
    world: World, sender: str, receiver: str, answers: list[type[Exception]]
) -> None:
    try:
        await world.send(sender, receiver, gold=1)
    except (BusError, InventoryError) as error:
        answers.append(type(error))


def _on_their_way(engine: Tampered) -> list[Row]:
    return [row for row in engine.rows("transfers") if row["state"] == "sent"]


@pytest.mark.parametrize(
    "settings", [InventoriesSettings(live_max=1), InventoriesSettings(idle_seconds=1.0)]
)
async def test_transfer_is_answered_though_its_sender_is_passive_by_then(
    settings: InventoriesSettings, autojump_clock: MockClock
) -> None:
    """The courier owes the answer; the end of the sender's Inventory changes nothing."""
    async with a_world(settings=settings, engine=SlowToDeliver()) as world:
        assert (await world.send(ANN, BEN, gold=30)).transfer.state == "delivered"


async def test_transfers_go_on_while_the_edge_closes(autojump_clock: MockClock) -> None:
    """A transfer by an in-flight request arrives; the courier ends with the world."""
    async with a_world() as world:
        world.supervisor.stopping()
        await world.bus.send(Message(Topic.SHUTDOWN, Shutdown(Phase.EDGE, "test")))
        await wait_all_tasks_blocked()
        assert (await world.send(ANN, BEN, gold=30)).transfer.state == "delivered"
        await world.bus.send(Message(Topic.SHUTDOWN, Shutdown(Phase.WORLD, "test")))
        with trio.fail_after(1):
            await world.supervisor.wait_ended("transfers")


async def test_transfer_on_its_way_survives_a_restart(autojump_clock: MockClock) -> None:
    """A server that restarts between the two units finds the transfer and delivers it."""
    engine = Tampered()
    async with a_world(engine=engine) as world:
        sent = (await world.send(ANN, BEN, gold=30)).transfer
    # As if it had been killed between the sender's unit and the receiver's.
    engine.row("transfers", sent.id).update(state="sent", settled_ms=None, version=1)
    before = engine.row("inventories", BEN)["version"]
    async with a_world(engine=engine) as world:
        await trio.sleep(2)
        assert engine.row("transfers", sent.id)["state"] == "delivered"
        assert engine.row("inventories", BEN)["version"] == before + 1


async def test_transfer_on_its_way_follows_the_names_of_the_rules(
    autojump_clock: MockClock,
) -> None:
    """Goods sent under long-past rules arrive, or go back, under their current name."""
    engine = Tampered()
    async with a_world(engine=engine) as world:
        arriving = (await world.send(ANN, BEN, gold=20)).transfer
        returning = (await world.send(BEN, ANN, wood=25)).transfer
    coins = ruleset(TOWN.replace("gold", "coin"))
    async with a_world(engine=engine, rules=coins, renamed={"gold": "coin"}):
        pass
    dimes = ruleset(TOWN.replace("gold", "dime").replace("wood", "log").replace("1000", "60"))
    for sent in (arriving, returning):
        assert engine.row("transfers", sent.id)["ruleset"] == ruleset().version
        engine.row("transfers", sent.id).update(state="sent", settled_ms=None, version=1)
    renamed = {"coin": "dime", "wood": "log"}
    async with a_world(engine=engine, rules=dimes, renamed=renamed) as world:
        await trio.sleep(2)
        assert engine.row("transfers", arriving.id)["state"] == "delivered"
        assert engine.row("transfers", returning.id)["state"] == "returned"
        assert world.stored(BEN)["dime"] == 70 + 20
        changed = {entry.cause: entry.changes for entry in (await world.ledger(BEN)).entries}
        assert changed["transfer-received"]["dime"].delta == 20
        assert changed["transfer-returned"]["log"].delta == 25
        record = await world.ask(GetTransfer(ANN, arriving.id))
        assert record.resources == {"gold": 20}


async def test_resources_that_have_become_one_arrive_as_one(autojump_clock: MockClock) -> None:
    """Two names merged by a change of rules are added up."""
    engine = Tampered()
    async with a_world(engine=engine) as world:
        sent = (await world.send(ANN, BEN, gold=20, wood=10)).transfer
    engine.row("transfers", sent.id).update(state="sent", settled_ms=None, version=1)
    wooden = TOWN.replace("[resources.gold]\nstart = 50\n", "").replace("gold", "wood")
    async with a_world(engine=engine, rules=ruleset(wooden), renamed={"gold": "wood"}) as world:
        await trio.sleep(2)
        [entry] = [
            entry
            for entry in (await world.ledger(BEN)).entries
            if entry.cause == "transfer-received" and len(entry.changes) == 1
        ]
        assert entry.changes["wood"].delta == 30


@pytest.mark.parametrize("policy", ["reject", "hold", "spill"])
async def test_resources_that_are_too_much_as_one_come_back(
    policy: str, autojump_clock: MockClock
) -> None:
    """Goods that merge into more than can be brought in are not in flight forever."""
    engine = Tampered()
    rich = with_policy(policy).replace("base_capacity = 1000\n", "")
    rich = rich.replace("= 100\n", f"= {AMOUNT_MAX}\n").replace("= 50\n", f"= {AMOUNT_MAX}\n")
    async with a_world(engine=engine, rules=ruleset(rich)) as world:
        with suppress(TransferReturned):
            await world.send(ANN, BEN, gold=AMOUNT_MAX, wood=AMOUNT_MAX)
    [transfer_id] = [row["transfer_id"] for row in engine.rows("transfers")]
    engine.row("transfers", transfer_id).update(state="sent", settled_ms=None, version=1)
    wooden = rich.replace(f"[resources.gold]\nstart = {AMOUNT_MAX}\n", "").replace("gold", "wood")
    async with a_world(engine=engine, rules=ruleset(wooden), renamed={"gold": "wood"}) as world:
        await trio.sleep(30)
        assert engine.row("transfers", transfer_id)["state"] == "returned"
        last = (await world.ledger(ANN)).entries[-1]
        assert (last.cause, last.changes["wood"].delta) == ("transfer-returned", 2 * AMOUNT_MAX)


async def test_transfer_that_arrived_is_not_taken_in_again(autojump_clock: MockClock) -> None:
    """A courier that asks a second time changes nothing: the record was claimed."""
    async with a_world() as world:
        sent = (await world.send(ANN, BEN, gold=30)).transfer
        version = world.engine.row("inventories", BEN)["version"]
        world.engine.row("transfers", sent.id)["state"] = "sent"
        await trio.sleep(6)
        assert world.engine.row("inventories", BEN)["version"] == version
        assert world.stored(BEN)["gold"] == 80


@pytest.mark.parametrize(
    ("who", "body", "state"),
    [(BEN, ReceiveTransfer, "delivered"), (ANN, TakeBackTransfer, "returned")],
)
async def test_transfer_that_is_asked_for_again_is_taken_in_once(
    autojump_clock: MockClock,
    who: str,
    body: type[ReceiveTransfer | TakeBackTransfer],
    state: str,
) -> None:
    """A courier that gave up may find its earlier request still in the mailbox, or done."""
    async with a_world() as world:
        sent = (await world.send(ANN, BEN, gold=30)).transfer
        gold = world.stored(who)["gold"]
        world.engine.row("transfers", sent.id).update(state="sent", settled_ms=None, version=1)
        settled: list[TransferRecord] = []

        async def settle() -> None:
            settled.append(await world.ask(body(who, sent)))

        world.engine.close_gate()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.order, who, "hut")
            await wait_all_tasks_blocked()
            nursery.start_soon(settle)
            nursery.start_soon(settle)
            await wait_all_tasks_blocked()
            world.engine.open_gate()
        await settle()
        assert [transfer.state for transfer in settled] == [state, state, state]
        assert world.stored(who)["gold"] == gold + 30
        assert not world.events("actor_restarted")


async def test_transfers_are_listed_for_both_sides(autojump_clock: MockClock) -> None:
    """Both accounts see it, the latest first."""
    async with a_world() as world:
        first = (await world.send(ANN, BEN, gold=1)).transfer
        second = (await world.send(BEN, ANN, gold=2)).transfer
        for who in (ANN, BEN):
            listed = await world.ask(ListTransfers(who, 10))
            assert [transfer.id for transfer in listed.transfers] == [second.id, first.id]
            assert listed.next is None


async def test_transfers_are_listed_in_pages_that_stand_still(autojump_clock: MockClock) -> None:
    """Transfers sent while somebody pages through move nothing from one page to another."""
    async with a_world() as world:
        sent = [(await _either_way(world, n)).id for n in range(5)]
        pages: list[list[str]] = []
        before: str | None = None
        while before is not None or not pages:
            page = await world.ask(ListTransfers(ANN, 2, before))
            pages.append([transfer.id for transfer in page.transfers])
            before = page.next
            await _either_way(world, len(pages))
        newest, *rest = [sent[::-1][n : n + 2] for n in range(0, 5, 2)]
        assert pages == [newest, *rest]
        for page_size in (7, 8, 9):
            whole = await world.ask(ListTransfers(ANN, page_size))
            assert (len(whole.transfers), whole.next is None) == (min(8, page_size), page_size >= 8)
        none_before = "00000000-0000-0000-0000-000000000000"
        for oldest in (sent[0], none_before):
            page = await world.ask(ListTransfers(ANN, 2, oldest))
            assert (page.transfers, page.next) == ((), None)


async def _either_way(world: World, number: int) -> TransferRecord:
    sender, receiver = (ANN, BEN) if number % 2 else (BEN, ANN)
    return (await world.send(sender, receiver, gold=1)).transfer


async def test_transfer_is_found_by_both_sides_alone(autojump_clock: MockClock) -> None:
    """Sender and receiver find it; for anybody else it does not exist."""
    async with a_world() as world:
        sent = (await world.send(ANN, BEN, gold=1)).transfer
        for who in (ANN, BEN):
            assert await world.ask(GetTransfer(who, sent.id)) == sent
        for who, transfer_id in ((account(3), sent.id), (ANN, account(3))):
            with pytest.raises(UnknownTransfer) as refusal:
                await world.ask(GetTransfer(who, transfer_id))
            assert refusal.value.transfer_id == transfer_id


async def test_transfers_left_over_are_taken_up_in_slices(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """However many a start finds in flight, I/O comes in between."""
    receivers = [account(100 + number) for number in range(LEFT_OVER)]
    async with a_world(transfers_in_flight_max=1) as world, trio.open_nursery() as nursery:
        await world.ask(Grant(ANN, {"gold": LEFT_OVER}, "for a test", "operator", "grant", b"f"))
        for number, receiver in enumerate(receivers):
            nursery.start_soon(_send_or_leave, world, receiver, f"left-{number}")
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    engine, read = world.engine, records.transfer_from_row
    with counting_steps() as taken:

        def counted(row: Row) -> TransferRecord:
            taken.add()
            return read(row)

        monkeypatch.setattr(records, "transfer_from_row", counted)
        async with a_world(engine=engine) as world:
            await trio.sleep(10)
    assert {row["state"] for row in engine.rows("transfers")} == {"delivered"}
    assert 0 < taken.largest <= LEFT_OVER // 3


async def test_transfers_left_over_to_one_receiver_arrive_without_long_waits(
    autojump_clock: MockClock,
) -> None:
    """However many more than it may have places: the next go as soon as those before have gone."""
    async with a_world() as world:
        await world.look(ANN)
        await world.look(BEN)
        rules = world.engine.row("inventories", ANN)["ruleset"]
        sent = TransferRecord(
            "", ANN, "ann", BEN, "ben", {"gold": 1}, "", "sent", 0, None, ruleset=rules
        )
        await world.storage.commit(
            *[
                records.transfer_operation(msgspec.structs.replace(sent, id=account(1000 + number)))
                for number in range(1000)
            ]
        )
        await trio.sleep(10)
        assert _on_their_way(world.engine) == []
        assert world.stored(BEN)["gold"] == 50 + 1000


async def test_many_transfers_are_taken_up_in_one_turn_of_the_loop(
    autojump_clock: MockClock,
) -> None:
    """In a busy loop a turn takes long, so senders wait for few of them."""
    async with a_world() as world:
        world.engine.close_gate()
        asked = [world.bus.open_reply() for _ in range(200)]
        for number, (reply, _) in enumerate(asked):
            _hand_over(world, number, reply)
        for _ in range(12):
            await trio.lowlevel.checkpoint()
        assert world.courier.in_flight == len(asked)
        # Transfers overtaken by the end stay in their table, and their callers learn so at once.
        asked += [world.bus.open_reply() for _ in range(100)]
        for number, (reply, _) in enumerate(asked[200:], 200):
            _hand_over(world, number, reply)
        world.bus.send_nowait(Message(Topic.SHUTDOWN, Shutdown(Phase.WORLD, "test")))
        began = trio.current_time()
        for _, pending in asked:
            with pytest.raises(ActorStopped):
                await pending.wait(60)
        assert trio.current_time() == began
        world.engine.open_gate()


def _hand_over(world: World, number: int, reply: Reply[Any]) -> None:
    """Hand the courier a transfer to carry."""
    ben = account(100 + number)
    transfer = TransferRecord(
        f"many-{number}", ANN, "ann", ben, "ben", {"gold": 1}, "", "sent", 0, None
    )
    world.bus.send_nowait(Message(Topic.TASK, Deliver(transfer), COURIER_KEY, reply))


async def _send_or_leave(world: World, receiver: str, key: str) -> None:
    with suppress(BusError):
        await _send(world, ANN, receiver, key)


async def _send(world: World, sender: str, receiver: str, key: str) -> None:
    await world.send(sender, receiver, key=key, gold=1)
