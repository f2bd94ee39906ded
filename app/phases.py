"""What each phase of a server's shutdown waits for, and for how long; see `app.stopping`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from actors.shutdown import Phase
from app.stopping import Step

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from actors.database.driver import Database
    from actors.database.embedded import EmbeddedPostgres
    from actors.inventory import Inventories
    from actors.supervisor import Supervisor
    from app.config.sections import Shutdown

_ENDED_OTHERWISE: Final = frozenset({"inventories", "authx", "storage", "postgres"})
"""The actors that need not end in `Phase.WORLD`: they have finished by then, or end later."""

_KILL_S: Final = 0.5
"""How long killing an embedded database may take after its own deadline."""


@dataclass(frozen=True, slots=True)
class Phases:
    """The phases of a server that may have started only in part: None is not waited for."""

    limits: Shutdown
    supervisor: Supervisor
    database: Database
    postgres: EmbeddedPostgres | None
    http_ended: trio.Event | None
    inventories: Inventories | None

    def steps(self) -> tuple[Step, ...]:
        """Return the phases in order."""
        limits = self.limits
        cut_off = self.database.terminate
        return (
            # It bounds requests in flight by itself; taking leave of thousands needs no actor.
            Step(Phase.EDGE, limits.http_ms / 1000, self._http_ended, goes_on=True),
            Step(Phase.WORLD, limits.inventories_ms / 1000, self._world_ended),
            Step(Phase.STORAGE, limits.storage_ms / 1000, self._storage_ended, cut_off),
            Step(Phase.DATABASE, limits.database_ms / 1000, self._database_ended),
        )

    async def _http_ended(self) -> None:
        if self.http_ended is not None:
            await self.http_ended.wait()

    async def _world_ended(self) -> None:
        if self.inventories is not None:
            # Ending them takes longer the more are live: it is enough that they have finished.
            await _first_of(
                self.inventories.wait_finished, lambda: self.supervisor.wait_ended("inventories")
            )
        # All other actors use Storage, which stops next.
        for name in self.supervisor.states():
            if name not in _ENDED_OTHERWISE:
                await self.supervisor.wait_ended(name)

    async def _storage_ended(self) -> None:
        await self.supervisor.wait_ended("authx")
        await self.supervisor.wait_ended("storage")

    async def _database_ended(self) -> None:
        self.database.terminate()
        if self.postgres is not None:
            timeout_s = max(0.1, self.limits.database_ms / 1000 - _KILL_S)
            await self.postgres.end(timeout_s=timeout_s)


def phases_s(limits: Shutdown) -> float:
    """Return how many seconds all phases together may take."""
    return (limits.http_ms + limits.inventories_ms + limits.storage_ms + limits.database_ms) / 1000


async def _first_of(*waits: Callable[[], Awaitable[None]]) -> None:
    """Wait until the first of these returns."""
    async with trio.open_nursery() as nursery:

        async def wait_for(wait: Callable[[], Awaitable[None]]) -> None:
            await wait()
            nursery.cancel_scope.cancel()

        for wait in waits:
            nursery.start_soon(wait_for, wait)
