"""Builds each actor from the configuration and gives it its subscription on the bus."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from actors.authx.actor import Authx
from actors.inventory import COURIER_KEY, Courier, Inventories, Rulebook
from actors.storage import STORAGE_KEY, Storage
from actors.storage.postgres import PostgresEngine
from actors.storage.schema import declared_tables
from actors.ticker import TICKER_KEY, Ticker
from app import settings
from bus import Interest, Topic

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from structlog.typing import FilteringBoundLogger

    from actors.authx.keys import KeyRing
    from actors.database.driver import Database
    from actors.inventory.ruleset import Ruleset
    from actors.storage import StorageClient
    from app.config import Config
    from app.watch import Watch
    from bus import Bus, Subscription

STORAGE_REPLY_S: Final = 15.0
"""A backstop for callers of Storage.

Storage answers sooner, unless a commit is in doubt or the database's own timeouts are longer.
"""

_SHUTDOWN: Final = Interest(Topic.SHUTDOWN)


class Assembly:
    """What the actors of one server are built from."""

    def __init__(
        self,
        config: Config,
        ruleset: Ruleset,
        keyring: KeyRing,
        *,
        database: Database,
        rng: random.Random,
        log: FilteringBoundLogger,
        watch: Watch,
    ) -> None:
        self._config = config
        self._ruleset = ruleset
        self._keyring = keyring
        self._database = database
        self._rng = rng
        self._log = log
        self._watch = watch
        self._tables = declared_tables()
        self._mailboxes: dict[str, Subscription] = {}
        self._inventories: Inventories | None = None

    @property
    def mailboxes(self) -> Mapping[str, Subscription]:
        """The subscriptions of the actors built so far, by the names they run under."""
        return self._mailboxes

    def engine(self) -> PostgresEngine:
        """Build the engine that Storage works with."""
        storage = self._config.storage
        return PostgresEngine(
            self._database,
            self._tables,
            read_connections=storage.read_connections,
            query_timeout_s=storage.query_timeout_ms / 1000,
            log=self._log,
            on_elsewhere=self._begin_anew,
        )

    def storage(self, bus: Bus, engine: PostgresEngine) -> Storage:
        """Build Storage."""
        subscription = self._subscribe(
            "storage",
            bus,
            Interest(Topic.TASK, key=STORAGE_KEY),
            buffer=self._config.bus.storage_buffer,
        )
        return Storage(
            subscription,
            engine,
            self._tables,
            settings.storage_settings(self._config),
            rng=self._rng,
            log=self._log,
            meter=self._watch.meter,
            tracer=self._watch.tracer,
        )

    def authx(self, bus: Bus) -> Authx:
        """Build Authx."""
        subscription = self._subscribe(
            "authx", bus, Interest(Topic.AUTH), buffer=self._config.bus.authx_buffer
        )
        return Authx(
            subscription,
            bus,
            self._database,
            self._keyring,
            settings.authx_settings(self._config),
            wall_clock=wall_clock,
            log=self._log,
        )

    def ticker(self, bus: Bus, storage: StorageClient) -> Ticker:
        """Build the Ticker."""
        world = self._config.world
        subscription = self._subscribe(
            "ticker",
            bus,
            Interest(Topic.TASK, key=TICKER_KEY),
            buffer=self._config.bus.ticker_buffer,
        )
        return Ticker(
            subscription,
            bus,
            storage,
            world_name=world.name,
            ruleset=self._ruleset.version,
            tick_ms=world.tick_ms,
            wall_clock=wall_clock,
            log=self._log,
            meter=self._watch.clock_meter,
        )

    def inventories(
        self, bus: Bus, storage: StorageClient, renamed: Mapping[str, str]
    ) -> Inventories:
        """Build the manager of the inventories; ``renamed`` is for a rules change at this start."""
        subscription = self._subscribe(
            "inventories",
            bus,
            Interest(Topic.TASK, unclaimed=True),
            Interest(Topic.TICK),
            buffer=self._config.bus.inventories_buffer,
        )
        self._inventories = Inventories(
            subscription,
            bus,
            storage,
            Rulebook(self._ruleset, renamed),
            settings=settings.inventories_settings(self._config),
            limits=settings.restart_limits(self._config),
            rng=self._rng,
            log=self._log,
            tracer=self._watch.tracer,
        )
        return self._inventories

    def courier(self, bus: Bus, storage: StorageClient) -> Courier:
        """Build the courier."""
        subscription = self._subscribe(
            "transfers",
            bus,
            Interest(Topic.TASK, key=COURIER_KEY),
            buffer=self._config.bus.courier_buffer,
        )
        return Courier(
            subscription,
            bus,
            storage,
            reply_seconds_max=STORAGE_REPLY_S,
            rng=self._rng,
            log=self._log,
        )

    def _begin_anew(self) -> None:
        if self._inventories is not None:
            self._inventories.begin_anew()

    def _subscribe(self, name: str, bus: Bus, *interests: Interest, buffer: int) -> Subscription:
        subscription = bus.subscribe(*interests, _SHUTDOWN, buffer=buffer)
        self._mailboxes[name] = subscription
        return subscription


def wall_clock() -> datetime:
    """Return the wall-clock time as an aware UTC datetime."""
    return datetime.now(UTC)
