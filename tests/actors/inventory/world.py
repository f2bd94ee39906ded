"""A whole world of actors in virtual time: bus, Storage in memory, Ticker, inventories, courier."""

from __future__ import annotations

import random
import tempfile
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
import structlog
import trio
import trio.testing

from actors.inventory import COURIER_KEY, Courier, Inventories, InventoriesSettings, Rulebook
from actors.inventory.messages import (
    CancelOrder,
    GetInventory,
    GetLedger,
    InventoryMessage,
    PlaceOrder,
    SendTransfer,
)
from actors.inventory.ruleset import Ruleset, load_ruleset
from actors.shutdown import Phase, Shutdown
from actors.storage import STORAGE_KEY, Storage, StorageClient, StorageSettings
from actors.storage.engine import EngineUnavailable
from actors.storage.memory import MemoryEngine
from actors.storage.schema import declared_tables
from actors.supervisor import RestartLimits, Supervisor
from actors.ticker import TICKER_KEY, Ticker
from bus import Bus, Interest, Message, Topic, open_broadcast_channel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from structlog.typing import FilteringBoundLogger

    from actors.inventory.views import Cancelled, InventoryView, LedgerPage, Placed, Sent
    from actors.storage.engine import Unit
    from actors.storage.errors import StorageError
    from actors.storage.operations import Read, Row
    from actors.storage.tables import Table

TICK_MS = 1000

TOWN = """
title = "Town"

[resources.wood]
start = 100
base_per_hour = 3600
base_capacity = 1000
[resources.gold]
start = 50

[queues.site]
slots = 1
length = 2

[defaults.buildings]
queue = "site"
refund = 0.5
[defaults.units]
queue = "site"
refund = 0.5

[buildings.hut]
cost = {wood = 40}
duration = 10
max_level = 3
[buildings.mill]
cost = {wood = 90}
duration = 20
requires = {hut = 1}
produces = {wood = 3600}
max_level = 5

[units.cart]
cost = {gold = 5}
duration = 4

[transfers]
enabled = true
overflow = "reject"
"""


@cache
def ruleset(text: str = TOWN) -> Ruleset:
    """Load a ruleset from its text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "town.toml"
        path.write_text(text, encoding="utf-8")
        return load_ruleset(path)


def account(number: int) -> str:
    """Name an account by its number."""
    return f"01900000-0000-7000-8000-{number:012d}"


class Tampered(MemoryEngine):
    """An engine that a test can stop, break and inspect."""

    def __init__(self, tables: Mapping[str, Table] | None = None) -> None:
        self.tables = declared_tables() if tables is None else tables
        super().__init__(self.tables)
        self._gate = trio.Event()
        self._gate.set()
        self.away = False
        self.failures: list[Exception] = []
        self.units: list[Unit] = []

    def close_gate(self) -> None:
        """Hold all commits until the gate is opened."""
        self._gate = trio.Event()

    def open_gate(self) -> None:
        """Let commits through."""
        self._gate.set()

    async def commit(self, units: Sequence[Unit]) -> list[StorageError | None]:
        """Commit, when and if the test lets it."""
        await self._gate.wait()
        self._check_there()
        if self.failures:
            raise self.failures.pop(0)
        self.units.extend(units)
        return await super().commit(units)

    async def read(self, reads: Sequence[Read]) -> list[list[Row]]:
        """Read, if the test lets it."""
        self._check_there()
        return await super().read(reads)

    def _check_there(self) -> None:
        if self.away:
            raise EngineUnavailable("away")

    def rows(self, table: str) -> list[Row]:
        """Return the rows of a table."""
        return list(self._rows[table].values())

    def row(self, table: str, *key: str) -> dict[str, Any]:
        """Return one row, to be inspected or tampered with."""
        return self._rows[table][key]


@dataclass
class World:
    """The parts of a running world, and shortcuts for querying it."""

    bus: Bus
    engine: Tampered
    storage: StorageClient
    supervisor: Supervisor
    inventories: Inventories
    courier: Courier
    logged: list[Mapping[str, Any]]
    keys: int = 0

    async def ask(self, body: InventoryMessage, *, timeout_s: float = 60) -> Any:
        """Ask the account's Inventory."""
        return await self.bus.ask(Topic.TASK, body, key=body.account_id, timeout_s=timeout_s)

    async def order(
        self, who: str, asset: str, count: int | None = None, *, key: str | None = None
    ) -> Placed:
        """Place an order, with a key of its own unless one is given."""
        self.keys += 1
        body = PlaceOrder(who, asset, count, key or f"key-{self.keys}", b"fingerprint")
        return cast("Placed", await self.ask(body))

    async def cancel(self, who: str, order_id: str) -> Cancelled:
        """Cancel an order."""
        return cast("Cancelled", await self.ask(CancelOrder(who, order_id)))

    async def look(self, who: str) -> InventoryView:
        """Look at an inventory."""
        return cast("InventoryView", await self.ask(GetInventory(who)))

    async def ledger(self, who: str) -> LedgerPage:
        """Read a ledger from the beginning."""
        return cast("LedgerPage", await self.ask(GetLedger(who, 0, 5_000)))

    async def send(
        self, sender: str, receiver: str, *, key: str | None = None, **resources: int
    ) -> Sent:
        """Send resources."""
        self.keys += 1
        body = SendTransfer(
            sender, "sender", receiver, "receiver", resources, "", key or f"key-{self.keys}", b"f"
        )
        return cast("Sent", await self.ask(body))

    async def replayed(self, who: str) -> dict[str, int]:
        """Sum an account's ledger, checking sequence and balances on the way."""
        page = await self.ledger(who)
        total: dict[str, int] = {}
        for expected, entry in enumerate(page.entries, start=1):
            assert entry.seq == expected
            for name, change in entry.changes.items():
                total[name] = total.get(name, 0) + change.delta
                assert total[name] == change.balance
        return {name: amount for name, amount in total.items() if amount}

    async def owned(self, who: str) -> dict[str, int]:
        """Return everything an account owns, by name."""
        view = await self.look(who)
        owned = {name: stock.amount for name, stock in view.resources.items()}
        owned |= {**view.buildings, **view.technologies, **view.units}
        return {name: amount for name, amount in owned.items() if amount}

    def stored(self, who: str) -> dict[str, int]:
        """Return everything stored as an account's, by name, in whole units."""
        state = msgspec.json.decode(self.engine.row("inventories", who)["state"])
        owned = {name: whole for name, (whole, _) in state["amounts"].items()}
        held = {f"held:{name}": whole for name, (whole, _) in state.get("held", {}).items()}
        owned |= {**held, **state.get("levels", {}), **state.get("units", {})}
        return {name: amount for name, amount in owned.items() if amount}

    def events(self, name: str) -> list[Mapping[str, Any]]:
        """Return the log entries of one event."""
        return [event for event in self.logged if event["event"] == name]


