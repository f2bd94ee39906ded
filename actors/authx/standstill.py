"""The world of a suspended account stands still, and goes on when it is let in again.

Whether an account is suspended is Authx's to know; its inventory is told over the bus. Both are
stored, so that comparing them finds what is still to be said, whoever suspended the account and
whether or not a server was there to hear of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.database.errors import DatabaseError
from actors.inventory.messages import Freeze, Thaw
from bus import BusError, Topic

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from actors.authx.connections import Connections
    from actors.database.session import Session
    from bus import Bus

# Both halves are found through small partial indexes: only accounts that are, or were, suspended.
_DIFFERENCES = """
(select account_id, true as suspended
 from accounts join inventories using (account_id)
 where suspended_at is not null and frozen_ms is null
 limit $1)
union all
(select account_id, false
 from inventories join accounts using (account_id)
 where frozen_ms is not null and suspended_at is null
 limit $1)
"""

_PAGE = 200
_REPLY_S = 10.0
_RETRY_S = 1.0


class Standstill:
    """Brings inventories in line with the suspensions of their accounts."""

    def __init__(self, connections: Connections, bus: Bus, *, log: FilteringBoundLogger) -> None:
        self._connections = connections
        self._bus = bus
        self._log = log
        self._changed = trio.Event()

    def look_again(self) -> None:
        """Say that an account may have been suspended or let in."""
        self._changed.set()

    async def run(self) -> None:
        """Work off the differences after every change, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            if not await self._work_off():
                await trio.sleep(_RETRY_S)
                self._changed.set()

    async def _work_off(self) -> bool:
        """Tell every inventory that has to know; False where some could not be told yet."""
        while True:
            try:
                differences = await self._connections.run(_differences)
                for account_id, suspended in differences:
                    body = Freeze(account_id) if suspended else Thaw(account_id)
                    await self._bus.ask(Topic.TASK, body, key=account_id, timeout_s=_REPLY_S)
                    self._log.info("standstill", account_id=account_id, suspended=suspended)
            except (DatabaseError, BusError) as error:
                self._log.debug("standstill_delayed", error=str(error))
                return False
            if not differences:
                return True


async def _differences(session: Session) -> list[tuple[str, bool]]:
    rows = await session.fetch(_DIFFERENCES, _PAGE)
    return [(row["account_id"], row["suspended"]) for row in rows]
