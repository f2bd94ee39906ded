"""Transfers whose stored record is damaged: they wait, and hold up nobody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.actors.inventory.world import Tampered, a_world, account

if TYPE_CHECKING:
    from trio.testing import MockClock

ANN, BEN, CID, DAN = account(1), account(2), account(3), account(4)


@pytest.mark.parametrize("resources", ['{"gold": "30"}', '{"gold": 30.5}', "[]", '{"gold": null}'])
async def test_damaged_transfer_holds_up_no_other(
    resources: str, autojump_clock: MockClock
) -> None:
    """It is logged with its id, stays in flight, and is delivered once it has been repaired."""
    engine = Tampered()
    async with a_world(engine=engine) as world:
        damaged = (await world.send(ANN, BEN, gold=30)).transfer
        other = (await world.send(CID, DAN, gold=7)).transfer
    whole = engine.row("transfers", damaged.id)["resources"]
    for each in (damaged, other):
        engine.row("transfers", each.id).update(state="sent", settled_ms=None, version=1)
    engine.row("transfers", damaged.id)["resources"] = resources

    async with a_world(engine=engine) as world:
        await trio.sleep(60)
        assert engine.row("transfers", other.id)["state"] == "delivered"
        assert (await world.send(CID, DAN, gold=1)).transfer.state == "delivered"
        assert engine.row("transfers", damaged.id)["state"] == "sent"
        told = world.events("transfer_unreadable")
        assert {each["transfer"] for each in told} == {damaged.id}
        assert not world.events("actor_failed")
        engine.row("transfers", damaged.id)["resources"] = whole
        await trio.sleep(60)
        assert engine.row("transfers", damaged.id)["state"] == "delivered"
