"""Storage on its own bus, rows to put into it or find past it, and obedient engines."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trio
from structlog.testing import LogCapture
from uuid_utils import uuid7

from actors.shutdown import Phase, Shutdown
from actors.storage import (
    STORAGE_KEY,
    Create,
    Read,
    Storage,
    StorageClient,
    StorageSettings,
    Update,
)
from actors.storage.engine import EngineUnavailable
from actors.storage.memory import MemoryEngine
from actors.storage.schema import declared_tables
from bus import Bus, Interest, Message, Subscription, Topic, open_broadcast_channel
from tests.postgres import quiet_log, run_script

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Sequence

    from actors.storage.engine import Engine, Unit
    from actors.storage.errors import StorageError
    from actors.storage.operations import Operation, Row
    from bus import PendingReply

FOREVER_S = 20.0

_ACCOUNT = """
insert into accounts (account_id, username, username_key, password_hash, created_at)
values ($1, $1::uuid::text, $1::uuid::text, 'x', now())
"""


def new_id() -> str:
    """Make an id."""
    return str(uuid7())


def new_world(name: object, tick: object = 0, **other: object) -> Create:
    """Make a row of `world`, the versioned table with a text key."""
    values = {"name": name, "world_id": new_id(), "tick": tick, "now_ms": 0, "ruleset": "r"}
    return Create("world", {**values, **other})


def new_entry(account_id: str, seq: int, **other: object) -> Create:
    """Make a row of `ledger`, the table without versions and with a key of two columns."""
    values = {"account_id": account_id, "seq": seq, "at_ms": 0, "cause": "test", "changes": "{}"}
    return Create("ledger", {**values, **other})


def new_order(account_id: str, **other: object) -> Create:
    """Make a row of `orders`, the first of an account."""
    values = {
        "order_id": new_id(),
        "account_id": account_id,
        "seq": 1,
        "asset": "a",
        "kind": "k",
        "queue": "q",
        "delivered": 0,
        "cost": "{}",
        "refund": "[1, 1]",
        "duration_ms": 1,
        "state": "queued",
        "placed_ms": 0,
    }
    return Create("orders", {**values, **other})


def new_inventory(account_id: str, **other: object) -> Create:
    """Make a row of `inventories`, whose account must exist."""
    values = {"account_id": account_id, "ruleset": "r", "at_ms": 0, "ledger_seq": 0, "state": "{}"}
    return Create("inventories", {**values, **other})


async def make_account(dsn: str) -> str:
    """Make an account, which an inventory needs."""
    account = new_id()
    await run_script(dsn, lambda session: session.execute(_ACCOUNT, account))
    return account


def tick(name: str, value: int, version: int | None = None) -> Update:
    """Make an update of a world."""
    return Update("world", {"name": name}, {"tick": value}, version)


async def world(dsn: str, name: str) -> tuple[int, int] | None:
    """Look past the engine at the tick and version of a world."""
    sql = "select tick, version from world where name = $1"
    row = await run_script(dsn, lambda session: session.fetchrow(sql, name))
    return None if row is None else (row["tick"], row["version"])


@dataclass(frozen=True)
class Running:
    """A Storage at work, and the ways to reach it."""

    bus: Bus
    subscription: Subscription
    storage: Storage
    client: StorageClient
    log: LogCapture

    def events(self) -> list[str]:
        """Return the names of the events in the log."""
        return [entry["event"] for entry in self.log.entries]

    async def shut_down(self, phase: Phase = Phase.STORAGE) -> None:
        """Publish a phase of the shutdown."""
        await self.bus.send(Message(Topic.SHUTDOWN, Shutdown(phase, "test")))


def make_storage(
    engine: Engine, settings: StorageSettings | None = None, *, mailbox: int = 10_000
) -> Running:
    """Make a Storage on a bus of its own; the caller must run it."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(
        Interest(Topic.TASK, STORAGE_KEY), Interest(Topic.SHUTDOWN), buffer=mailbox
    )
    log = LogCapture()
    storage = Storage(
        subscription,
        engine,
        declared_tables(),
        settings or StorageSettings(),
        rng=random.Random(1),
        log=quiet_log(log),
    )
    return Running(bus, subscription, storage, StorageClient(bus, timeout_s=FOREVER_S), log)


