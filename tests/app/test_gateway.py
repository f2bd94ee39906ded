"""The gateway: which request goes where, and its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.authx.errors import InvalidToken, UsernameTaken
from actors.authx.messages import Authorize, Identity
from actors.inventory.messages import GetInventory
from actors.ticker import TICKER_KEY
from actors.ticker.messages import GetWorld, World
from app.gateway import Gateway
from bus import (
    ActorStopped,
    Bus,
    Interest,
    Message,
    Overloaded,
    ReplyTimeout,
    Subscription,
    Topic,
    open_broadcast_channel,
)
from tests.app.http.harness import INVENTORY, FakeRuleset

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.inventory.views import InventoryView

IDENTITY = Identity("account", "session", "player", "ada")


def gateway_to(
    bus: Bus,
    peek: Callable[[str], Identity | None] | None = None,
    peek_inventory: Callable[[str], InventoryView | None] | None = None,
) -> Gateway:
    """Make a gateway that waits a second."""
    return Gateway(
        bus,
        FakeRuleset(),
        reply_timeout_s=1.0,
        world_name="w",
        actor_states=lambda: {"storage": "ready"},
        ready=lambda: True,
        peek=peek,
        peek_inventory=peek_inventory,
    )


async def answer(subscription: Subscription, value: object, seen: list[Message]) -> None:
    """Answer one message."""
    message = await subscription.receive()
    seen.append(message)
    assert message.reply is not None
    if isinstance(value, Exception):
        message.reply.fail(value)
    else:
        message.reply.send_nowait(value)


async def test_gateway_asks_an_actor_that_was_added_by_its_key(nursery: trio.Nursery) -> None:
    """Only the actor with the key is asked; a closed bus counts as a stopped actor."""
    bus, seen = open_broadcast_channel(), list[Message]()
    asked = bus.subscribe(Interest(Topic.TASK, key="leaderboard"), buffer=1)
    nursery.start_soon(answer, asked, "told", seen)
    assert await gateway_to(bus).ask("which?", key="leaderboard") == "told"
    assert [(each.body, each.key) for each in seen] == [("which?", "leaderboard")]
    bus.close()
    with pytest.raises(ActorStopped):
        await gateway_to(bus).ask("which?", key="leaderboard")


@pytest.mark.parametrize("has_peek", [True, False])
async def test_gateway_asks_an_inventory_only_for_what_is_not_known_by_heart(
    nursery: trio.Nursery, has_peek: bool
) -> None:
    """What a peek returns costs no request; everything else does."""
    bus, seen = open_broadcast_channel(), list[Message]()
    asked = bus.subscribe(Interest(Topic.TASK), buffer=1)
    nursery.start_soon(answer, asked, INVENTORY, seen)
    known = msgspec.structs.replace(INVENTORY, account_id="known")

    def peek(account_id: str) -> InventoryView | None:
        return known if account_id == "known" else None

    gateway = gateway_to(bus, peek_inventory=peek if has_peek else None)
    if has_peek:
        assert await gateway.look("known") is known
        assert seen == []
    assert await gateway.look("other") is INVENTORY
    assert [message.body for message in seen] == [GetInventory("other")]


async def test_gateway_asks_authx_only_for_what_it_does_not_know_by_heart(
    nursery: trio.Nursery,
) -> None:
    """A token that a peek at Authx knows costs no request; a refusal is a refusal."""
    bus, seen = open_broadcast_channel(), list[Message]()
    nursery.start_soon(answer, bus.subscribe(Interest(Topic.AUTH), buffer=1), IDENTITY, seen)
    known = Identity("known", "session", "player", "bob")

    def peek(token: str) -> Identity | None:
        if token == "bad":
            raise InvalidToken
        return known if token == "known" else None

    gateway = gateway_to(bus, peek)
    assert await gateway.authorize("known") is known
    with pytest.raises(InvalidToken):
        await gateway.authorize("bad")
    assert seen == []
    assert await gateway.authorize("new") == IDENTITY
    assert [message.body for message in seen] == [Authorize("new")]


async def test_gateway_asks_authx_without_a_key(nursery: trio.Nursery) -> None:
    """A request to Authx goes to topic auth, and its answer comes back."""
    bus, seen = open_broadcast_channel(), list[Message]()
    nursery.start_soon(answer, bus.subscribe(Interest(Topic.AUTH), buffer=1), IDENTITY, seen)
    assert await gateway_to(bus).auth(Authorize("t")) == IDENTITY
    assert (seen[0].topic, seen[0].key, seen[0].body) == (Topic.AUTH, None, Authorize("t"))


async def test_gateway_asks_the_inventory_of_the_account(nursery: trio.Nursery) -> None:
    """A request to an Inventory goes to topic task with the account as key."""
    bus, seen = open_broadcast_channel(), list[Message]()
    mine = bus.subscribe(Interest(Topic.TASK, key="mine"), buffer=1)
    bus.subscribe(Interest(Topic.TASK, key="other"), buffer=1)
    nursery.start_soon(answer, mine, "view", seen)
    assert await gateway_to(bus).inventory(GetInventory("mine")) == "view"
    assert (seen[0].topic, seen[0].key) == (Topic.TASK, "mine")


async def test_gateway_asks_the_ticker_for_the_world(nursery: trio.Nursery) -> None:
    """The world clock is the Ticker's."""
    bus, seen = open_broadcast_channel(), list[Message]()
    ticker = bus.subscribe(Interest(Topic.TASK, key=TICKER_KEY), buffer=1)
    world = World("w", 1, 1_000, 5)
    nursery.start_soon(answer, ticker, world, seen)
    assert await gateway_to(bus).world() == world
    assert seen[0].body == GetWorld()


