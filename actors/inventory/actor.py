"""The Inventory actor: the only writer of an account's assets.

It takes the messages waiting in its mailbox, applies them, commits them as one unit and then
answers. While a unit is in flight, new messages gather and form the next one: under load a commit
carries many. The state is replaced only once its unit is durable: a failed unit leaves no trace.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import trio

from actors.inventory import records
from actors.inventory.answers import Answer, fail_all, give, look_up
from actors.inventory.engine import State, decode_state, new_state
from actors.inventory.errors import AccountGone, InventoryError
from actors.inventory.events import Recent, announce
from actors.inventory.handlers import carry_out, look
from actors.inventory.handlers_transfers import DAY_MS
from actors.inventory.messages import (
    Forget,
    GetForecast,
    Grant,
    ListOrders,
    PlaceOrder,
    ReceiveTransfer,
    SendTransfer,
    TakeBackTransfer,
)
from actors.inventory.work import Context, Work
from actors.storage import Conflict, Duplicate, Orphaned, StorageClient
from actors.tracing import NO_TRACER
from actors.turns import Turns
from bus import ActorStopped, Bus, Message, Overloaded, ReplyTimeout

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from structlog.typing import FilteringBoundLogger

    from actors.inventory.loading import Loader
    from actors.inventory.residents import Resident
    from actors.inventory.rulebook import Rulebook
    from actors.inventory.views import InventoryView
    from actors.inventory.world import WorldTime
    from actors.storage import Operation
    from actors.tracing import Tracer

_BATCH_MAX = 64
_LOOKS: Final = frozenset({GetForecast, ListOrders})
_LOOKED_MAX = 64
"""Pending orders that are replayed or shown in one go: about a millisecond of work."""
_KEYS_KEPT = 32
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The dependencies that all inventories of a world share.

    ``looks`` counts the pending orders that any of them replays or shows.
    """

    bus: Bus
    storage: StorageClient
    loader: Loader
    rulebook: Rulebook
    world: WorldTime
    log: FilteringBoundLogger
    tracer: Tracer = NO_TRACER
    looks: Turns = field(default_factory=lambda: Turns(_LOOKED_MAX))


