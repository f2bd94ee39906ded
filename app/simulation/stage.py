"""The stage of a simulation: a server's actors, on a clock that jumps.

Bus, Storage, Inventory actors, their handlers and rules are the server's. `Stage.jump` replaces
the Ticker, and nothing settles an account when an event of it falls due: it is settled when it is
next addressed, with the same result.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import trio

from actors.inventory import Rulebook
from actors.inventory.activation import Activation
from actors.inventory.actor import Dependencies
from actors.inventory.loading import Loader
from actors.inventory.residents import Residents
from actors.inventory.world import WorldTime
from actors.storage import STORAGE_KEY, Storage, StorageClient, StorageSettings
from actors.storage.schema import declared_tables
from actors.supervisor import RestartLimits, Supervisor
from actors.ticker import Tick
from bus import Interest, Message, Topic, open_broadcast_channel

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncGenerator

    from structlog.typing import FilteringBoundLogger

    from actors.inventory.messages import InventoryMessage
    from actors.inventory.ruleset import Ruleset
    from actors.storage.engine import Engine
    from bus import Bus, PendingReply

ASKED_MAX: Final = 1_024
"""Maximum accounts that may be addressed before the first answer is awaited."""

MAILBOX_MAX: Final = 64
"""Maximum messages that may wait for one account."""

_REPLY_S: Final = 600.0
"""A backstop: everything here waits only for this process."""


class Stage:
    """Where bots meet their accounts; made by `open_stage`."""

    def __init__(self, bus: Bus, activation: Activation, world: WorldTime) -> None:
        self._bus = bus
        self._activation = activation
        self._world = world

    def jump(self, now_ms: int) -> None:
        """Move the world clock forward."""
        self._world.set(Tick(self._world.tick + 1, now_ms))

    def send(self, body: InventoryMessage) -> PendingReply[Any]:
        """Send an account a message; `answer_to` returns its answer."""
        reply, pending = self._bus.open_reply()
        self._activation.deliver(body.account_id, Message(Topic.TASK, body, body.account_id, reply))
        return pending


async def answer_to(pending: PendingReply[Any]) -> Any:
    """Wait for an answer.

    Raises:
        InventoryError: the request is refused.
        BusError: the actor failed.
    """
    return await pending.wait(_REPLY_S)


@asynccontextmanager
async def open_stage(
    ruleset: Ruleset,
    engine: Engine,
    *,
    accounts: int,
    rng: random.Random,
    log: FilteringBoundLogger,
) -> AsyncGenerator[Stage]:
    """Run the actors of a world, from time 0, for the duration of the block."""
    tables = declared_tables()
    world = WorldTime(0, 0)
    limits = RestartLimits()
    waiting_max = ASKED_MAX * MAILBOX_MAX
    with open_broadcast_channel() as bus:
        async with trio.open_nursery() as nursery:
            storage = Storage(
                bus.subscribe(Interest(Topic.TASK, key=STORAGE_KEY), buffer=waiting_max),
                engine,
                tables,
                StorageSettings(queue_max=waiting_max, batch_units_max=ASKED_MAX),
                rng=rng,
                log=log,
            )
            await Supervisor(nursery, limits, rng=rng, log=log).start("storage", storage)
            client = StorageClient(bus, timeout_s=_REPLY_S)
            rulebook = Rulebook(ruleset, {})
            await rulebook.open(client, world.now_ms)
            loader = Loader(bus, client, wait_seconds_max=_REPLY_S)
            nursery.start_soon(loader.run)
            activation = Activation(
                nursery,
                Residents(accounts),
                Dependencies(bus, client, loader, rulebook, world, log),
                limits,
                mailbox_max=MAILBOX_MAX,
                rng=rng,
            )
            yield Stage(bus, activation, world)
            nursery.cancel_scope.cancel()
