"""The Storage actor: takes work from the bus, acknowledges it, commits it in groups.

Group commit is self-clocked: units that arrive while a commit is in flight form the next one. As
most of a commit's cost is fixed, it also waits for units already sent, for as long as they keep
arriving, turn after turn of Trio's loop: a lone unit waits two turns of an idle loop. Waiting
longer does not pay: the database works on one commit while the next gathers. For the same reason
a commit takes only half of many units: clients that wait for their answers would otherwise all
wait for the same commit, and the server, with nothing left to do, for the database.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import trio

from actors.meter import NO_METER
from actors.shutdown import Phase, Shutdown
from actors.storage.absence import Absence
from actors.storage.engine import Engine, EngineUnavailable
from actors.storage.errors import Refused, StorageError
from actors.storage.operations import Acknowledged, Barrier, Query, Write
from actors.storage.soundness import Soundness
from actors.storage.validation import Fault, query_faults, unit_faults
from actors.tracing import NO_TRACER
from actors.turns import Turns
from bus import Overloaded

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from structlog.typing import FilteringBoundLogger

    from actors.meter import Meter
    from actors.storage.operations import Row
    from actors.storage.tables import Table
    from actors.tracing import Tracer
    from bus import Message, Reply, Subscription

W = TypeVar("W", Write | Barrier, Query)

_QUIET_TURNS = 2
"""What is sent in one turn arrives in the next, or the one after."""
_TAKEN_MAX = 64
"""Messages taken in one turn: checking them takes well under a millisecond."""
_UNDIVIDED_MAX = 32
"""Units in flight up to which a commit takes all: two commits would cost more than they gain."""
_BATCH_READS_MAX = 512
_ANSWERED_MAX = 500
"""Rows handed to their callers in one turn: each caller then has work to do with its own."""


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """Bounds of Storage's work.

    ``queue_max`` units (and as many queries) may wait; a commit takes up to
    ``batch_units_max``, and waits for them at most ``gather_seconds_max``. While the database is
    away, a unit that has waited ``wait_seconds_max`` is abandoned at the next failed attempt; one
    whose commit is in doubt is not.
    """

    queue_max: int = 4096
    batch_units_max: int = 512
    read_workers: int = 2
    gather_seconds_max: float = 0.001
    wait_seconds_max: float = 3.0


@dataclass(frozen=True, slots=True)
class StorageStatistics:
    """What Storage has done since it started, and what is waiting now.

    ``setbacks`` counts how often it found the database away.
    """

    commits: int
    units_committed: int
    units_failed: int
    units_waiting: int
    queries_waiting: int
    setbacks: int


class _Pending(Generic[W]):
    """An acknowledged message waiting for its turn."""

    __slots__ = ("body", "reply", "since", "trace")

    def __init__(self, body: W, message: Message, since: float) -> None:
        self.body: W = body
        self.reply = message.reply
        self.trace = message.trace
        self.since = since

    def fail(self, error: Exception) -> None:
        if self.reply is not None:
            self.reply.fail(error)

    def answer(self, value: object) -> None:
        if self.reply is not None:
            self.reply.send_nowait(value)


class Storage:
    """The other actors' only way to the game's tables."""

    def __init__(
        self,
        subscription: Subscription,
        engine: Engine,
        tables: Mapping[str, Table],
        settings: StorageSettings,
        *,
        rng: random.Random,
        log: FilteringBoundLogger,
        meter: Meter = NO_METER,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self._subscription = subscription
        self._engine = engine
        self._tables = tables
        self._soundness = Soundness(tables)
        self._settings = settings
        self._rng = rng
        self._log = log
        self._meter = meter
        self._tracer = tracer
        self._writes: deque[_Pending[Write | Barrier]] = deque()
        self._queries: deque[_Pending[Query]] = deque()
        self._unit_came = trio.lowlevel.ParkingLot()
        self._query_came = trio.lowlevel.ParkingLot()
        self._draining = False
        self._has_begun = False
        self._commits = self._committed = self._failed = 0
        self._setbacks = 0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `Phase.STORAGE`, then finish what was acknowledged and return.

        Cancellation drops what waits (its callers learn so at once) but never a commit in
        progress: that one ends within the engine's own deadline.
        """
        self._draining = False
        # Left behind by an earlier run: its callers know that it had no outcome.
        self._writes.clear()
        self._queries.clear()
        try:
            with self._subscription.answering():
                await self._begin()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    for _ in range(self._settings.read_workers):
                        nursery.start_soon(self._read)
                    task_status.started()
                    await self._receive()
                    self._draining = True
                    self._unit_came.unpark_all()
                    self._query_came.unpark_all()
        finally:
            with trio.move_on_after(1.0, shield=True):
                await self._engine.aclose()

    async def _begin(self) -> None:
        """Connect before the first work; a restart connects when there is something to do.

        An absent database at a restart must not use up the restarts.
        """
        if self._has_begun:
            self._engine.forget()
        else:
            await self._engine.open()
            self._has_begun = True

    def statistics(self) -> StorageStatistics:
        """Count what has been done and what waits."""
        return StorageStatistics(
            commits=self._commits,
            units_committed=self._committed,
            units_failed=self._failed,
            units_waiting=len(self._writes),
            queries_waiting=len(self._queries),
            setbacks=self._setbacks,
        )

    # ------------------------------------------------------------------ taking work

    async def _receive(self) -> None:
        subscription = self._subscription
        async for first in subscription:
            # Take all that waits in one turn: a turn costs more than taking a message.
            if self._take_all([first, *subscription.receive_some_nowait(_TAKEN_MAX - 1)]):
                break
        # The shutdown overtook these: they were sent before it.
        while rest := subscription.receive_some_nowait(_TAKEN_MAX):
            self._take_all(rest)
        # From now on callers learn at once that nobody is here.
        subscription.close()

    def _take_all(self, messages: Sequence[Message]) -> bool:
        """Take messages; True if one of them says to take no more."""
        units = [each.body.operations for each in messages if isinstance(each.body, Write)]
        sound = self._soundness.are_sound(units)
        now = trio.current_time()
        ended = False
        for message in messages:
            match message.body:
                # The most frequent first.
                case Write() as write:
                    faults = () if sound else unit_faults(write.operations, self._tables)
                    self._take_write(write, message, faults, now)
                case Query() as query:
                    self._take_query(query, message, now)
                case Barrier() as barrier:
                    self._take_write(barrier, message, (), now)
                case Shutdown(phase=phase):
                    ended = ended or phase >= Phase.STORAGE
                case _:
                    self._log.error("message_not_understood", topic=message.topic.value)
                    self._subscription.drop(message)
        return ended

    def _take_write(
        self, write: Write | Barrier, message: Message, faults: tuple[Fault, ...], now: float
    ) -> None:
        ack = write.ack if isinstance(write, Write) else None
        if self._acknowledged(faults, ack, message.reply, len(self._writes)):
            self._writes.append(_Pending(write, message, now))
            if self._unit_came:
                self._unit_came.unpark()

    def _take_query(self, query: Query, message: Message, now: float) -> None:
        faults = query_faults(query.reads, self._tables)
        if message.reply is None:
            faults = (*faults, ("reply", "a read needs a reply channel to send its values"))
        if self._acknowledged(faults, query.ack, message.reply, len(self._queries)):
            self._queries.append(_Pending(query, message, now))
            if self._query_came:
                self._query_came.unpark()

    def _acknowledged(
        self,
        faults: tuple[Fault, ...],
        ack: Reply[Acknowledged] | None,
        reply: Reply[Any] | None,
        waiting: int,
    ) -> bool:
        """Send the instant reply; False if the message was refused."""
        error: Exception
        if faults:
            error = Refused(faults)
        elif waiting >= self._settings.queue_max:
            error = Overloaded("storage's queue is full")
        else:
            if ack is not None:
                ack.send_nowait(Acknowledged())
            return True
        for way in (ack, reply):
            if way is not None:
                way.fail(error)
        return False

    # ------------------------------------------------------------------ doing it

    async def _write(self) -> None:
        absence = Absence(self._rng, self._log)
        in_flight = 0
        while await self._some(self._writes, self._unit_came):
            await self._gather()
            most = max(len(self._writes), in_flight)
            if most > _UNDIVIDED_MAX:
                most = (most + 1) // 2
            batch = _first(self._writes, min(most, self._settings.batch_units_max))
            taken = len(batch)
            with self._tracer.work("commit", batch, units=taken):
                await self._commit(batch, absence)
            # Clients that were just answered are about to send their next units.
            in_flight = taken + len(self._writes)

    async def _gather(self) -> None:
        """Let units already sent arrive, until none has come for two turns."""
        until = trio.current_time() + self._settings.gather_seconds_max
        quiet = 0
        while len(self._writes) < self._settings.batch_units_max:
            known = len(self._writes)
            await trio.lowlevel.checkpoint()
            quiet = 0 if len(self._writes) > known else quiet + 1
            if quiet == _QUIET_TURNS or trio.current_time() >= until:
                break

    async def _commit(self, batch: deque[_Pending[Write | Barrier]], absence: Absence) -> None:
        """Commit a batch, retrying as often as necessary, and answer it.

        The engine is asked even if the batch has only barriers: it may first have to find out
        the outcome of a commit.
        """
        while batch:
            begun = trio.current_time()
            try:
                outcomes = await self._engine.commit(
                    [item.body.operations for item in batch if isinstance(item.body, Write)]
                )
            except EngineUnavailable as error:
                self._setbacks += 1
                await absence.wait(error)
                self._expire(self._writes)
                # What may have been committed is not abandoned: its outcome will be known.
                if not error.in_doubt:
                    self._expire(batch)
            else:
                absence.end()
                if outcomes:
                    self._commits += 1
                    self._meter.committed(len(outcomes), trio.current_time() - begun)
                self._settle(batch, outcomes)
                return

    def _settle(
        self, batch: Sequence[_Pending[Write | Barrier]], outcomes: Sequence[StorageError | None]
    ) -> None:
        left = iter(outcomes)
        for item in batch:
            outcome = None if isinstance(item.body, Barrier) else next(left)
            if outcome is None:
                item.answer(None)
            else:
                item.fail(outcome)
        committed = outcomes.count(None)
        self._committed += committed
        self._failed += len(outcomes) - committed

    async def _read(self) -> None:
        absence = Absence(self._rng, self._log)
        while await self._some(self._queries, self._query_came):
            batch = _first(self._queries, _BATCH_READS_MAX)
            while batch:
                await self._answer(batch, absence)

    async def _answer(self, batch: deque[_Pending[Query]], absence: Absence) -> None:
        """Answer a batch of queries, or pause, leaving in it what must be retried."""
        begun = trio.current_time()
        try:
            rows = await self._engine.read([read for item in batch for read in item.body.reads])
        except EngineUnavailable as error:
            self._setbacks += 1
            await absence.wait(error)
            self._expire(self._queries)
            self._expire(batch)
            return
        absence.end()
        self._meter.read(len(batch), trio.current_time() - begun)
        await _hand_out(batch, rows)

    async def _some(self, waiting: deque[_Pending[W]], came: trio.lowlevel.ParkingLot) -> bool:
        """Wait until something waits; False if nothing does and nothing will come."""
        while not waiting:
            if self._draining:
                return False
            await came.park()
        return True

    def _expire(self, waiting: deque[_Pending[W]]) -> None:
        """Fail what has waited too long for an absent database."""
        oldest = trio.current_time() - self._settings.wait_seconds_max
        while waiting and waiting[0].since <= oldest:
            waiting.popleft().fail(Overloaded("the database is away"))


def _first(waiting: deque[_Pending[W]], most: int) -> deque[_Pending[W]]:
    return deque([waiting.popleft() for _ in range(min(most, len(waiting)))])


async def _hand_out(batch: deque[_Pending[Query]], rows: Sequence[list[Row]]) -> None:
    """Give each query its answer, popping it, until none is left.

    All tasks that wake in one turn keep I/O waiting until the last is done.
    """
    position = 0
    turns = Turns(_ANSWERED_MAX)
    while batch:
        item = batch.popleft()
        end = position + len(item.body.reads)
        answer = rows[position:end]
        item.answer(answer)
        position = end
        await turns.worked(sum(map(len, answer)))
