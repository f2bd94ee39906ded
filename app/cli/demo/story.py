"""What the demo plays, scene by scene: every line that it tells has been checked."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from uuid import uuid4

import trio

from app.cli.demo.answers import (
    Cancelled,
    Entry,
    Inventory,
    Order,
    Page,
    Ruleset,
    Session,
    World,
)
from app.cli.demo.choices import (
    anything_else,
    quickest_affordable,
    slowest_affordable,
    too_dear,
)
from app.cli.demo.client import BrokenPromise, Client
from app.cli.demo.replay import check_replay

if TYPE_CHECKING:
    import httpx

    from app.cli.demo.choices import Choice
    from app.cli.demo.show import Narrator

POLL_S = 0.25
SETTLING_S = 10.0
"""How much later than it is due a completion may be seen."""

TAKE_BACK_S = 2.0
"""How long an order must run at least for the demo to be in time to cancel it."""

ORDERS = "/v1/inventory/orders"
LEDGER_ATTEMPTS = 5


class Player:
    """An account made for the demo, logged in."""

    def __init__(self, name: str, password: str, client: Client) -> None:
        self.name = name
        self.password = password
        self.client = client

    async def inventory(self) -> Inventory:
        """Read the inventory."""
        return await self.client.get("/v1/inventory", Inventory)


class Story:
    """The demo against one server; ``patience_s`` bounds the wait for a completion."""

    def __init__(self, http: httpx.AsyncClient, tell: Narrator, *, patience_s: float) -> None:
        self._http = http
        self._tell = tell
        self._patience_s = patience_s

    async def play(self) -> None:
        """Play it all.

        Raises:
            BrokenPromise: the server did something else than its API promises.
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
        """Ask what anybody may know."""
        self._tell.scene("The world")
        anybody = Client(self._http)
        world = await anybody.get("/v1/world", World)
        ruleset = await anybody.get("/v1/ruleset", Ruleset)
        self._tell.done(f"{world.name}, ruleset {ruleset.name}, speed {world.speed:g}")
        self._tell.done(f"tick {world.tick}")
        return ruleset

    async def _register(self, name: str) -> Player:
        """Make an account with a name that is surely free, and log in."""
        self._tell.scene(f"A new player, {name}")
        unique, password = f"{name}-{secrets.token_hex(4)}", secrets.token_urlsafe(12)
        player = Player(unique, password, Client(self._http))
        credentials = {"username": unique, "password": password}
        await player.client.send("POST", "/v1/accounts", promised=201, body=credentials)
        self._tell.done(f"registered as {unique}")
        response = await player.client.send("POST", "/v1/sessions", promised=201, body=credentials)
        player.client.token = player.client.read(response, Session).access_token
        self._tell.done("logged in")
        self._tell.inventory(await player.inventory())
        return player

    async def _refuse_strangers(self, ada: Player) -> None:
        """See that nobody passes for somebody else."""
        self._tell.scene("Nobody comes in by the window")
        anybody = Client(self._http)
        taken = {"username": ada.name.upper(), "password": "another password"}
        problem = await anybody.refused(
            "POST", "/v1/accounts", promised=409, slug="username-taken", body=taken
        )
        self._tell.refused("the same name in capitals", problem)
        wrong = {"username": ada.name, "password": "not the password"}
        problem = await anybody.refused(
            "POST", "/v1/sessions", promised=401, slug="invalid-credentials", body=wrong
        )
        self._tell.refused("a wrong password", problem)
        for what, token in (("no token", None), ("a forged token", "v4.local.Zm9yZ2Vk")):
            anybody.token = token
            problem = await anybody.refused(
                "GET", "/v1/inventory", promised=401, slug="invalid-token"
            )
            self._tell.refused(what, problem)

    async def _order(self, ada: Player, ruleset: Ruleset) -> Order | None:
        """Order something, once, however often it is sent."""
        self._tell.scene("An order, sent twice, takes effect once")
        choice = quickest_affordable(ruleset, await ada.inventory())
        if choice is None:
            self._tell.note("a new account can afford nothing under these rules")
            return None
        headers = {"Idempotency-Key": str(uuid4())}
        first = await ada.client.send(
            "POST", ORDERS, promised=201, body=choice.body, headers=headers
        )
        order = ada.client.read(first, Order)
        self._tell.order("ordered", order)
        again = await ada.client.send(
            "POST", ORDERS, promised=200, body=choice.body, headers=headers
        )
        if again.content != first.content or again.headers.get("Idempotency-Replayed") != "true":
            raise BrokenPromise("a command sent again got another answer than the first")
        self._tell.done("sent again with the same key: the same answer, nothing ordered twice")
        inventory = await ada.inventory()
        other = anything_else(ruleset, inventory, choice)
        if other is not None:
            problem = await ada.client.refused(
                "POST",
                ORDERS,
                promised=422,
                slug="idempotency-key-reused",
                body=other.body,
                headers=headers,
            )
            self._tell.refused(f"{other.asset} under the same key", problem)
        if len(inventory.orders) > 1:
            raise BrokenPromise(f"one order was sent, {len(inventory.orders)} are pending")
        return order

    async def _refuse_orders(self, ada: Player, ruleset: Ruleset) -> None:
        """See that what cannot be is refused."""
        self._tell.scene("What cannot be is refused")
        choice = too_dear(ruleset, await ada.inventory())
        if choice is None:
            self._tell.note("nothing is too dear under these rules")
        else:
            problem = await ada.client.refused(
                "POST",
                ORDERS,
                promised=409,
                slug="insufficient-resources",
                body=choice.body,
                headers={"Idempotency-Key": str(uuid4())},
            )
            self._tell.refused(f"{choice.asset}, which is too dear", problem)
        problem = await ada.client.refused(
            "POST",
            ORDERS,
            promised=404,
            slug="unknown-asset",
            body={"asset": "castle_in_the_air"},
            headers={"Idempotency-Key": str(uuid4())},
        )
        self._tell.refused("a castle in the air", problem)
        problem = await ada.client.refused(
            "POST",
            ORDERS,
            promised=400,
            slug="idempotency-key-required",
            body={"asset": "castle_in_the_air"},
        )
        self._tell.refused("an order without a key", problem)

    async def _cancel(self, bob: Player, ruleset: Ruleset) -> None:
        """Order, think better of it, and get the price back, once."""
        self._tell.scene("An order is taken back")
        choice = slowest_affordable(ruleset, await bob.inventory())
        if choice is None:
            self._tell.note("a new account can afford nothing under these rules")
            return
        if choice.seconds < TAKE_BACK_S:
            self._tell.note("whatever can be ordered is done too soon to take it back")
            return
        headers = {"Idempotency-Key": str(uuid4())}
        response = await bob.client.send(
            "POST", ORDERS, promised=201, body=choice.body, headers=headers
        )
        order = bob.client.read(response, Order)
        self._tell.order("ordered", order)
        path = f"{ORDERS}/{order.id}"
        response = await bob.client.send("DELETE", path, promised=200)
        cancelled = bob.client.read(response, Cancelled)
        check_refund(choice, order, cancelled)
        self._tell.done("cancelled; " + self._tell.amounts("came back", cancelled.refund))
        problem = await bob.client.refused("DELETE", path, promised=409, slug="order-not-pending")
        self._tell.refused("taking it back again", problem)

    async def _refuse_foreign(self, bob: Player, foreign: Order) -> None:
        """See that nobody's order is anybody else's."""
        for method, verb in (("GET", "looking at"), ("DELETE", "taking back")):
            problem = await bob.client.refused(
                method, f"{ORDERS}/{foreign.id}", promised=404, slug="unknown-order"
            )
            self._tell.refused(f"{verb} somebody else's order", problem)

    async def _await_completion(self, ada: Player, order: Order) -> None:
        """Wait until an order is done, and see what it made."""
        self._tell.scene("Time passes")
        inventory = await ada.inventory()
        before = next((each for each in inventory.orders if each.id == order.id), None)
        if before is not None and before.finishes_at is not None:
            left_s = (before.finishes_at - inventory.at).total_seconds()
            if left_s > self._patience_s:
                self._tell.note(f"{order.asset} takes {left_s:.0f} s more: left to itself")
                return
        done = await self._poll_until_done(ada, order)
        self._tell.order("completed", done)
        after = await ada.inventory()
        number = after.owned().get(order.asset, 0)
        if (order.level is not None and number < order.level) or number < 1:
            raise BrokenPromise(f"{order.asset} was completed, but the inventory has {number}")
        self._tell.inventory(after)

    async def _poll_until_done(self, ada: Player, order: Order) -> Order:
        """Ask for an order until it is completed."""
        path = f"{ORDERS}/{order.id}"
        with trio.move_on_after(self._patience_s + SETTLING_S), self._tell.waiting(order) as wait:
            while True:
                now = await ada.client.get(path, Order)
                if now.state == "completed":
                    return now
                if now.state == "cancelled":
                    break
                wait(await self._share_done(ada, now))
                await trio.sleep(POLL_S)
        raise BrokenPromise(f"the order of {order.asset} was not completed when it was due")

    async def _share_done(self, ada: Player, order: Order) -> float:
        """Tell how much of an order's time is over, from 0 to 1."""
        if order.starts_at is None or order.finishes_at is None:
            return 0.0
        whole = (order.finishes_at - order.starts_at).total_seconds()
        over = ((await ada.inventory()).at - order.starts_at).total_seconds()
        return min(1.0, over / whole) if whole > 0 else 1.0

    async def _check_ledger(self, player: Player) -> None:
        """Replay the ledger and compare it with the inventory."""
        self._tell.scene(f"The ledger of {player.name}")
        for _ in range(LEDGER_ATTEMPTS):
            entries = await self._read_ledger(player)
            inventory = await player.inventory()
            # An entry that came in between would make the two tell of different moments.
            path = f"/v1/inventory/ledger?after={entries[-1].seq if entries else 0}"
            if entries and not (await player.client.get(path, Page)).entries:
                self._tell.ledger(entries)
                check_replay(entries, inventory)
                self._tell.done(f"{len(entries)} entries replay to exactly what is owned")
                return
        raise BrokenPromise(f"the ledger of {player.name} is empty or never comes to rest")

    async def _read_ledger(self, player: Player) -> list[Entry]:
        """Read the whole ledger, page by page."""
        entries: list[Entry] = []
        after: int | None = 0
        while after is not None:
            path = f"/v1/inventory/ledger?after={after}&limit=100"
            page = await player.client.get(path, Page)
            entries += page.entries
            after = page.next
        return entries

    async def _leave(self, bob: Player) -> None:
        """Log out; the token is worth nothing from then on."""
        self._tell.scene(f"{bob.name} leaves")
        await bob.client.send("DELETE", "/v1/sessions/current", promised=204)
        self._tell.done("logged out")
        problem = await bob.client.refused(
            "GET", "/v1/inventory", promised=401, slug="invalid-token"
        )
        self._tell.refused("the old token", problem)


def check_refund(choice: Choice, order: Order, cancelled: Cancelled) -> None:
    """Check that a refund is the promised share of the price paid."""
    for name, paid in order.cost.items():
        back = cancelled.refund.get(name, 0)
        # Whichever way a fraction is rounded, it is less than one unit.
        if abs(back - paid * choice.refund) >= 1 or back > paid:
            raise BrokenPromise(f"{paid} {name} were paid, {back} came back")
