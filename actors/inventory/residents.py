"""The live inventories: least recently used first, and whether each has work in progress."""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.inventory.views import InventoryView
    from bus import Subscription

_PREFIX: Final = "inventory/"
_LOOK_AT_MOST: Final = 64
"""How many residents to check for an idle one."""


class Resident:
    """A live inventory's place: its subscription, and when it last had something to do.

    ``name`` is its actor's, unique to this life of the account. ``peek`` belongs to the inventory
    while that runs.
    """

    __slots__ = (
        "_residents",
        "account_id",
        "active_at",
        "is_busy",
        "name",
        "peek",
        "subscription",
    )

    def __init__(
        self, account_id: str, name: str, subscription: Subscription, residents: Residents
    ) -> None:
        self.account_id = account_id
        self.name = name
        self.subscription = subscription
        self.active_at = trio.current_time()
        self.peek: Callable[[], InventoryView | None] | None = None
        self.is_busy = False
        self._residents = residents

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in progress and nothing waits."""
        return not self.is_busy and self.subscription.is_empty()

    def begin(self) -> None:
        """Mark the resident as busy and most recently used, until it may `rest`."""
        self.is_busy = True
        self._residents.touch(self)

    def touch(self) -> None:
        """Make the resident the most recently used."""
        self._residents.touch(self)

    def rest(self) -> None:
        """Mark the resident as having nothing in progress."""
        self.is_busy = False
        self._residents.rest()


class Residents:
    """The live inventories; at most ``live_max`` of them."""

    def __init__(self, live_max: int) -> None:
        self._live: OrderedDict[str, Resident] = OrderedDict()
        self._live_max = live_max
        self._resting = trio.lowlevel.ParkingLot()
        self.activations = self.passivations = 0

    def __len__(self) -> int:
        """Count the live inventories."""
        return len(self._live)

    def get(self, account_id: str) -> Resident | None:
        """Find the live inventory of an account."""
        return self._live.get(account_id)

    def named(self, actor: str) -> Resident | None:
        """Find the live inventory whose actor has this name, if it is still the account's."""
        resident = self._live.get(actor.removeprefix(_PREFIX).partition(".")[0])
        return resident if resident is not None and resident.name == actor else None

    def is_full(self) -> bool:
        """Whether another one would be too many."""
        return len(self._live) >= self._live_max

    def add(self, account_id: str, subscription: Subscription) -> Resident:
        """Enter a new resident, the most recently used."""
        self.activations += 1
        name = f"{_PREFIX}{account_id}.{self.activations}"
        resident = self._live[account_id] = Resident(account_id, name, subscription, self)
        return resident

    def remove(self, resident: Resident) -> None:
        """End a residence: the subscription is closed, and the inventory's task ends with it."""
        if self._live.get(resident.account_id) is resident:
            del self._live[resident.account_id]
            self.passivations += 1
        resident.subscription.close()
        self.rest()

    def touch(self, resident: Resident) -> None:
        """Make a resident the most recently used."""
        resident.active_at = trio.current_time()
        if resident.account_id in self._live:
            self._live.move_to_end(resident.account_id)

    def rest(self) -> None:
        """Have tasks that wait for quiet check again."""
        if self._resting:
            self._resting.unpark_all()

    def remove_all(self) -> None:
        """End every residence."""
        self.remove_some(len(self._live))

    def remove_some(self, most: int) -> None:
        """End up to ``most`` residences, least recently used first."""
        for resident in tuple(islice(self._live.values(), most)):
            self.remove(resident)

    def idle_since(self, moment: float, most: int) -> list[Resident]:
        """Return up to ``most`` that have been idle since ``moment`` on Trio's clock."""
        found: list[Resident] = []
        for resident in self._live.values():
            if resident.active_at > moment or len(found) >= most:
                break
            if resident.is_idle:
                found.append(resident)
        return found

    def evict_one(self) -> bool:
        """Make room by passivating the longest idle resident; False if none is idle."""
        for position, resident in enumerate(self._live.values()):
            if resident.is_idle:
                self.remove(resident)
                return True
            if position >= _LOOK_AT_MOST:
                break
        return False

    async def wait_quiet(self) -> None:
        """Wait until no resident has anything in progress or waiting."""
        await trio.lowlevel.checkpoint()
        while self._restless():
            await self._resting.park()

    def _restless(self) -> bool:
        # Start at the most recently used, where the busy ones are.
        return any(not resident.is_idle for resident in reversed(self._live.values()))
