"""What is left of transfers once an account is erased: the amounts, without name and note."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from actors.inventory.errors import TransferReturned
from actors.inventory.messages import ListTransfers, SendTransfer
from actors.storage import Create, Delete
from actors.storage.errors import Orphaned
from tests.actors.inventory.world import Tampered, a_world, account

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock

    from actors.storage.engine import Unit
    from actors.storage.errors import StorageError

ANN, BEN = account(1), account(2)


class Erasing(Tampered):
    """An engine in which some accounts no longer exist: no inventory of theirs can begin."""

    def __init__(self, *gone: str) -> None:
        super().__init__()
        self._gone = frozenset(gone)

    async def commit(self, units: Sequence[Unit]) -> list[StorageError | None]:
        """Commit units that begin no inventory of theirs."""
        outcomes: list[StorageError | None] = []
        for unit in units:
            begun = {
                op.values["account_id"]
                for op in unit
                if op.table == "inventories"
                if isinstance(op, Create)
            }
            outcomes += (
                [Orphaned("no such account")]
                if begun & self._gone
                else await super().commit([unit])
            )
        return outcomes

    async def erase(self, *who: str) -> None:
        """Remove these accounts' inventories as well."""
        self._gone |= set(who)
        await super().commit([(Delete("inventories", {"account_id": each}),) for each in who])


async def test_answer_that_is_kept_has_neither_names_nor_note(autojump_clock: MockClock) -> None:
    """They are only in the transfer, where an erasure removes them; answers read them there."""
    gift = SendTransfer(ANN, "Ann", BEN, "Ben", {"gold": 30}, "for Ben", "a gift", b"f")
    async with a_world() as world:
        sent = (await world.ask(gift)).transfer
        assert (sent.sender_name, sent.receiver_name, sent.note) == ("Ann", "Ben", "for Ben")
        [kept] = world.engine.rows("idempotency")
        assert sent.id in kept["response"]
        assert not any(word in kept["response"] for word in ("Ann", "Ben"))
        await trio.sleep(100)
        assert (await world.ask(gift)).transfer == sent
        # As the erasure of the receiver leaves it.
        world.engine.row("transfers", sent.id).update(receiver_name="", note="")
        again = (await world.ask(gift)).transfer
        assert (again.sender_name, again.receiver_name, again.note) == ("Ann", "", "")


async def test_transfer_to_who_was_erased_meanwhile_comes_back_without_name_and_note(
    autojump_clock: MockClock,
) -> None:
    """It was committed after the erasure had looked for transfers, which missed it."""
    async with a_world(engine=Erasing(BEN)) as world:
        gift = SendTransfer(ANN, "Ann", BEN, "Ben", {"gold": 30}, "for Ben", "a gift", b"f")
        with pytest.raises(TransferReturned):
            await world.ask(gift)
        [kept] = world.engine.rows("transfers")
        assert kept["state"] == "returned"
        assert (kept["sender_name"], kept["receiver_name"], kept["note"]) == ("Ann", "", "")
        told = await world.ask(ListTransfers(ANN, 10))
        assert [each.receiver_name for each in told.transfers] == [""]
        assert await world.replayed(ANN) == world.stored(ANN)


async def test_transfer_that_is_nobody_s_any_more_names_nobody(autojump_clock: MockClock) -> None:
    """Both sides were erased while it was in flight, the receiver as it began."""
    engine = Erasing()
    async with a_world(engine=engine) as world:
        sent = (await world.send(ANN, BEN, gold=20)).transfer
    # As the erasure of the sender leaves it.
    left = engine.row("transfers", sent.id)
    left.update(state="sent", settled_ms=None, version=1, sender_name="")
    await engine.erase(ANN, BEN)
    async with a_world(engine=engine):
        await trio.sleep(2)
    [lost] = engine.rows("transfers")
    assert (lost["state"], lost["sender_name"], lost["receiver_name"]) == ("lost", "", "")


async def test_transfer_that_finds_no_room_keeps_its_names(autojump_clock: MockClock) -> None:
    """Its receiver exists: only erased accounts are nameless."""
    async with a_world() as world:
        await world.look(ANN)
        await world.look(BEN)
        await trio.sleep(950)
        with pytest.raises(TransferReturned):
            await world.send(ANN, BEN, wood=500)
        [kept] = world.engine.rows("transfers")
        assert (kept["sender_name"], kept["receiver_name"]) == ("sender", "receiver")
