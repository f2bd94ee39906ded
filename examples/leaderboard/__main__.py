"""A small world with a leaderboard, all in this process: python -m examples.leaderboard.

Three players build as fast as they can afford it, and the board is printed every two seconds.
"""

from __future__ import annotations

import random
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog
import trio
import uuid_utils

from actors.authx.errors import UnknownAccount
from actors.authx.messages import Account, GetAccount
from actors.inventory import Inventories, InventoriesSettings, Rulebook
from actors.inventory.errors import InventoryError
from actors.inventory.messages import PlaceOrder
from actors.inventory.ruleset import load_ruleset
from actors.storage import STORAGE_KEY, Storage, StorageClient, StorageSettings
from actors.storage.memory import MemoryEngine
from actors.storage.schema import declared_tables
from actors.supervisor import RestartLimits, Supervisor
from actors.ticker import TICKER_KEY, Ticker
from bus import Interest, Topic, open_broadcast_channel
from examples.leaderboard.actor import LEADERBOARD_KEY, Leaderboard
from examples.leaderboard.messages import GetLeaderboard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.inventory.ruleset import Ruleset
    from bus import Bus, Subscription
    from examples.leaderboard.messages import Standing

SHUTDOWN: Final = Interest(Topic.SHUTDOWN)
BUILDINGS: Final = ("cottage", "woodcutter", "quarry", "storehouse", "market")
PAUSE_S: Final = 0.2
SHOWN_EVERY_S: Final = 2.0


class Names:
    """A stand-in for Authx that knows the players' names."""

    def __init__(self, subscription: Subscription, names: Mapping[str, str]) -> None:
        self._subscription = subscription
        self._names = names

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Answer `GetAccount` until cancelled."""
        task_status.started()
        async for message in self._subscription:
            if message.reply is None or not isinstance(message.body, GetAccount):
                continue
            account_id = message.body.account_id
            if account_id in self._names:
                began = datetime.now(UTC)
                name = self._names[account_id]
                message.reply.send_nowait(
                    Account(account_id, name, "player", suspended=False, created_at=began)
                )
            else:
                message.reply.fail(UnknownAccount())


async def start_world(bus: Bus, nursery: trio.Nursery, names: Mapping[str, str]) -> None:
    """Start the actors of a world, the leaderboard last; all of them live in ``nursery``."""
    rules = load_ruleset("tutorial", parameters={"speed": 20})
    rng = random.Random(1)  # noqa: S311 - a game's dice
    log = structlog.get_logger()
    limits = RestartLimits()
    supervisor = Supervisor(nursery, limits, rng=rng, log=log)
    tables = declared_tables()
    storage = Storage(
        bus.subscribe(Interest(Topic.TASK, key=STORAGE_KEY), SHUTDOWN, buffer=1_000),
        MemoryEngine(tables),
        tables,
        StorageSettings(),
        rng=rng,
        log=log,
    )
    await supervisor.start("storage", storage)
    await supervisor.start("authx", Names(bus.subscribe(Interest(Topic.AUTH), buffer=100), names))
    client = StorageClient(bus, timeout_s=10)
    await supervisor.start("ticker", _ticker(bus, client, rules))
    inventories = Inventories(
        bus.subscribe(
            Interest(Topic.TASK, unclaimed=True), Interest(Topic.TICK), SHUTDOWN, buffer=1_000
        ),
        bus,
        client,
        Rulebook(rules, {}),
        settings=InventoriesSettings(),
        limits=limits,
        rng=rng,
        log=log,
    )
    await supervisor.start("inventories", inventories)
    # --8<-- [start:start]
    subscription = bus.subscribe(
        Interest(Topic.TASK, key=LEADERBOARD_KEY),
        Interest(Topic.TICK),
        Interest(Topic.SHUTDOWN),
        buffer=256,
    )
    leaderboard = Leaderboard(subscription, bus, client, size=100, refresh_ms=1_000, log=log)
    await supervisor.start("leaderboard", leaderboard)
    # --8<-- [end:start]


def _ticker(bus: Bus, client: StorageClient, rules: Ruleset) -> Ticker:
    return Ticker(
        bus.subscribe(Interest(Topic.TASK, key=TICKER_KEY), SHUTDOWN, buffer=100),
        bus,
        client,
        world_name="example",
        ruleset=rules.version,
        tick_ms=100,
        wall_clock=lambda: datetime.now(UTC),
        log=structlog.get_logger(),
    )


async def play(bus: Bus, account_id: str, rng: random.Random) -> None:
    """Order anything that the rules allow, for ever."""
    for number in range(sys.maxsize):
        order = PlaceOrder(account_id, rng.choice(BUILDINGS), None, f"order-{number}", b"")
        try:
            await bus.ask(Topic.TASK, order, key=account_id, timeout_s=5)
        except InventoryError:
            await trio.sleep(PAUSE_S * rng.uniform(1, 5))


async def main(seconds: float) -> None:
    """Run the world, let everybody play, and show the board."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("warning"))
    names = {str(uuid_utils.uuid7()): name for name in ("ann", "bob", "cem")}
    with open_broadcast_channel() as bus, trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            await start_world(bus, nursery, names)
            for seed, account_id in enumerate(names):
                dice = random.Random(seed)  # noqa: S311 - a game's dice
                nursery.start_soon(play, bus, account_id, dice)
            while True:
                await trio.sleep(SHOWN_EVERY_S)
                board: tuple[Standing, ...] = await bus.ask(
                    Topic.TASK, GetLeaderboard(limit=10), key=LEADERBOARD_KEY, timeout_s=5
                )
                told = (f"{each.rank}. {each.username} {each.score}" for each in board)
                print("   ".join(told), flush=True)


if __name__ == "__main__":
    trio.run(main, float(sys.argv[1]) if len(sys.argv) > 1 else 20.0)
