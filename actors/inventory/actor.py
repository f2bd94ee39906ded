"""The Inventory actor: the one writer of an account's assets.

It takes what waits in its mailbox, applies it, commits it as one unit and then answers. While a
unit is on its way new messages gather, and form the next one: under load a commit carries many.
The state is replaced only after its unit is durable, so a failed unit leaves no trace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trio

from actors.inventory import records
from actors.inventory.courier import COURIER_KEY
from actors.inventory.desk import carry_out
from actors.inventory.desk_transfers import DAY_MS
from actors.inventory.engine import State, decode_state, new_state
from actors.inventory.errors import AccountGone, InventoryError
from actors.inventory.events import LedgerAdvanced, Recent, announce
from actors.inventory.messages import (
    Deliver,
    Forget,
    Grant,
    PlaceOrder,
    ReceiveTransfer,
    SendTransfer,
    TakeBackTransfer,
)
from actors.inventory.work import Context, Dispatch, LookUp, Work
from actors.storage import Conflict, Duplicate, Rejected, StorageClient, StorageError
from actors.tracing import NO_TRACER
from bus import ActorStopped, Bus, BusError, Message, Overloaded, ReplyTimeout, Topic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from structlog.typing import FilteringBoundLogger

    from actors.inventory.records import KeyRecord
    from actors.inventory.residents import Resident
    from actors.inventory.rulebook import Rulebook
    from actors.inventory.views import TransferRecord
    from actors.inventory.world import WorldTime
    from actors.tracing import Tracer
    from bus import Reply

_BATCH_MAX = 64
_KEYS_KEPT = 32
_TRIES = 3

# Every answer has its own type; the gateway of each message says which.
_Answer = tuple["Reply[Any] | None", object]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all inventories of a world share."""

    bus: Bus
    storage: StorageClient
    rulebook: Rulebook
    world: WorldTime
    log: FilteringBoundLogger
    tracer: Tracer = NO_TRACER


