"""Which inventories are live: least recently used first, and whether each has work in hand."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from bus import Subscription


class Resident:
    """A live inventory's place: its subscription, and when it last had something to do."""

    __slots__ = (
        "_residents",
        "account_id",
        "active_at",
        "is_busy",
        "on_removed",
        "subscription",
    )

    def __init__(self, account_id: str, subscription: Subscription, residents: Residents) -> None:
        self.account_id = account_id
        self.subscription = subscription
        self.active_at = trio.current_time()
        self.is_busy = False
        self.on_removed: Callable[[], object] | None = None
        self._residents = residents

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in hand and nothing waits."""
        return not self.is_busy and self.subscription.is_empty()

    def begin(self) -> None:
        """Mark the resident as busy, and the most recently used, until it may `rest`."""
        self.is_busy = True
        self._residents.touch(self)

    def rest(self) -> None:
        """Say that nothing is in hand any more."""
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

    def is_full(self) -> bool:
        """Whether another one would be too many."""
        return len(self._live) >= self._live_max

    def add(self, account_id: str, subscription: Subscription) -> Resident:
        """Enter a new resident, the most recently used."""
        resident = self._live[account_id] = Resident(account_id, subscription, self)
        self.activations += 1
        return resident

    def remove(self, resident: Resident) -> None:
        """End a residence: the subscription is closed, and the inventory's task ends with it."""
        if self._live.get(resident.account_id) is resident:
            del self._live[resident.account_id]
            self.passivations += 1
        resident.subscription.close()
        if resident.on_removed is not None:
            resident.on_removed()
        self.rest()

    def touch(self, resident: Resident) -> None:
        """Make a resident the most recently used."""
        resident.active_at = trio.current_time()
        if resident.account_id in self._live:
            self._live.move_to_end(resident.account_id)

    def rest(self) -> None:
        """Tell whoever waits for quiet to look again."""
        self._resting.unpark_all()

    def remove_all(self) -> None:
        """End every residence."""
        for resident in tuple(self._live.values()):
            self.remove(resident)

    def idle_since(self, moment: float) -> list[Resident]:
        """Give the idle residents that had nothing to do since ``moment``, in Trio's seconds."""
        found: list[Resident] = []
        for resident in self._live.values():
            if resident.active_at > moment:
                break
            if resident.is_idle:
                found.append(resident)
        return found

    def evict_one(self, look_at_most: int = 64) -> bool:
        """Make room: passivate the longest idle resident; False where none is idle."""
        for position, resident in enumerate(self._live.values()):
            if resident.is_idle:
                self.remove(resident)
                return True
            if position >= look_at_most:
                break
        return False

    async def wait_quiet(self) -> None:
        """Wait until no resident has anything in hand or waiting."""
        while not all(resident.is_idle for resident in self._live.values()):
            await self._resting.park()
        await trio.lowlevel.checkpoint()
