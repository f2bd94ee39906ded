"""The Ticker actor: counts ticks since the world began, one by one, each durable first.

The pace comes from Trio's monotonic clock, never from the wall clock. A tick is published only
after it is stored, so that no tick that was seen can be undone. A clock that fell behind (a slow
disk, an absent database) catches up tick by tick and skips none. While the server is down the
world stands still.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Final

import trio
from uuid_utils import uuid7

from actors.meter import NO_CLOCK_METER
from actors.shutdown import Phase, Shutdown
from actors.storage import Create, Read, Row, StorageClient, StorageError, Update
from actors.ticker.messages import GetWorld, Tick, TickerStatistics, World
from bus import BusError, Message, Topic

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from actors.meter import ClockMeter
    from bus import Bus, Subscription

TICKER_KEY: Final = "ticker"
"""The key of the Ticker's messages on topic ``task``."""

_RETRY_S = 0.25
_AT_ONCE_MAX: Final = 64
"""How many messages are answered before other tasks get their turn."""


class Ticker:
    """Publishes `Tick` on topic ``tick`` every ``tick_ms`` of world time; answers `GetWorld`."""

    def __init__(
        self,
        subscription: Subscription,
        bus: Bus,
        storage: StorageClient,
        *,
        world_name: str,
        ruleset: str,
        tick_ms: int,
        wall_clock: Callable[[], datetime],
        log: FilteringBoundLogger,
        meter: ClockMeter = NO_CLOCK_METER,
    ) -> None:
        self._subscription = subscription
        self._bus = bus
        self._storage = storage
        self._name = world_name
        self._ruleset = ruleset
        self._tick_ms = tick_ms
        self._wall_clock = wall_clock
        self._log = log
        self._meter = meter
        self._clock: _Clock | None = None

    def statistics(self) -> TickerStatistics:
        """Report where the world clock stands, and how late its next tick is at this moment."""
        clock = self._clock
        if clock is None:
            return TickerStatistics(0, 0, 0.0)
        lag_s = max(0.0, trio.current_time() - clock.due)
        return TickerStatistics(clock.tick, clock.now_ms, lag_s)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Tick until `Phase.WORLD`; cancellation between two ticks loses nothing.

        A restart goes on from the last tick known, which the next store checks, and from when the
        next one is due: an absent database must not use up the restarts.
        """
        with self._subscription.answering():
            clock = self._clock
            if clock is None:
                clock = self._clock = _Clock(await self._load(), self._tick_ms)
            await self._publish(clock)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._tick, clock)
                task_status.started()
                await self._answer(clock)
                nursery.cancel_scope.cancel()

    async def _answer(self, clock: _Clock) -> None:
        ends = False
        async for first in self._subscription:
            # Many in each turn of Trio's loop: a busy loop has few turns.
            for message in (first, *self._subscription.receive_some_nowait(_AT_ONCE_MAX - 1)):
                match message.body:
                    case Shutdown(phase=phase):
                        ends |= phase >= Phase.WORLD
                    case GetWorld():
                        if message.reply is not None:
                            message.reply.send_nowait(clock.world())
                    case _:
                        self._log.error("message_not_understood", topic=message.topic.value)
                        self._subscription.drop(message)
            if ends:
                break
        # From now on callers learn at once that nobody is here.
        self._subscription.close()

    async def _tick(self, clock: _Clock) -> None:
        while True:
            due = clock.due
            await trio.sleep_until(due)
            try:
                await self._store(clock)
            except (BusError, StorageError) as error:
                # Whether it was stored is unknown: the database has the truth.
                self._log.warning("tick_delayed", tick=clock.tick + 1, error=str(error))
                await trio.sleep(_RETRY_S)
                await self._reload(clock)
                continue
            clock.advance()
            await self._publish(clock)
            self._meter.ticked(max(0.0, trio.current_time() - due))

    async def _store(self, clock: _Clock) -> None:
        values = {"tick": clock.tick + 1, "now_ms": clock.now_ms + self._tick_ms}
        await self._storage.commit(Update("world", {"name": clock.name}, values, clock.version))

    async def _reload(self, clock: _Clock) -> None:
        """Take the clock from the database."""
        try:
            row = await self._find()
        except (BusError, StorageError) as error:
            self._log.warning("world_unreadable", error=str(error))
        else:
            if row is not None and row["version"] != clock.version:
                clock.catch_up(row)
                await self._publish(clock)

    async def _publish(self, clock: _Clock) -> None:
        await self._bus.send(Message(Topic.TICK, Tick(clock.tick, clock.now_ms)))

    async def _load(self) -> Row:
        row = await self._find()
        if row is None:
            began_ms = int(self._wall_clock().timestamp() * 1000)
            await self._storage.commit(
                Create(
                    "world",
                    {
                        "name": self._name,
                        "world_id": str(uuid7()),
                        "tick": 0,
                        "now_ms": began_ms,
                        "ruleset": self._ruleset,
                    },
                )
            )
            self._log.info("world_created", world=self._name, version=self._ruleset)
            row = await self._find()
        if row is None:
            msg = f"the world {self._name!r} was created and is not there"
            raise LookupError(msg)
        return row

    async def _find(self) -> Row | None:
        """Find the clock: a database has one world, whatever it was called when it was made.

        If there is a clock for each of several names, the one furthest ahead counts, so that time
        never goes back.
        """
        [rows] = await self._storage.read(Read("world"))
        return max(rows, key=itemgetter("now_ms"), default=None)


class _Clock:
    """The world clock as last stored, and when its next tick is due, on Trio's clock."""

    __slots__ = ("_tick_ms", "due", "name", "now_ms", "tick", "version", "world_id")

    def __init__(self, row: Row, tick_ms: int) -> None:
        self._tick_ms = tick_ms
        self.due = trio.current_time() + tick_ms / 1000
        self._set(row)

    def catch_up(self, row: Row) -> None:
        """Take what is stored; ticks that were made without this clock need not be made."""
        before = self.tick
        self._set(row)
        self.due += (self.tick - before) * self._tick_ms / 1000

    def _set(self, row: Row) -> None:
        self.name: str = row["name"]
        self.world_id: str = row["world_id"]
        self.tick: int = row["tick"]
        self.now_ms: int = row["now_ms"]
        self.version: int = row["version"]

    def advance(self) -> None:
        self.tick += 1
        self.now_ms += self._tick_ms
        self.version += 1
        self.due += self._tick_ms / 1000

    def world(self) -> World:
        return World(self.world_id, self.tick, self._tick_ms, self.now_ms)
