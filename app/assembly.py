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

    from structlog.typing import FilteringBoundLogger

    from actors.authx.keys import KeyRing
    from actors.database.driver import Database
    from actors.inventory.ruleset import Ruleset
    from actors.storage import StorageClient
    from app.config import Config
    from bus import Bus

STORAGE_REPLY_S: Final = 15.0
"""A backstop for whoever asks Storage: it answers by itself long before."""

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
    ) -> None:
        self._config = config
        self._ruleset = ruleset
        self._keyring = keyring
        self._database = database
        self._rng = rng
        self._log = log
        self._tables = declared_tables()

    def engine(self) -> PostgresEngine:
        """Build the engine that Storage works with."""
        storage = self._config.storage
        return PostgresEngine(
            self._database,
            self._tables,
            read_connections=storage.read_connections,
            query_timeout_s=storage.query_timeout_ms / 1000,
            log=self._log,
        )

    def storage(self, bus: Bus, engine: PostgresEngine) -> Storage:
        """Build Storage."""
        subscription = bus.subscribe(
            Interest(Topic.TASK, key=STORAGE_KEY),
            _SHUTDOWN,
            buffer=self._config.bus.storage_buffer,
        )
        return Storage(
            subscription,
            engine,
            self._tables,
            settings.storage_settings(self._config),
            rng=self._rng,
            log=self._log,
        )

    def authx(self, bus: Bus) -> Authx:
        """Build Authx."""
        subscription = bus.subscribe(
            Interest(Topic.AUTH), _SHUTDOWN, buffer=self._config.bus.authx_buffer
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
        subscription = bus.subscribe(
            Interest(Topic.TASK, key=TICKER_KEY), _SHUTDOWN, buffer=self._config.bus.ticker_buffer
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
        )

    def inventories(self, bus: Bus, storage: StorageClient) -> Inventories:
        """Build the manager of the inventories."""
        subscription = bus.subscribe(
            Interest(Topic.TASK, unclaimed=True),
            Interest(Topic.TICK),
            _SHUTDOWN,
            buffer=self._config.bus.inventories_buffer,
        )
        return Inventories(
            subscription,
            bus,
            storage,
            Rulebook(self._ruleset, settings.renamed(self._config)),
            settings=settings.inventories_settings(self._config),
            limits=settings.restart_limits(self._config),
            rng=self._rng,
            log=self._log,
        )

    def courier(self, bus: Bus, storage: StorageClient) -> Courier:
        """Build the courier."""
        subscription = bus.subscribe(
            Interest(Topic.TASK, key=COURIER_KEY),
            _SHUTDOWN,
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


def wall_clock() -> datetime:
    """Give the time of the wall clock, with its zone: UTC."""
    return datetime.now(UTC)
