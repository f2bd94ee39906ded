"""Inventories: activates an account's Inventory when the account is addressed or due.

It subscribes to messages whose account nobody has claimed. For such a message it opens a
subscription keyed by the account, starts the Inventory on it and forwards the message; from then
on the bus reaches the Inventory directly. An idle Inventory is passivated: all its state is
already stored, so nothing has to be saved, and a passive account costs no memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast, get_args

import trio

from actors.inventory.activation import Activation
from actors.inventory.actor import Dependencies
from actors.inventory.due import DueAccounts
from actors.inventory.errors import ChangedElsewhere
from actors.inventory.loading import Loader
from actors.inventory.messages import InventoryMessage
from actors.inventory.passive import PassiveAccounts
from actors.inventory.residents import Residents
from actors.inventory.world import WorldTime
from actors.shutdown import Phase, Shutdown
from actors.ticker import TICKER_KEY, GetWorld, Tick, World
from actors.tracing import NO_TRACER
from bus import BusError, Topic

if TYPE_CHECKING:
    import random

    from structlog.typing import FilteringBoundLogger

    from actors.inventory.rulebook import Rulebook
    from actors.inventory.views import InventoryView
    from actors.storage import StorageClient
    from actors.supervisor import RestartLimits
    from actors.tracing import Tracer
    from bus import Bus, Message, Subscription

_INVENTORY_MESSAGES = get_args(InventoryMessage)
_RETRY_S = 0.25
_SWEEP_S = 1.0
_SLICE = 32
"""How many inventories are ended, or messages delivered, in one go: about a millisecond of work."""


@dataclass(frozen=True, slots=True)
class InventoriesSettings:
    """Bounds of the live inventories.

    An inventory idle for ``idle_seconds`` is passivated, or sooner if more than ``live_max`` would
    be live; ``mailbox_max`` messages may wait for each. Due accounts are settled in pages of
    ``due_page``; ``reply_seconds_max`` bounds each wait for another actor.
    """

    idle_seconds: float = 60.0
    live_max: int = 10_000
    mailbox_max: int = 256
    due_page: int = 256
    reply_seconds_max: float = 10.0


@dataclass(frozen=True, slots=True)
class InventoriesStatistics:
    """The live inventories, how many came and went, and how late due ones are settled."""

    live: int
    activations: int
    passivations: int
    due_lag_ms: int
    restarts: int
    activating: int


class Inventories:
    """The manager of all inventories; see the module."""

    def __init__(
        self,
        subscription: Subscription,
        bus: Bus,
        storage: StorageClient,
        rulebook: Rulebook,
        *,
        settings: InventoriesSettings,
        limits: RestartLimits,
        rng: random.Random,
        log: FilteringBoundLogger,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self._subscription = subscription
        self._bus = bus
        self._storage = storage
        self._rulebook = rulebook
        self._settings = settings
        self._limits = limits
        self._rng = rng
        self._log = log
        self._tracer = tracer
        self._residents = Residents(settings.live_max)
        self._activated: Activation | None = None
        self._due: DueAccounts | None = None
        self._finished = trio.Event()
        self._changed_elsewhere = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `Phase.WORLD`, then let every mailbox drain, and end all inventories.

        Ending them takes longer the more are live; see `wait_finished`. After a restart it waits
        until Storage can write, dropping what arrives between two tries; a shutdown during a try
        is noticed only after it, possibly after its phase is over. Cancellation ends every live
        inventory; messages in progress get `ActorStopped`.

        Raises:
            ChangedElsewhere: on request of `begin_anew`.
        """
        residents = self._residents = Residents(self._settings.live_max)
        with self._subscription.answering():
            try:
                world = await self._begin()
                if world is None:
                    self._subscription.close()
                    self._finished.set()
                    return
                async with trio.open_nursery() as nursery:
                    loader = Loader(
                        self._bus,
                        self._storage,
                        wait_seconds_max=self._settings.reply_seconds_max,
                    )
                    activation = self._activation(nursery, residents, world, loader)
                    self._activated = activation
                    async with trio.open_nursery() as background:
                        due = self._due = self._due_accounts(activation, residents, world, loader)
                        background.start_soon(loader.run)
                        background.start_soon(due.run)
                        background.start_soon(self._sweep, residents)
                        background.start_soon(self._fail_when_changed_elsewhere)
                        task_status.started()
                        await self._serve(activation, world)
                        activation.stopping()
                        await residents.wait_quiet()
                        background.cancel_scope.cancel()
                    self._finished.set()
                    # With its mailbox closed each one returns, which is cheaper than cancelling it.
                    while residents:
                        residents.remove_some(_SLICE)
                        await trio.lowlevel.checkpoint()
            finally:
                residents.remove_all()

    async def wait_finished(self) -> None:
        """Wait until, at shutdown, everything asked of any inventory is done.

        Inventories still live then only have to end; nobody waits for anything they hold.
        """
        await self._finished.wait()

    def begin_anew(self) -> None:
        """Make `run` fail, so that everything restarts from what is stored; never waits.

        For when another server writes there or has written: nothing cached is valid any more. The
        restart waits until Storage can write, which nobody else then can.
        """
        self._changed_elsewhere.set()

    def peek(self, account_id: str) -> InventoryView | None:
        """Show at once what an account owns now, if it is cached; None: ask over the bus.

        It reads the state that `GetInventory` would be answered from, and only while the account
        has nothing in progress, waiting or due, so that an answer over the bus would be the same.
        It changes nothing but the order of use. Never waits.
        """
        resident = self._residents.get(account_id)
        if resident is None or resident.peek is None or not resident.is_idle:
            return None
        resident.touch()
        return resident.peek()

    def statistics(self) -> InventoriesStatistics:
        """Count the live inventories, and say how late the last due account was settled."""
        residents = self._residents
        return InventoriesStatistics(
            live=len(residents),
            activations=residents.activations,
            passivations=residents.passivations,
            due_lag_ms=0 if self._due is None else self._due.lag_ms,
            restarts=0 if self._activated is None else self._activated.restarts,
            activating=0 if self._activated is None else self._activated.starting,
        )

    async def _serve(self, activation: Activation, world: WorldTime) -> None:
        ends = False
        async for first in self._subscription:
            # Not one message per turn of Trio's loop: under load there are few turns.
            for message in (first, *self._subscription.receive_some_nowait(_SLICE - 1)):
                match message.body:
                    case Tick() as tick:
                        world.set(tick)
                    case Shutdown(phase=phase):
                        ends |= phase >= Phase.WORLD
                    case _:
                        self._deliver(activation, message)
            if ends:
                break
        self._deliver_rest(activation)

    def _deliver(self, activation: Activation, message: Message) -> None:
        if isinstance(message.body, _INVENTORY_MESSAGES):
            body = cast("InventoryMessage", message.body)
            activation.deliver(body.account_id, message)
        else:
            self._log.error("message_not_understood", topic=message.topic.value, key=message.key)
            self._subscription.drop(message)

    def _deliver_rest(self, activation: Activation) -> None:
        """Deliver what the shutdown overtook, and nothing that comes later."""
        while rest := self._subscription.receive_some_nowait(_SLICE):
            for message in rest:
                if not isinstance(message.body, Tick | Shutdown):
                    self._deliver(activation, message)
        # From now on callers learn at once that nobody is here.
        self._subscription.close()

    async def _fail_when_changed_elsewhere(self) -> None:
        await self._changed_elsewhere.wait()
        raise ChangedElsewhere

    async def _sweep(self, residents: Residents) -> None:
        """Passivate inventories idle for long enough, repeatedly until cancelled."""
        while True:
            await trio.sleep(min(_SWEEP_S, self._settings.idle_seconds))
            moment = trio.current_time() - self._settings.idle_seconds
            # In slices: inventories activated together fall idle together.
            while idle := residents.idle_since(moment, _SLICE):
                for resident in idle:
                    residents.remove(resident)
                await trio.lowlevel.checkpoint()

    async def _begin(self) -> WorldTime | None:
        """Learn the time and the rules; after a restart, wait until nobody else changes the store.

        Another server that holds the lock may change it, and so may what an earlier run handed to
        Storage. An absent database at a restart must not use up the restarts. None: shutdown.
        """
        is_restart = self._activated is not None
        while True:
            try:
                if is_restart:
                    await self._storage.wait_settled()
                    self._changed_elsewhere = trio.Event()
                return await self._learn()
            except BusError:
                if not is_restart:
                    raise
            if await self._world_ends():
                return None

    async def _world_ends(self) -> bool:
        """Drop whatever arrives for a moment; return whether the shutdown was among it."""
        with trio.move_on_after(_RETRY_S):
            async for message in self._subscription:
                match message.body:
                    case Shutdown(phase=phase) if phase >= Phase.WORLD:
                        break
                    case _:
                        self._subscription.drop(message)
            return True
        return False

    async def _learn(self) -> WorldTime:
        world = await self._world_time()
        if await self._rulebook.open(self._storage, world.now_ms):
            self._log.info(
                "ruleset_changed",
                ruleset=self._rulebook.current.name,
                version=self._rulebook.current.version,
            )
        return world

    async def _world_time(self) -> WorldTime:
        world: World = await self._bus.ask(
            Topic.TASK,
            GetWorld(),
            key=TICKER_KEY,
            timeout_s=self._settings.reply_seconds_max,
        )
        return WorldTime(world.tick, world.now_ms)

    def _activation(
        self, nursery: trio.Nursery, residents: Residents, world: WorldTime, loader: Loader
    ) -> Activation:
        shared = Dependencies(
            self._bus, self._storage, loader, self._rulebook, world, self._log, self._tracer
        )
        return Activation(
            nursery,
            residents,
            shared,
            self._limits,
            mailbox_max=self._settings.mailbox_max,
            rng=self._rng,
        )

    def _due_accounts(
        self, activation: Activation, residents: Residents, world: WorldTime, loader: Loader
    ) -> DueAccounts:
        wait_s = self._settings.reply_seconds_max
        passive = PassiveAccounts(
            self._bus,
            self._storage,
            loader,
            residents=residents,
            rulebook=self._rulebook,
            world=world,
            reply_seconds_max=wait_s,
            log=self._log,
        )
        return DueAccounts(
            self._bus,
            self._storage,
            activation,
            passive,
            world,
            page=self._settings.due_page,
            reply_seconds_max=wait_s,
            log=self._log,
        )
