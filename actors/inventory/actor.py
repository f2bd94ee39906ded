"""The Inventory actor: the one writer of an account's assets.

It takes what waits in its mailbox, applies it, commits it as one unit and then answers. While a
unit is on its way new commands gather, and form the next one: under load a commit carries many.
The state is replaced only after its unit is durable, so a failed unit leaves no trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.inventory import records
from actors.inventory.batch import Batch, LookUp
from actors.inventory.engine import State, decode_state, new_state
from actors.inventory.errors import AccountGone, InventoryError, OrderNotPending, UnknownOrder
from actors.inventory.messages import CancelOrder, Forget, GetLedger, GetOrder
from actors.inventory.records import KeyRecord
from actors.inventory.views import LedgerPage
from actors.storage import Conflict, Duplicate, Read, Rejected, Row, StorageClient, StorageError
from bus import ActorStopped, BusError, Overloaded, ReplyTimeout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from structlog.typing import FilteringBoundLogger

    from actors.inventory.residents import Resident
    from actors.inventory.ruleset import Ruleset
    from actors.inventory.world import WorldTime
    from bus import Message, Reply

_BATCH_MAX = 64
_KEYS_KEPT = 32
_TRIES = 3

# Asked and answered, but not yet sent back: nothing leaves before the unit is durable.
_Answer = tuple["Reply[object] | None", object]


class Inventory:
    """Serves one account from its `Resident`'s subscription; see the module."""

    __slots__ = ("_keys", "_log", "_resident", "_ruleset", "_state", "_storage", "_version", "_world")

    def __init__(
        self,
        resident: Resident,
        ruleset: Ruleset,
        world: WorldTime,
        storage: StorageClient,
        *,
        log: FilteringBoundLogger,
    ) -> None:
        self._resident = resident
        self._ruleset = ruleset
        self._world = world
        self._storage = storage
        self._log = log
        self._state: State | None = None
        self._version = 0
        self._keys: dict[str, KeyRecord] = {}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until the subscription is closed; begins and restarts from what is stored.

        Cancellation drops what is in hand: its askers get `ActorStopped`.
        """
        self._drop_state()
        subscription = self._resident.subscription
        with subscription.answering():
            task_status.started()
            async for first in subscription:
                with self._resident.busy():
                    await self._serve(self._with_waiting(first))

    def _with_waiting(self, first: Message) -> list[Message]:
        messages = [first]
        while len(messages) < _BATCH_MAX:
            try:
                messages.append(self._resident.subscription.receive_nowait())
            except (trio.WouldBlock, trio.ClosedResourceError, trio.EndOfChannel):
                break
        return messages

    async def _serve(self, messages: Sequence[Message]) -> None:
        if any(isinstance(message.body, Forget) for message in messages):
            self._drop_state()
        try:
            answers = await self._carry_out(messages)
        except (ActorStopped, ReplyTimeout) as error:
            # The unit's outcome is unknown; what is stored will tell.
            self._drop_state()
            _fail_all(messages, error)
        except (Overloaded, AccountGone) as error:
            _fail_all(messages, error)
        else:
            await self._answer(answers)

    async def _carry_out(self, messages: Sequence[Message]) -> list[_Answer]:
        """Apply and commit; return the answers once they are true.

        Raises:
            Overloaded: nothing was done.
            ActorStopped, ReplyTimeout: Storage failed with the unit in hand.
            AccountGone: the account was erased.
            Conflict: the record keeps changing under this actor, which must not happen.
        """
        for attempt in range(1, _TRIES + 1):
            state = self._state or await self._load()
            batch = Batch(state, self._version, self._ruleset, self._world, self._keys)
            answers = [_apply(batch, message) for message in messages]
            if not batch.changed:
                return answers
            try:
                await self._storage.commit(*batch.operations())
            except Duplicate:
                await self._look_keys_up(batch.new_keys)
            except Conflict as conflict:
                self._log.warning("inventory_changed_elsewhere", account=state.account_id)
                self._drop_state()
                if attempt == _TRIES:
                    raise conflict from None
            else:
                self._state = batch.state
                self._version += 1
                self._remember(batch.new_keys)
                return answers
        msg = "an idempotency key is there and is not found"
        raise StorageError(msg)

    async def _load(self) -> State:
        account_id = self._resident.account_id
        rows, orders = await self._storage.read(*records.reads_of(account_id))
        if not rows:
            await self._begin(account_id)
            rows, orders = await self._storage.read(*records.reads_of(account_id))
            if not rows:
                raise AccountGone
        [row] = rows
        self._state = decode_state(
            row["state"], self._ruleset, [records.order_from_row(order) for order in orders]
        )
        self._version = row["version"]
        return self._state

    async def _begin(self, account_id: str) -> None:
        """Store the first state of an account that has none yet."""
        state, events = new_state(account_id, self._ruleset, self._world.now_ms)
        try:
            await self._storage.commit(
                records.new_inventory(state, self._ruleset),
                *records.event_operations(account_id, events, frozenset()),
            )
        except Rejected:
            # Its row refers to the account's: there is none.
            raise AccountGone from None
        except Duplicate:
            self._log.warning("inventory_begun_elsewhere", account=account_id)

    async def _look_keys_up(self, keys: Mapping[str, KeyRecord]) -> None:
        [rows] = await self._storage.read(records.key_read(self._resident.account_id, keys))
        self._remember(dict(records.key_from_row(row) for row in rows))

    def _remember(self, keys: Mapping[str, KeyRecord]) -> None:
        self._keys.update(keys)
        for key in list(self._keys)[: max(0, len(self._keys) - _KEYS_KEPT)]:
            del self._keys[key]

    def _drop_state(self) -> None:
        self._state = None
        self._keys.clear()

    async def _answer(self, answers: Sequence[_Answer]) -> None:
        """Send the answers, looking up first what has to be looked up."""
        wanted = [(reply, answer) for reply, answer in answers if isinstance(answer, LookUp)]
        for reply, answer in answers:
            if reply is not None and not isinstance(answer, LookUp):
                _send(reply, answer)
        if not wanted:
            return
        reads = [_look_up_read(look_up) for _, look_up in wanted]
        try:
            found = await self._storage.read(*reads)
        except BusError as error:
            for reply, _ in wanted:
                if reply is not None:
                    reply.fail(error)
            return
        for (reply, look_up), rows in zip(wanted, found, strict=True):
            if reply is not None:
                _send(reply, _found(look_up, rows))


def _apply(batch: Batch, message: Message) -> _Answer:
    try:
        # The manager lets nothing but inventory messages through to a resident.
        return message.reply, batch.apply(message.body)  # type: ignore[arg-type]
    except InventoryError as refusal:
        return message.reply, refusal


def _send(reply: Reply[object], answer: object) -> None:
    if isinstance(answer, InventoryError):
        reply.fail(answer)
    else:
        reply.send_nowait(answer)


def _fail_all(messages: Sequence[Message], error: Exception) -> None:
    for message in messages:
        if message.reply is not None:
            message.reply.fail(error)


def _look_up_read(look_up: LookUp) -> Read:
    match look_up.body:
        case GetLedger(account_id=account_id, after=after, limit=limit):
            return records.ledger_read(account_id, after, limit)
        case GetOrder(account_id=account_id, order_id=order_id):
            return records.order_read(account_id, order_id)
        case CancelOrder(account_id=account_id, order_id=order_id):
            return records.order_read(account_id, order_id)


def _found(look_up: LookUp, rows: Sequence[Row]) -> object:
    match look_up.body:
        case GetLedger(limit=limit):
            entries = tuple(records.entry_from_row(row) for row in rows[:limit])
            return LedgerPage(entries, entries[-1].seq if len(rows) > limit else None)
        case GetOrder(order_id=order_id):
            return records.order_view_from_row(rows[0]) if rows else UnknownOrder(order_id)
        case CancelOrder(order_id=order_id):
            if rows:
                return OrderNotPending(order_id, rows[0]["state"])
            return UnknownOrder(order_id)