@asynccontextmanager
async def running_storage(
    engine: Engine, settings: StorageSettings | None = None, *, mailbox: int = 10_000
) -> AsyncGenerator[Running]:
    """Run a Storage for as long as the block lasts."""
    made = make_storage(engine, settings, mailbox=mailbox)
    async with trio.open_nursery() as nursery:
        await nursery.start(made.storage.run)
        yield made
        nursery.cancel_scope.cancel()


def submit(running: Running, *operations: Operation) -> PendingReply[None]:
    """Submit a unit; return its result's pending reply."""
    return running.client.submit(*operations)[1]


async def world_ticks(running: Running, *names: str) -> list[int]:
    """Read the ticks of some worlds."""
    [rows] = await running.client.read(Read("world", ("name", "tick"), within={"name": names}))
    ticks = {row["name"]: row["tick"] for row in rows}
    return [ticks[name] for name in names]


class GatedEngine:
    """An engine whose commits wait at a gate, and that remembers every batch."""

    def __init__(self, inner: Engine | None = None) -> None:
        self.inner: Engine = MemoryEngine(declared_tables()) if inner is None else inner
        self.batches: list[list[Unit]] = []
        self.read_batches: list[list[Read]] = []
        self.gate = trio.Event()
        self.closed = 0

    def shut(self) -> None:
        """Let the next commit wait."""
        self.gate = trio.Event()

    async def open(self) -> None:
        """Open the engine behind the gate."""
        await self.inner.open()

    def forget(self) -> None:
        """Reset the engine behind the gate."""
        self.inner.forget()

    async def commit(self, units: Sequence[Unit]) -> list[StorageError | None]:
        """Wait at the gate, then commit."""
        self.batches.append(list(units))
        await self.gate.wait()
        return await self.inner.commit(units)

    async def read(self, reads: Sequence[Read]) -> list[list[Row]]:
        """Wait at the gate, then read."""
        self.read_batches.append(list(reads))
        await self.gate.wait()
        return await self.inner.read(reads)

    async def aclose(self) -> None:
        """Close the engine behind the gate."""
        self.closed += 1
        await self.inner.aclose()


class FlakyEngine(MemoryEngine):
    """An in-memory engine that is away on command."""

    def __init__(self) -> None:
        super().__init__(declared_tables())
        self.away = False
        self.in_doubt = False
        self.attempts: list[Any] = []

    async def commit(self, units: Sequence[Unit]) -> list[StorageError | None]:
        """Commit, or report that the database is away."""
        self.attempts.append((trio.current_time(), len(units)))
        if self.away:
            raise EngineUnavailable("away", in_doubt=self.in_doubt)
        return await super().commit(units)

    async def read(self, reads: Sequence[Read]) -> list[list[Row]]:
        """Read, or report that the database is away."""
        self.attempts.append((trio.current_time(), len(reads)))
        if self.away:
            raise EngineUnavailable("away")
        return await super().read(reads)


async def outcome_of(pending: PendingReply[Any]) -> object:
    """Wait for a reply; return its value or the type of its error."""
    try:
        return await pending.wait(FOREVER_S)
    except Exception as error:  # noqa: BLE001 - the error is the outcome
        return type(error)


class Counter(trio.abc.Instrument):
    """Counts what a test reports; ``largest`` is the most in one step of a task."""

    def __init__(self) -> None:
        self.largest = self._count = self._before = 0

    def add(self, number: int = 1) -> None:
        """Count."""
        self._count += number

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Begin a step."""
        self._before = self._count

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """End a step."""
        self.largest = max(self.largest, self._count - self._before)


@contextmanager
def counting_steps() -> Generator[Counter]:
    """Count step by step for as long as the block lasts."""
    counter = Counter()
    trio.lowlevel.add_instrument(counter)
    try:
        yield counter
    finally:
        trio.lowlevel.remove_instrument(counter)
