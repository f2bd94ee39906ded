"""Settles passive accounts in the database, without activating them.

Accounts that come due together belong mostly to absent players. An Inventory for each would be
created for one step, would stay until idle, and could push out those in play. While accounts are
held here the loader gives them to nobody: each account has one writer at any time.

Anything out of the ordinary is left to the account's own Inventory, which fails on its own.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from actors.inventory.engine import decode_state
from actors.inventory.events import announce
from actors.inventory.loading import parted
from actors.inventory.records import order_from_row
from actors.inventory.work import Context, Work
from actors.storage import StorageError
from bus import BusError, Overloaded, ReplyTimeout

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from structlog.typing import FilteringBoundLogger

    from actors.inventory.loading import Loader, Stored
    from actors.inventory.residents import Residents
    from actors.inventory.rulebook import Rulebook
    from actors.inventory.world import WorldTime
    from actors.storage import Acknowledged, Operation, StorageClient
    from bus import Bus, PendingReply

_UNIT: Final = 16
"""How many accounts are settled in one go and stored as one unit: about a millisecond of work if
each has an order or two; then I/O may run."""
_UNIT_ORDERS: Final = 64
"""A unit ends with the account that brings it to this many pending orders."""


class Outcome(NamedTuple):
    """How many accounts are durably settled, and which are left to their own Inventories.

    The rest could not be stored now, or their outcome is unknown: at the next look they are still
    due, or not.
    """

    settled: int
    left: Sequence[str]


class _Step(NamedTuple):
    """One settled account, and the operations that make it durable."""

    work: Work
    operations: Sequence[Operation]


class _Unit(NamedTuple):
    """What was handed to Storage as one unit."""

    works: Sequence[Work]
    pending: PendingReply[None]


class PassiveAccounts:
    """Settles what is due for accounts that are not live.

    ``reply_seconds_max`` bounds the wait for the units handed to Storage.
    """

    def __init__(
        self,
        bus: Bus,
        storage: StorageClient,
        loader: Loader,
        *,
        residents: Residents,
        rulebook: Rulebook,
        world: WorldTime,
        reply_seconds_max: float,
        log: FilteringBoundLogger,
    ) -> None:
        self._bus = bus
        self._storage = storage
        self._loader = loader
        self._residents = residents
        self._rulebook = rulebook
        self._reply_s = reply_seconds_max
        self._log = log
        self._context = Context(rulebook.current, world, rulebook.goods)

    @property
    def batch(self) -> int:
        """How many accounts `settle` should be given at a time, as far as is known now."""
        return self._loader.batch

    async def settle(self, account_ids: Sequence[str]) -> Outcome:
        """Settle those that are passive; live ones, and anything out of the ordinary, are left.

        A failure common to all of them is logged and leaves them as they are. Cancellation does
        not recall what was handed to Storage: it becomes stored, or stays due.
        """
        left = [id_ for id_ in account_ids if self._residents.get(id_) is not None]
        live = set(left)
        passive = [id_ for id_ in account_ids if id_ not in live]
        if not passive:
            await trio.lowlevel.checkpoint()
            return Outcome(0, left)
        with self._loader.holding(passive):
            try:
                stored = await self._loader.read(tuple(passive))
            except (BusError, StorageError) as error:
                self._log.warning("due_unreadable", error=str(error))
                return Outcome(0, left)
            units = await self._hand_over(stored, left)
            settled = await self._wait_durable(units, left)
        return Outcome(settled, left)

    async def _hand_over(self, stored: dict[str, Stored], left: list[str]) -> deque[_Unit]:
        """Settle unit by unit, handing each to Storage, as many as it has room for.

        Settled accounts are taken out of ``stored``, so that they are not all freed at once.
        """
        units: deque[_Unit] = deque()
        for account_ids in parted(stored, accounts_max=_UNIT, orders_max=_UNIT_ORDERS):
            steps: list[_Step] = []
            for account_id in account_ids:
                step = self._settled(stored.pop(account_id))
                if step is None:
                    left.append(account_id)
                else:
                    steps.append(step)
            if steps:
                try:
                    units.append(self._submit(steps))
                except Overloaded as error:
                    self._not_settled(len(steps) + len(stored), error)
                    break
            await trio.lowlevel.checkpoint()
        return units

    def _settled(self, stored: Stored) -> _Step | None:
        """Settle one account; None if its Inventory has to do it."""
        row, orders = stored
        if row is None or not self._rulebook.is_current(row["ruleset"], row["at_ms"]):
            return None
        try:
            pending = [order_from_row(order) for order in orders]
            state = decode_state(row["state"], self._context.ruleset, pending)
            work = Work(state, row["version"], row["frozen_ms"], self._context)
            work.settle_if_due()
            return _Step(work, tuple(work.operations())) if work.changed else None
        except Exception:  # noqa: BLE001 - its Inventory fails the same way, under supervision
            return None

    def _submit(self, steps: Sequence[_Step]) -> _Unit:
        operations: Iterator[Operation] = (each for step in steps for each in step.operations)
        replies: tuple[PendingReply[Acknowledged], PendingReply[None]]
        replies = self._storage.submit(*operations)
        return _Unit([step.work for step in steps], replies[1])

    async def _wait_durable(self, units: deque[_Unit], left: list[str]) -> int:
        """Wait for the outcome of each unit, popping it; return how many accounts are settled."""
        settled = 0
        deadline = trio.current_time() + self._reply_s
        while units:
            works, pending = units.popleft()
            try:
                await pending.wait(max(0.0, deadline - trio.current_time()))
                settled += len(works)
            except StorageError:
                left.extend(work.account_id for work in works)
            except ReplyTimeout:
                # The error itself would only mention the remainder of the shared wait.
                silence = ReplyTimeout(f"no answer within {self._reply_s:g} s")
                self._not_settled(len(works), silence)
            except BusError as error:
                self._not_settled(len(works), error)
            # Even if durability is unknown: followers then ask, and find out.
            for work in works:
                await self._announce(work)
        return settled

    def _not_settled(self, accounts: int, error: Exception) -> None:
        self._log.warning("due_not_settled", accounts=accounts, error=str(error))

    async def _announce(self, work: Work) -> None:
        state = work.state
        await announce(self._bus, state.account_id, state.seq, work.version)
