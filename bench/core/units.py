"""Orders as units of Storage, made by the Inventory's own code, for other scripts."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from actors.inventory.engine import new_state
from actors.inventory.handlers import carry_out
from actors.inventory.messages import PlaceOrder
from actors.inventory.work import Context, Work
from actors.inventory.world import WorldTime
from bench.seed import account_id

if TYPE_CHECKING:
    from actors.inventory.engine import State
    from actors.inventory.ruleset import Ruleset
    from actors.storage import Operation

FINGERPRINT = b"\x00" * 16


class Orders:
    """Makes one order after another for seeded accounts, without storing them."""

    def __init__(self, ruleset: Ruleset, accounts: int, now_ms: int) -> None:
        self._context = Context(ruleset, WorldTime(1, now_ms), attrgetter("resources"))
        self._states: list[tuple[State, int]] = [
            (new_state(account_id(number), ruleset, now_ms)[0], 1) for number in range(accounts)
        ]
        self._number = 0

    def command(self, number: int) -> PlaceOrder:
        """Return the command of a number."""
        whose = account_id(number % len(self._states))
        return PlaceOrder(whose, f"cart{1 + number % 8}", 1, f"unit-{number:012d}", FINGERPRINT)

    def apply(self, command: PlaceOrder, number: int) -> Work:
        """Execute a command on the account as it was seeded, in memory."""
        state, version = self._states[number % len(self._states)]
        work = Work(state, version, None, self._context)
        carry_out(work, command)
        return work

    def next(self) -> tuple[Operation, ...]:
        """Return the unit of the next order; the account continues from it."""
        number = self._number
        self._number = number + 1
        work = self.apply(self.command(number), number)
        operations = tuple(work.operations())
        whose = number % len(self._states)
        self._states[whose] = (work.state, self._states[whose][1] + 1)
        return operations
