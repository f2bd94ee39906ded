"""Freezes the world of a suspended account, and resumes it when the account is reinstated.

Authx knows whether an account is suspended; its inventory is told over the bus. Both facts are
stored, so that comparing them finds what is still to be told, no matter who suspended the account
or whether a server was there to hear of it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import trio

from actors.database.errors import DatabaseError
from actors.inventory.errors import AccountGone, InventoryError
from actors.inventory.messages import Freeze, Thaw
from actors.storage import StorageError
from actors.storage.snapshot import NIL_ID
from bus import ActorStopped, BusError, ReplyTimeout, Topic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from structlog.typing import FilteringBoundLogger

    from actors.authx.connections import Connections
    from actors.database.session import Script, Session
    from bus import Bus

# Differences are found through small partial indexes: only accounts that are, or were, suspended.
# One without an inventory is told as well, which begins one: otherwise the next message would begin
# one that is not frozen. A request without an answer may still take effect, which a comparison of
# what is stored now does not show.
_DIFFERENCES: Final = """
(select account_id, true as suspended
 from accounts left join inventories using (account_id)
 where suspended_at is not null and frozen_ms is null and account_id > $1
 order by account_id limit $2)
union
(select account_id, false
 from inventories join accounts using (account_id)
 where frozen_ms is not null and suspended_at is null and account_id > $1
 order by account_id limit $2)
union
(select account_id, suspended_at is not null
 from accounts
 where account_id = any($3::uuid[]) and account_id > $1
 order by account_id limit $2)
order by account_id limit $2
"""

_PAGE: Final = 200
_REPLY_S: Final = 10.0
_RETRY_S: Final = 1.0
_RETRY_MAX_S: Final = 16.0
"""Between retries of failed requests: longer each time, as they may fail for good."""


class Suspensions:
    """Brings inventories in line with the suspensions of their accounts.

    ``unsure`` are the accounts whose inventories were told something and have not answered for
    certain. The request may still wait with them, or be in flight to the database, and take effect
    when it no longer applies. Keeping the set from one run to the next loses none of them.
    """

    def __init__(
        self,
        connections: Connections,
        bus: Bus,
        *,
        unsure: set[str] | None = None,
        log: FilteringBoundLogger,
    ) -> None:
        self._connections = connections
        self._bus = bus
        self._log = log
        self._unsure = set[str]() if unsure is None else unsure
        self._changed = trio.Event()

    def look_again(self) -> None:
        """Announce that an account may have been suspended or reinstated."""
        self._changed.set()

    async def run(self) -> None:
        """Work off the differences after every change, until cancelled."""
        retry_s = math.inf
        while True:
            with trio.move_on_after(retry_s):
                await self._changed.wait()
            self._changed = trio.Event()
            if await self._work_off():
                retry_s = math.inf
            else:
                retry_s = _RETRY_S if retry_s == math.inf else min(2 * retry_s, _RETRY_MAX_S)

    async def _work_off(self) -> bool:
        """Tell every inventory that has to know; False if some could not be told yet.

        One that fails keeps no other from freezing or resuming.
        """
        unsure, last, all_told = sorted(self._unsure), NIL_ID, True
        erased = set(unsure)
        while True:
            try:
                differences = await self._connections.run(_differences_after(last, unsure))
            except DatabaseError as error:
                self._log.debug("suspension_delayed", error=str(error))
                return False
            for account_id, suspended in differences:
                erased.discard(account_id)
                all_told = await self._tell(account_id, suspended=suspended) and all_told
                last = account_id
            if len(differences) < _PAGE:
                self._unsure -= erased
                return all_told and not self._unsure

    async def _tell(self, account_id: str, *, suspended: bool) -> bool:
        """Tell one inventory; False if that must be retried."""
        body = Freeze(account_id) if suspended else Thaw(account_id)
        was_unsure = account_id in self._unsure
        self._unsure.add(account_id)
        try:
            await self._bus.ask(Topic.TASK, body, key=account_id, timeout_s=_REPLY_S)
        except AccountGone:
            self._unsure.discard(account_id)
            return True
        except (BusError, InventoryError, StorageError) as error:
            if not was_unsure and not isinstance(error, ActorStopped | ReplyTimeout):
                # It has refused: nothing of this request can take effect later.
                self._unsure.discard(account_id)
            self._log.warning("suspension_delayed", account_id=account_id, error=str(error))
            return False
        self._unsure.discard(account_id)
        self._log.info("suspension_applied", account_id=account_id, suspended=suspended)
        return True


def _differences_after(account_id: str, unsure: Sequence[str]) -> Script[list[tuple[str, bool]]]:
    async def script(session: Session) -> list[tuple[str, bool]]:
        rows = await session.fetch(_DIFFERENCES, account_id, _PAGE, unsure)
        return [(row["account_id"], row["suspended"]) for row in rows]

    return script
