"""Activates the Inventory of an account, and delivers messages to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.inventory.actor import Inventory
from actors.supervisor import Restart, Supervisor
from bus import BusError, Interest, Message, Overloaded, Topic

if TYPE_CHECKING:
    import random

    import trio

    from actors.inventory.actor import Dependencies
    from actors.inventory.residents import Residents
    from actors.supervisor import RestartLimits


class Activation:
    """Starts inventories under a supervisor that keeps each account's failures its own."""

    def __init__(
        self,
        nursery: trio.Nursery,
        residents: Residents,
        shared: Dependencies,
        limits: RestartLimits,
        *,
        mailbox_max: int,
        rng: random.Random,
    ) -> None:
        self._bus = shared.bus
        self._residents = residents
        self._shared = shared
        self._mailbox_max = mailbox_max
        self._log = shared.log
        self._supervisor = Supervisor(
            nursery, limits, rng=rng, log=shared.log, on_failed=self._on_failed, quiet=True
        )

    def deliver(self, account_id: str, message: Message) -> None:
        """Hand a message to the account's Inventory, activating it if necessary.

        Its reply, if any, fails with `Overloaded` if there is no room for one more.
        """
        if self._residents.get(account_id) is None and not self._activate(account_id):
            if message.reply is not None:
                message.reply.fail(Overloaded("too many inventories are busy"))
            return
        try:
            self._bus.send_nowait(message)
        except BusError as error:
            if message.reply is not None:
                message.reply.fail(error)

    @property
    def restarts(self) -> int:
        """How often any inventory was restarted."""
        return self._supervisor.restarts

    @property
    def starting(self) -> int:
        """How many inventories are starting."""
        return self._supervisor.starting

    def stopping(self) -> None:
        """Announce that shutdown has begun."""
        self._supervisor.stopping()

    def _activate(self, account_id: str) -> bool:
        if self._residents.is_full() and not self._residents.evict_one():
            return False
        subscription = self._bus.subscribe(
            Interest(Topic.TASK, key=account_id), buffer=self._mailbox_max
        )
        # A new name: one that was just passivated may still be ending.
        resident = self._residents.add(account_id, subscription)
        inventory = Inventory(resident, self._shared)
        self._supervisor.start_soon(resident.name, inventory, Restart.TRANSIENT)
        return True

    def _on_failed(self, actor: str) -> None:
        """Let go of an inventory that keeps failing: the next message tries afresh."""
        resident = self._residents.named(actor)
        if resident is not None:
            self._log.error("inventory_given_up", account_id=resident.account_id)
            self._residents.remove(resident)