async def test_gateway_raises_the_actors_own_error(nursery: trio.Nursery) -> None:
    """An actor's refusal is raised as it is."""
    bus = open_broadcast_channel()
    authx = bus.subscribe(Interest(Topic.AUTH), buffer=1)
    nursery.start_soon(answer, authx, UsernameTaken("x"), list[Message]())
    with pytest.raises(UsernameTaken):
        await gateway_to(bus).auth(Authorize("t"))


async def test_gateway_waits_for_the_timeout_and_no_longer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A silent actor is given up after the reply timeout."""
    bus = open_broadcast_channel()
    bus.subscribe(Interest(Topic.AUTH), buffer=1)
    started = trio.current_time()
    with pytest.raises(ReplyTimeout):
        await gateway_to(bus).auth(Authorize("t"))
    assert trio.current_time() - started == pytest.approx(1.0)


async def test_gateway_says_at_once_that_an_actor_is_overloaded(nursery: trio.Nursery) -> None:
    """A full buffer is an immediate error, not a wait."""
    bus = open_broadcast_channel()
    bus.subscribe(Interest(Topic.AUTH), buffer=1)
    gateway = gateway_to(bus)

    async def ask() -> None:
        with pytest.raises(ReplyTimeout):
            await gateway.auth(Authorize("first"))

    nursery.start_soon(ask)
    await wait_all_tasks_blocked()
    with pytest.raises(Overloaded):
        await gateway.auth(Authorize("second"))


@pytest.mark.parametrize("closed", [False, True])
async def test_gateway_to_a_bus_without_actors_is_stopped(closed: bool) -> None:
    """If nobody is listening any more, or the bus is closed, the caller is told at once."""
    bus = open_broadcast_channel()
    if closed:
        bus.close()
    with pytest.raises(ActorStopped):
        await gateway_to(bus).world()


def test_gateway_encodes_the_ruleset_once() -> None:
    """The ruleset is described once, and served as JSON from then on."""
    gateway = gateway_to(open_broadcast_channel())
    assert gateway.ruleset_json() is gateway.ruleset_json()
    assert b'"tutorial"' in gateway.ruleset_json()
    assert gateway.speed() == 2
