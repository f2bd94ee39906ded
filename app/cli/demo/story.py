"""The demo's story, scene by scene: it checks every line that it prints."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import uuid4

import trio

from app.cli.demo.choices import (
    anything_else,
    quickest_affordable,
    slowest_affordable,
    too_dear,
)
from app.cli.demo.promises import BrokenPromise, refused
from app.cli.demo.replay import check_replay
from holdfast_client import operations
from holdfast_client.requests import OrderBody
from holdfast_client.retry import Repeat
from holdfast_client.types import SessionTokens

if TYPE_CHECKING:
    from app.cli.demo.choices import Choice
    from app.cli.demo.show import Narrator
    from holdfast_client import Client, Session
    from holdfast_client.types import CancelledOrder, LedgerEntry, Order, Ruleset

POLL_S = 0.25
SETTLING_S = 10.0
"""How long after it is due a completion may be seen."""

TAKE_BACK_S = 2.0
"""The shortest order that the demo can cancel in time."""

LEDGER_ATTEMPTS = 5

UNKEYED = replace(operations.PLACE_ORDER, repeat=Repeat.ONCE)
"""An order without an idempotency key, which the client would never send."""

FORGED = SessionTokens("", "", "v4.local.Zm9yZ2Vk", 0, "", 0)
"""Tokens that no server has issued."""


@dataclass(frozen=True, slots=True)
class Player:
    """An account made for the demo, logged in."""

    name: str
    session: Session


class Story:
    """The demo against one server; ``patience_s`` bounds the wait for a completion."""

    def __init__(self, client: Client, tell: Narrator, *, patience_s: float) -> None:
        self._client = client
        self._tell = tell
        self._patience_s = patience_s

    async def play(self) -> None:
        """Play the whole story.

        Raises:
            BrokenPromise, HoldfastError: the server did not do what its API promises.
        """
        ruleset = await self._look_around()
        ada, bob = await self._register("ada"), await self._register("bob")
        await self._refuse_strangers(ada)
        order = await self._order(ada, ruleset)
        await self._refuse_orders(ada, ruleset)
        await self._cancel(bob, ruleset)
        if order is not None:
            await self._refuse_foreign(bob, order)
            await self._await_completion(ada, order)
        for player in (ada, bob):
            await self._check_ledger(player)
        await self._leave(bob)

    async def _look_around(self) -> Ruleset:
        """Read what is public."""
        self._tell.scene("The world")
        world = await self._client.world()
        ruleset = await self._client.ruleset()
        self._tell.done(f"{world.name}, ruleset {ruleset.name}, speed {world.speed:g}")
        self._tell.done(f"tick {world.tick}")
        return ruleset

    async def _register(self, name: str) -> Player:
        """Make an account with a name that is certainly free, and log in."""
        self._tell.scene(f"A new player, {name}")
        unique, password = f"{name}-{secrets.token_hex(4)}", secrets.token_urlsafe(12)
        await self._client.register(unique, password)
        self._tell.done(f"registered as {unique}")
        session = await self._client.log_in(unique, password)
        self._tell.done("logged in")
        self._tell.inventory(await session.inventory())
        return Player(unique, session)

    async def _refuse_strangers(self, ada: Player) -> None:
        """See that nobody passes for somebody else."""
        self._tell.scene("Strangers are kept out")
        client, name = self._client, ada.name
        again = client.register(name.upper(), "another password")
        problem = await refused(again, 409, "username-taken")
        self._tell.refused("the same name in capitals", problem)
        wrong = client.log_in(name, "not the password")
        problem = await refused(wrong, 401, "invalid-credentials")
        self._tell.refused("a wrong password", problem)
        problem = await refused(client.exchange(operations.INVENTORY), 401, "invalid-token")
        self._tell.refused("no token", problem)
        problem = await refused(client.resume(FORGED).inventory(), 401, "invalid-token")
        self._tell.refused("a forged token", problem)

    async def _order(self, ada: Player, ruleset: Ruleset) -> Order | None:
        """Order something, once, however often the order is sent."""
        self._tell.scene("An order, sent twice, takes effect once")
        choice = quickest_affordable(ruleset, await ada.session.inventory())
        if choice is None:
            self._tell.note("under these rules a new account can afford nothing")
            return None
        key, place = str(uuid4()), operations.PLACE_ORDER
        first = await ada.session.exchange(place, body=choice.body, key=key)
        order = first.value
        self._tell.order("ordered", order)
        again = await ada.session.exchange(place, body=choice.body, key=key)
        if first.replayed or not again.replayed or again.value != order:
            raise BrokenPromise("a command sent again got a different answer from the first")
        self._tell.done("sent again with the same key: same answer, nothing ordered twice")
        inventory = await ada.session.inventory()
        other = anything_else(ruleset, inventory, choice)
        if other is not None:
            attempt = ada.session.order(other.asset, other.count, key=key)
            problem = await refused(attempt, 422, "idempotency-key-reused")
            self._tell.refused(f"{other.asset} under the same key", problem)
        if len(inventory.orders) > 1:
            raise BrokenPromise(f"one order was sent, {len(inventory.orders)} are pending")
        return order

    async def _refuse_orders(self, ada: Player, ruleset: Ruleset) -> None:
        """See that what cannot be is refused."""
        self._tell.scene("The impossible is refused")
        session = ada.session
        choice = too_dear(ruleset, await session.inventory())
        if choice is None:
            self._tell.note("nothing that has room in its queue is too expensive")
        else:
            attempt = session.order(choice.asset, choice.count)
            problem = await refused(attempt, 409, "insufficient-resources")
            self._tell.refused(f"{choice.asset}, which is too expensive", problem)
        problem = await refused(session.order("castle_in_the_air"), 404, "unknown-asset")
        self._tell.refused("a castle in the air", problem)
        body = OrderBody("castle_in_the_air")
        problem = await refused(
            session.exchange(UNKEYED, body=body), 400, "idempotency-key-required"
        )
        self._tell.refused("an order without a key", problem)

    async def _cancel(self, bob: Player, ruleset: Ruleset) -> None:
        """Order, think better of it, and get the price back, once."""
        self._tell.scene("An order is cancelled")
        session = bob.session
        choice = slowest_affordable(ruleset, await session.inventory())
        if choice is None:
            self._tell.note("under these rules a new account can afford nothing")
            return
        if choice.seconds < TAKE_BACK_S:
            self._tell.note("every possible order completes too soon to cancel it")
            return
        order = await session.order(choice.asset, choice.count)
        self._tell.order("ordered", order)
        cancelled = await session.cancel(order.id)
        check_refund(choice, order, cancelled)
        self._tell.done("cancelled; " + self._tell.amounts("came back", cancelled.refund))
        problem = await refused(session.cancel(order.id), 409, "order-not-pending")
        self._tell.refused("cancelling it again", problem)

    async def _refuse_foreign(self, bob: Player, foreign: Order) -> None:
        """Check that an account cannot touch another's order."""
        session = bob.session
        problem = await refused(session.find_order(foreign.id), 404, "unknown-order")
        self._tell.refused("looking at somebody else's order", problem)
        problem = await refused(session.cancel(foreign.id), 404, "unknown-order")
        self._tell.refused("cancelling somebody else's order", problem)

    async def _await_completion(self, ada: Player, order: Order) -> None:
        """Wait until an order is done, and check its result."""
        self._tell.scene("Time passes")
        inventory = await ada.session.inventory()
        before = next((each for each in inventory.orders if each.id == order.id), None)
        if before is not None and before.finishes_at is not None:
            left_s = (before.finishes_at - inventory.at).total_seconds()
            if left_s > self._patience_s:
                self._tell.note(f"{order.asset} takes {left_s:.0f} s more: not waiting for it")
                return
        done = await self._poll_until_done(ada, order)
        self._tell.order("completed", done)
        after = await ada.session.inventory()
        number = after.owned().get(order.asset, 0)
        if (order.level is not None and number < order.level) or number < 1:
            raise BrokenPromise(f"{order.asset} was completed, but the inventory has {number}")
        self._tell.inventory(after)

    async def _poll_until_done(self, ada: Player, order: Order) -> Order:
        """Poll an order until it is completed."""
        with trio.move_on_after(self._patience_s + SETTLING_S), self._tell.waiting(order) as wait:
            while True:
                now = await ada.session.find_order(order.id)
                if now.state == "completed":
                    return now
                if now.state == "cancelled":
                    break
                wait(await self._share_done(ada, now))
                await trio.sleep(POLL_S)
        raise BrokenPromise(f"the order of {order.asset} was not completed when it was due")

    async def _share_done(self, ada: Player, order: Order) -> float:
        """Return how much of an order's time has passed, from 0 to 1."""
        if order.starts_at is None or order.finishes_at is None:
            return 0.0
        whole = (order.finishes_at - order.starts_at).total_seconds()
        over = ((await ada.session.inventory()).at - order.starts_at).total_seconds()
        return min(1.0, over / whole) if whole > 0 else 1.0

    async def _check_ledger(self, player: Player) -> None:
        """Replay the ledger and compare it with the inventory."""
        self._tell.scene(f"The ledger of {player.name}")
        for _ in range(LEDGER_ATTEMPTS):
            entries: list[LedgerEntry] = await player.session.ledger(page=100).all()
            inventory = await player.session.inventory()
            # With an entry in between, the two would be of different moments.
            if entries and not await player.session.ledger(after=entries[-1].seq).all():
                self._tell.ledger(entries)
                check_replay(entries, inventory)
                self._tell.done(f"{len(entries)} entries replay to exactly what is owned")
                return
        raise BrokenPromise(f"the ledger of {player.name} is empty or never stops changing")

    async def _leave(self, bob: Player) -> None:
        """Log out; the token is invalid from then on."""
        self._tell.scene(f"{bob.name} leaves")
        await bob.session.log_out()
        self._tell.done("logged out")
        problem = await refused(bob.session.inventory(), 401, "invalid-token")
        self._tell.refused("the old token", problem)


def check_refund(choice: Choice, order: Order, cancelled: CancelledOrder) -> None:
    """Check that a refund is the promised share of the price paid."""
    for name, paid in order.cost.items():
        back = cancelled.refund.get(name, 0)
        # However a fraction is rounded, the difference is less than one unit.
        if abs(back - paid * choice.refund) >= 1 or back > paid:
            raise BrokenPromise(f"{paid} {name} were paid, {back} refunded")