@asynccontextmanager
async def a_world(
    *,
    rules: Ruleset | None = None,
    renamed: Mapping[str, str] | None = None,
    settings: InventoriesSettings | None = None,
    engine: Tampered | None = None,
    transfers_in_flight_max: int = 1024,
    began: datetime = datetime(2026, 1, 1, tzinfo=UTC),
) -> AsyncGenerator[World]:
    """Run a world for the length of the block, then shut it down in phases."""
    logged: list[Mapping[str, Any]] = []
    log = _logger(logged)
    rng = random.Random(7)
    engine = engine or Tampered()
    rules = rules or ruleset()
    limits = RestartLimits(backoff_ms=10)
    with open_broadcast_channel() as bus:
        async with trio.open_nursery() as nursery:
            supervisor = Supervisor(nursery, limits, rng=rng, log=log)
            storage = Storage(
                bus.subscribe(Interest(Topic.TASK, key=STORAGE_KEY), _SHUTDOWN, buffer=10_000),
                engine,
                engine.tables,
                StorageSettings(),
                rng=rng,
                log=log,
            )
            await supervisor.start("storage", storage)
            client = StorageClient(bus, timeout_s=30)
            ticker = Ticker(
                bus.subscribe(Interest(Topic.TASK, key=TICKER_KEY), _SHUTDOWN, buffer=100),
                bus,
                client,
                world_name="town",
                ruleset=rules.version,
                tick_ms=TICK_MS,
                wall_clock=lambda: began,
                log=log,
            )
            await supervisor.start("ticker", ticker)
            inventories = Inventories(
                bus.subscribe(_UNCLAIMED, Interest(Topic.TICK), _SHUTDOWN, buffer=10_000),
                bus,
                client,
                Rulebook(rules, renamed or {}),
                settings=settings or InventoriesSettings(mailbox_max=1000),
                limits=limits,
                rng=rng,
                log=log,
            )
            await supervisor.start("inventories", inventories)
            courier = Courier(
                bus.subscribe(Interest(Topic.TASK, key=COURIER_KEY), _SHUTDOWN, buffer=1000),
                bus,
                client,
                reply_seconds_max=10,
                in_flight_max=transfers_in_flight_max,
                rng=rng,
                log=log,
            )
            await supervisor.start("transfers", courier)
            yield World(bus, engine, client, supervisor, inventories, courier, logged)
            supervisor.stopping()
            engine.open_gate()
            for phase in Phase:
                # An ended actor hears no more.
                with suppress(trio.BrokenResourceError):
                    await bus.send(Message(Topic.SHUTDOWN, Shutdown(phase, "the test is over")))
                await trio.testing.wait_all_tasks_blocked()


_SHUTDOWN = Interest(Topic.SHUTDOWN)
_UNCLAIMED = Interest(Topic.TASK, unclaimed=True)


def _logger(logged: list[Mapping[str, Any]]) -> FilteringBoundLogger:
    def keep(_logger: object, _method: str, event: Mapping[str, Any]) -> str:
        logged.append(dict(event))
        raise structlog.DropEvent

    return cast(
        "FilteringBoundLogger",
        structlog.wrap_logger(None, processors=[keep], wrapper_class=structlog.BoundLogger),
    )