class Inventory:
    """Serves one account from its `Resident`'s subscription; see the module."""

    __slots__ = (
        "_context",
        "_frozen_ms",
        "_resident",
        "_sent_day",
        "_sent_is_limited",
        "_shared",
        "_state",
        "_version",
    )

    def __init__(self, resident: Resident, shared: Dependencies) -> None:
        self._resident = resident
        self._shared = shared
        self._state: State | None = None
        self._version = 0
        self._frozen_ms: int | None = None
        rulebook = shared.rulebook
        self._context = Context(rulebook.current, shared.world, rulebook.goods)
        self._sent_is_limited = rulebook.current.transfers.per_day_max is not None
        self._sent_day = -1

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until the subscription is closed; starts and restarts from the stored state.

        Cancellation drops the messages in progress: their callers get `ActorStopped`.
        """
        self._drop_state()
        resident = self._resident
        try:
            with resident.subscription.answering():
                resident.peek = self._peek
                task_status.started()
                async for first in resident.subscription:
                    resident.begin()
                    try:
                        await self._work(
                            [first, *resident.subscription.receive_some_nowait(_BATCH_MAX - 1)]
                        )
                    finally:
                        resident.rest()
                    # Accounts are many: do not keep the last message to each idle one alive.
                    del first
        finally:
            resident.peek = None

    def _peek(self) -> InventoryView | None:
        """Show the inventory if the state in memory suffices to answer; otherwise None."""
        if self._state is None:
            return None
        return look(self._state, self._context, version=self._version, frozen_ms=self._frozen_ms)

    async def _work(self, messages: Sequence[Message]) -> None:
        with self._shared.tracer.work(
            "inventory", messages, account_id=self._resident.account_id, messages=len(messages)
        ):
            for message in messages:
                if isinstance(message.body, Forget):
                    messages = self._forget(messages)
                    break
            if not messages:
                return
            try:
                answers = await self._carry_out(messages)
            except (ActorStopped, ReplyTimeout) as error:
                # The unit's outcome is unknown; reload what is stored.
                self._drop_state()
                fail_all(messages, error)
            except (Overloaded, InventoryError) as error:
                # Nothing was done: the database is away, or the account has no inventory.
                fail_all(messages, error)
            else:
                wanted = give(answers, self._shared.bus)
                if wanted:
                    await look_up(wanted, self._shared.storage)

    def _forget(self, messages: Sequence[Message]) -> list[Message]:
        """Drop the cached state if a message asks for it; do not reload it for that alone."""
        self._drop_state()
        self._context.known_keys.clear()
        left: list[Message] = []
        for message in messages:
            if not isinstance(message.body, Forget):
                left.append(message)
            elif message.reply is not None:
                message.reply.send_nowait(None)
        return left

    # ------------------------------------------------------------- applying, committing

    async def _carry_out(self, messages: Sequence[Message]) -> list[Answer]:
        """Apply and commit; return the answers once they are durable.

        Raises:
            Overloaded: nothing was done.
            ActorStopped, ReplyTimeout: Storage failed while it had the unit.
            AccountGone: the account was erased.
            RulesetMismatch: the account owns something that the rules have no place for.
            Conflict: the record keeps changing under this actor, which must not happen.
        """
        self._forget_old()
        for attempt in range(1, _TRIES + 1):
            state = self._state or await self._load()
            if self._sent_is_limited:
                await self._recall_sent(messages)
            work, answers = await self._apply_all(state, messages)
            # A request refused now may have succeeded long ago: then that is its answer.
            if work.refused_keys and await self._look_refused_up(work.refused_keys):
                work, answers = await self._apply_all(state, messages)
            if not work.changed:
                if attempt > 1:
                    # Done meanwhile, perhaps by a unit that was given up as unknown.
                    await self._announce(state)
                return answers
            try:
                await self._commit(work.operations())
            except (ActorStopped, ReplyTimeout):
                # Followers then ask, and learn the outcome.
                await self._announce(work.state)
                raise
            except (Conflict, Duplicate) as error:
                # One of them has taken effect before, or the record was changed elsewhere.
                if isinstance(error, Conflict):
                    self._drop_state()
                    self._changed_elsewhere(error)
                if attempt == _TRIES:
                    raise
                await self._look_keys_up(work.new_keys)
                await self._look_transfers_up(messages)
            else:
                self._keep(work)
                await self._announce(work.state, work)
                return answers
        raise AssertionError  # pragma: no cover - the last try returns or raises

    async def _commit(self, operations: Sequence[Operation]) -> None:
        """Commit a unit; while its outcome is unknown, nobody may proceed until it is settled.

        Raises: as `StorageClient.commit`.
        """
        try:
            await self._shared.storage.commit(*operations)
        except (ActorStopped, ReplyTimeout):
            self._shared.loader.doubt(self._resident.account_id)
            raise

    def _changed_elsewhere(self, error: Conflict | Duplicate) -> None:
        account = self._resident.account_id
        self._shared.log.warning(
            "inventory_changed_elsewhere", account_id=account, table=error.table
        )

    async def _apply_all(
        self, state: State, messages: Sequence[Message]
    ) -> tuple[Work, list[Answer]]:
        work = Work(state, self._version, self._frozen_ms, self._context)
        answers: list[Answer] = []
        for message in messages:
            answers.append(_apply(work, message))
            if type(message.body) in _LOOKS:
                # This work is private to the task: a pause changes nothing.
                await self._shared.looks.worked(len(work.state.orders))
        return work, answers

    def _keep(self, work: Work) -> None:
        """Adopt the state that is now durable."""
        self._state = work.state
        self._frozen_ms = work.frozen_ms
        self._version = work.version
        self._context.known_keys.update(work.new_keys)
        if work.sent:
            _add(self._context.sent_today, work.sent)

    async def _announce(self, state: State, work: Work | None = None) -> None:
        """Wake this account's followers: something has become durable."""
        bus, account_id = self._shared.bus, state.account_id
        followed = await announce(bus, account_id, state.seq, self._version)
        context = self._context
        if followed and work is not None:
            recent = context.recent or Recent()
            context.recent = recent.and_then(work.entries, work.orders)
        else:
            context.recent = None

    # ------------------------------------------------------------- reading what is stored

    async def _load(self) -> State:
        """Read the stored state and bring it up to date; reread it if it changes meanwhile.

        Raises: as `_carry_out`.
        """
        state = await self._read()
        for attempt in range(1, _TRIES + 1):
            if self._shared.rulebook.is_current(state.ruleset, state.at_ms):
                break
            try:
                state = await self._bring_up_to_date(state)
            except (Conflict, Duplicate) as error:
                # A unit given up as unknown has taken effect, or the account is gone.
                self._changed_elsewhere(error)
                if attempt == _TRIES:
                    raise
                state = await self._read()
        self._state = state
        return state

    async def _read(self) -> State:
        """Read the stored state; begin the account if it has none yet."""
        account_id = self._resident.account_id
        storage, rulebook = self._shared.storage, self._shared.rulebook
        row, orders = await self._shared.loader.load(account_id)
        if row is None:
            await self._begin(account_id)
            row, orders = await self._shared.loader.load(account_id)
            if row is None:
                raise AccountGone
        ruleset = await rulebook.ruleset(row["ruleset"], storage)
        pending = [records.order_from_row(order) for order in orders]
        state = decode_state(row["state"], ruleset, pending)
        self._version = row["version"]
        self._frozen_ms = row["frozen_ms"]
        return state

    async def _bring_up_to_date(self, state: State) -> State:
        """Hand an account over to the rules that have since come into force."""
        storage, rulebook = self._shared.storage, self._shared.rulebook
        frozen_ms = self._frozen_ms
        state, events = await rulebook.up_to_date(state, storage, frozen=frozen_ms is not None)
        changed = records.changed_inventory(state, rulebook.current, self._version, frozen_ms)
        more = records.event_operations(state.account_id, events, renamed=True)
        await self._commit([changed, *more])
        self._version += 1
        await self._announce(state)
        return state

    async def _begin(self, account_id: str) -> None:
        """Store the first state of an account that has none."""
        ruleset = self._shared.rulebook.current
        state, events = new_state(account_id, ruleset, self._shared.world.now_ms)
        try:
            new = records.new_inventory(state, ruleset)
            await self._commit([new, *records.event_operations(account_id, events)])
        except Orphaned:
            # The inventory's row refers to the account's, which does not exist.
            raise AccountGone from None
        except Duplicate:
            self._shared.log.warning("inventory_begun_elsewhere", account_id=account_id)

    async def _look_keys_up(self, keys: Collection[str]) -> bool:
        """Look up idempotency keys; return whether any was used before."""
        if not keys:
            return False
        read = records.key_read(self._resident.account_id, keys)
        [rows] = await self._shared.storage.read(read)
        self._context.known_keys.update(map(records.key_from_row, rows))
        return bool(rows)

    async def _look_refused_up(self, keys: Collection[str]) -> bool:
        unknown = [key for key in keys if key not in self._context.known_keys]
        return await self._look_keys_up(unknown)

    async def _look_transfers_up(self, messages: Sequence[Message]) -> None:
        """Find out which transfers in this batch are already settled."""
        ids = [
            message.body.transfer.id
            for message in messages
            if isinstance(message.body, ReceiveTransfer | TakeBackTransfer)
        ]
        if not ids:
            return
        [rows] = await self._shared.storage.read(records.transfers_read(ids))
        found = map(records.transfer_from_row, rows)
        self._context.settled_transfers.update(
            (transfer.id, transfer) for transfer in found if transfer.state != "sent"
        )

    async def _recall_sent(self, messages: Sequence[Message]) -> None:
        """Load what was sent today before more is sent."""
        day = self._shared.world.now_ms // DAY_MS
        if day == self._sent_day or not any(
            isinstance(message.body, SendTransfer) for message in messages
        ):
            return
        read = records.sent_since_read(self._resident.account_id, day * DAY_MS - 1)
        [rows] = await self._shared.storage.read(read)
        self._sent_day = day
        context = self._context
        context.sent_today.clear()
        for transfer in map(records.transfer_from_row, rows):
            if transfer.state in {"sent", "delivered"}:
                _add(context.sent_today, context.goods(transfer))

    def _forget_old(self) -> None:
        # Never while a batch is in progress: it may depend on any of them.
        keys = self._context.known_keys
        while len(keys) > _KEYS_KEPT:
            del keys[next(iter(keys))]
        self._context.settled_transfers.clear()

    def _drop_state(self) -> None:
        self._state = None
        self._context.recent = None
        self._sent_day = -1


def _apply(work: Work, message: Message) -> Answer:
    body = message.body
    try:
        # The manager admits only inventory messages, and `_work` has taken each `Forget`.
        return message.reply, carry_out(work, body)  # type: ignore[arg-type]
    except InventoryError as refusal:
        if isinstance(body, PlaceOrder | SendTransfer | Grant):
            work.refused_keys.add(body.idempotency_key)
        # Its traceback would hold the frames above, one of which holds it among the answers: a
        # reference cycle for each refusal, alive until the garbage collector runs.
        return message.reply, refusal.with_traceback(None)


def _add(sums: dict[str, int], more: Mapping[str, int]) -> None:
    for name, units in more.items():
        sums[name] = sums.get(name, 0) + units