class Inventory:
    """Serves one account from its `Resident`'s subscription; see the module."""

    __slots__ = (
        "_frozen_ms",
        "_keys",
        "_recent",
        "_resident",
        "_sent_day",
        "_sent_today",
        "_shared",
        "_state",
        "_version",
    )

    def __init__(self, resident: Resident, shared: Surroundings) -> None:
        self._resident = resident
        self._shared = shared
        self._state: State | None = None
        self._version = 0
        self._frozen_ms: int | None = None
        self._recent: Recent | None = None
        self._keys: dict[str, KeyRecord] = {}
        self._sent_day = -1
        self._sent_today: dict[str, int] = {}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until the subscription is closed; begins and restarts from what is stored.

        Cancellation drops what is in hand: its askers get `ActorStopped`.
        """
        self._drop_state()
        subscription = self._resident.subscription
        with subscription.answering():
            task_status.started()
            async for first in subscription:
                self._resident.begin()
                try:
                    await self._work(self._with_waiting(first))
                finally:
                    self._resident.rest()

    def _with_waiting(self, first: Message) -> list[Message]:
        messages = [first]
        subscription = self._resident.subscription
        while len(messages) < _BATCH_MAX and not subscription.is_empty():
            messages.append(subscription.receive_nowait())
        return messages

    async def _work(self, messages: Sequence[Message]) -> None:
        with self._shared.tracer.work(
            "inventory", messages, account_id=self._resident.account_id, messages=len(messages)
        ):
            await self._serve(messages)

    async def _serve(self, messages: Sequence[Message]) -> None:
        if any(isinstance(message.body, Forget) for message in messages):
            self._drop_state()
        try:
            answers = await self._carry_out(messages)
        except (ActorStopped, ReplyTimeout) as error:
            # The unit's outcome is unknown; what is stored will tell.
            self._drop_state()
            _fail_all(messages, error)
        except (Overloaded, InventoryError) as error:
            # Nothing was done: the database is away, or there is no inventory to do it in.
            _fail_all(messages, error)
        else:
            await self._answer(answers)

    # ------------------------------------------------------------- applying, committing

    async def _carry_out(self, messages: Sequence[Message]) -> list[_Answer]:
        """Apply and commit; return the answers once they are true.

        Raises:
            Overloaded: nothing was done.
            ActorStopped, ReplyTimeout: Storage failed with the unit in hand.
            AccountGone: the account was erased.
            RulesetMismatch: the account owns what the rules have no place for.
            Conflict: the record keeps changing under this actor, which must not happen.
        """
        settled_transfers: dict[str, TransferRecord] = {}
        self._forget_old_keys()
        for attempt in range(1, _TRIES + 1):
            state = self._state or await self._load()
            await self._recall_sent(messages)
            work, answers = self._apply_all(state, messages, settled_transfers)
            refused = _refused_keys(messages, answers) - self._keys.keys()
            # What is refused now may have been done long ago: then that is the answer.
            if refused and await self._look_keys_up(refused):
                work, answers = self._apply_all(state, messages, settled_transfers)
            if not work.changed:
                return answers
            try:
                await self._shared.storage.commit(*work.operations())
            except Duplicate as duplicate:
                # A key of long ago: its first answer has to be looked up.
                await self._look_keys_up(work.new_keys)
                unresolved: Exception = duplicate
            except Conflict as conflict:
                self._drop_state()
                settled_transfers = await self._look_transfers_up(messages)
                self._shared.log.warning(
                    "inventory_changed_elsewhere", account=state.account_id, table=conflict.table
                )
                unresolved = conflict
            else:
                self._keep(work)
                await self._announce(work.state, work)
                return answers
            if attempt == _TRIES:
                raise unresolved
        raise AssertionError  # pragma: no cover - the last try returns or raises

    def _apply_all(
        self,
        state: State,
        messages: Sequence[Message],
        settled_transfers: Mapping[str, TransferRecord],
    ) -> tuple[Work, list[_Answer]]:
        shared = self._shared
        context = Context(
            shared.rulebook.current,
            shared.world,
            self._keys,
            settled_transfers,
            self._sent_today,
            shared.rulebook.goods,
            self._recent,
        )
        work = Work(state, self._version, self._frozen_ms, context)
        return work, [_apply(work, message) for message in messages]

    def _keep(self, work: Work) -> None:
        """Take over what is durable now."""
        self._state = work.state
        self._frozen_ms = work.frozen_ms
        self._version = work.version
        self._keys.update(work.new_keys)
        for name, units in work.sent.items():
            self._sent_today[name] = self._sent_today.get(name, 0) + units

    async def _announce(self, state: State, work: Work | None = None) -> None:
        """Wake whoever follows this account: something has become durable."""
        advanced = LedgerAdvanced(state.account_id, state.seq, self._version)
        followed = await announce(self._shared.bus, advanced)
        recent, self._recent = self._recent or Recent(), None
        if followed and work is not None:
            self._recent = recent.and_then(work.entries, work.orders)

    # ------------------------------------------------------------- reading what is stored

    async def _load(self) -> State:
        account_id = self._resident.account_id
        storage, rulebook = self._shared.storage, self._shared.rulebook
        rows, orders = await storage.read(*records.reads_of(account_id))
        if not rows:
            await self._begin(account_id)
            rows, orders = await storage.read(*records.reads_of(account_id))
            if not rows:
                raise AccountGone
        [row] = rows
        ruleset = await rulebook.ruleset(row["ruleset"], storage)
        pending = [records.order_from_row(order) for order in orders]
        state = decode_state(row["state"], ruleset, pending)
        self._version = row["version"]
        self._frozen_ms = row["frozen_ms"]
        if ruleset.version != rulebook.current.version:
            state = await self._bring_up_to_date(state)
        self._state = state
        return state

    async def _bring_up_to_date(self, state: State) -> State:
        """Hand an account over to the rules that have come into force since."""
        storage, rulebook = self._shared.storage, self._shared.rulebook
        frozen_ms = self._frozen_ms
        state, events = await rulebook.up_to_date(state, storage, frozen=frozen_ms is not None)
        await storage.commit(
            records.changed_inventory(state, rulebook.current, self._version, frozen_ms),
            *records.event_operations(state.account_id, events, frozenset(), renamed=True),
        )
        self._version += 1
        await self._announce(state)
        return state

    async def _begin(self, account_id: str) -> None:
        """Store the first state of an account that has none yet."""
        ruleset = self._shared.rulebook.current
        state, events = new_state(account_id, ruleset, self._shared.world.now_ms)
        try:
            await self._shared.storage.commit(
                records.new_inventory(state, ruleset),
                *records.event_operations(account_id, events, frozenset()),
            )
        except Rejected:
            # Its row refers to the account's: there is none.
            raise AccountGone from None
        except Duplicate:
            self._shared.log.warning("inventory_begun_elsewhere", account=account_id)

    async def _look_keys_up(self, keys: Iterable[str]) -> bool:
        """Read what idempotency keys stand for; whether any of them was used before."""
        read = records.key_read(self._resident.account_id, keys)
        [rows] = await self._shared.storage.read(read)
        self._keys.update(map(records.key_from_row, rows))
        return bool(rows)

    async def _look_transfers_up(self, messages: Sequence[Message]) -> dict[str, TransferRecord]:
        """Find out which transfers in hand are settled already."""
        ids = [
            message.body.transfer.id
            for message in messages
            if isinstance(message.body, ReceiveTransfer | TakeBackTransfer)
        ]
        if not ids:
            return {}
        [rows] = await self._shared.storage.read(records.transfers_read(ids))
        found = map(records.transfer_from_row, rows)
        return {transfer.id: transfer for transfer in found if transfer.state != "sent"}

    async def _recall_sent(self, messages: Sequence[Message]) -> None:
        """Know what was sent today before more is sent, where the rules limit it."""
        if self._shared.rulebook.current.transfers.per_day_max is None:
            return
        day = self._shared.world.now_ms // DAY_MS
        if day == self._sent_day or not any(
            isinstance(message.body, SendTransfer) for message in messages
        ):
            return
        read = records.sent_since_read(self._resident.account_id, day * DAY_MS - 1)
        [rows] = await self._shared.storage.read(read)
        self._sent_day = day
        self._sent_today = {}
        for transfer in map(records.transfer_from_row, rows):
            if transfer.state in {"sent", "delivered"}:
                for name, units in self._shared.rulebook.goods(transfer).items():
                    self._sent_today[name] = self._sent_today.get(name, 0) + units

    def _forget_old_keys(self) -> None:
        # Never while a batch is in hand: it may stand on any of them.
        for key in list(self._keys)[: max(0, len(self._keys) - _KEYS_KEPT)]:
            del self._keys[key]

    def _drop_state(self) -> None:
        self._state = None
        self._recent = None
        self._keys.clear()
        self._sent_day = -1

    # ------------------------------------------------------------- answering

    async def _answer(self, answers: Sequence[_Answer]) -> None:
        """Send the answers; look up first what has to be looked up."""
        wanted: list[tuple[Reply[Any], LookUp]] = []
        for reply, answer in answers:
            if isinstance(answer, Dispatch):
                self._dispatch(answer, reply)
            elif reply is None:
                continue
            elif isinstance(answer, LookUp):
                wanted.append((reply, answer))
            else:
                _send(reply, answer)
        if wanted:
            await self._answer_from_storage(wanted)

    async def _answer_from_storage(self, wanted: Sequence[tuple[Reply[Any], LookUp]]) -> None:
        reads = [read for _, look_up in wanted for read in look_up.reads]
        try:
            rows = await self._shared.storage.read(*reads)
        except (BusError, StorageError) as error:
            for reply, _ in wanted:
                reply.fail(error)
            return
        position = 0
        further: list[tuple[Reply[Any], LookUp]] = []
        for reply, look_up in wanted:
            end = position + len(look_up.reads)
            answer = look_up.finish(rows[position:end])
            if isinstance(answer, LookUp):
                further.append((reply, answer))
            else:
                _send(reply, answer)
            position = end
        if further:
            await self._answer_from_storage(further)

    def _dispatch(self, dispatch: Dispatch, reply: Reply[Any] | None) -> None:
        """Hand a transfer to the courier, and the answer with it."""
        body = Deliver(dispatch.transfer, dispatch.replayed)
        try:
            reached = self._shared.bus.send_nowait(Message(Topic.TASK, body, COURIER_KEY, reply))
        except Overloaded as error:
            # It is on record as being on its way: the courier finds it there later.
            if reply is not None:
                reply.fail(error)
        else:
            if not reached and reply is not None:
                reply.close()


def _apply(work: Work, message: Message) -> _Answer:
    try:
        # The manager lets nothing but inventory messages through to a resident.
        return message.reply, carry_out(work, message.body)  # type: ignore[arg-type]
    except InventoryError as refusal:
        return message.reply, refusal


def _refused_keys(messages: Sequence[Message], answers: Sequence[_Answer]) -> set[str]:
    """Give the idempotency keys of the commands that were refused."""
    return {
        message.body.idempotency_key
        for message, (_, answer) in zip(messages, answers, strict=True)
        if isinstance(answer, InventoryError)
        and isinstance(message.body, PlaceOrder | SendTransfer | Grant)
    }


def _send(reply: Reply[Any], answer: object) -> None:
    if isinstance(answer, InventoryError):
        reply.fail(answer)
    else:
        reply.send_nowait(answer)


def _fail_all(messages: Sequence[Message], error: Exception) -> None:
    for message in messages:
        if message.reply is not None:
            message.reply.fail(error)
