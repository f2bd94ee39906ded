"""The rules in force and all earlier ones: an old account is settled under each in its time.

The rules that a world has run under are stored, each with the moment of world time when it began.
An account untouched since is brought up to date on activation: it is settled under each set of
rules up to the moment when the next came into force.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from actors.inventory.engine import Events, State, resettle, thaw
from actors.inventory.eras import Era, eras_after
from actors.inventory.ruleset import restore_ruleset
from actors.storage import Create, Operation, Read, StorageClient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.inventory.engine import Order
    from actors.inventory.ruleset import Ruleset
    from actors.inventory.views import LedgerEntry, TransferRecord


class Rulebook:
    """The current ruleset and the history; `open` it before use.

    ``renamed`` maps names of the previous ruleset to names of the current one.
    """

    def __init__(self, current: Ruleset, renamed: Mapping[str, str]) -> None:
        self.current = current
        self._renamed = renamed
        self._eras: tuple[Era, ...] = ()
        self._rulesets = {current.version: current}

    async def open(self, storage: StorageClient, now_ms: int) -> bool:
        """Read the history; if the current rules are new, enter them from ``now_ms`` on.

        Returns whether the rules have changed.

        Raises:
            LookupError: they were in force already, and others have since replaced them: returning
                to them takes a start, which checks that everything owned has a place in them.
            Exception: otherwise, as `StorageClient.read` and `StorageClient.commit`.
        """
        [rows] = await storage.read(Read("ruleset_history", order_by="seq"))
        eras = [Era.of(row) for row in rows]
        changed = not eras or eras[-1].version != self.current.version
        if changed and self._eras:
            msg = "another server has changed the rules of this world in the meantime"
            raise LookupError(msg)
        if changed:
            none: dict[str, str] = {}
            era = Era(self.current.version, now_ms, self._renamed if eras else none)
            await storage.commit(*await self._entries(storage, len(eras) + 1, era))
            eras.append(era)
        self._eras = tuple(eras)
        return changed and len(eras) > 1

    async def ruleset(self, version: str, storage: StorageClient) -> Ruleset:
        """Return a past ruleset by its version.

        Raises:
            LookupError: this world has never run under it.
            RulesetError: this version of the program can no longer run it.
        """
        known = self._rulesets.get(version)
        if known is None:
            [rows] = await storage.read(Read("ruleset_archive", where={"version": version}))
            if not rows:
                msg = f"ruleset {version} is not in the archive"
                raise LookupError(msg)
            # Whole pages of accounts ask at once: the first has compiled it for all.
            known = self._rulesets.get(version)
            if known is None:
                known = self._rulesets[version] = restore_ruleset(rows[0]["content"])
        return known

    def goods(self, transfer: TransferRecord) -> Mapping[str, int]:
        """Return what a transfer carries, in whole units, by the names of the current rules.

        Two resources that have become one are added up.
        """
        carried = transfer.resources
        for era in eras_after(self._eras, transfer.ruleset, transfer.sent_at_ms):
            carried = era.goods(carried)
        return carried

    def is_current(self, version: str, at_ms: int) -> bool:
        """Whether what was settled then, under this version, continues under the current rules.

        Not if others were in force in between, even if the current ones are the same again.
        """
        return version == self.current.version and not eras_after(self._eras, version, at_ms)

    async def up_to_date(
        self, state: State, storage: StorageClient, *, frozen: bool
    ) -> tuple[State, Events]:
        """Settle a state under every set of rules in its time, and hand it to the current one.

        A frozen state is handed over at the same moments, but as if no time had passed.

        Raises:
            RulesetMismatch: it owns something for which there is no longer a place.
        """
        entries: list[LedgerEntry] = []
        orders: dict[str, Order] = {}
        for era in eras_after(self._eras, state.ruleset, state.at_ms):
            old = await self.ruleset(state.ruleset, storage)
            new = await self.ruleset(era.version, storage)
            if frozen:
                state, pause = thaw(state, era.from_ms)
                orders.update((order.id, order) for order in pause.orders)
            at_ms = max(state.at_ms, era.from_ms)
            state, step = resettle(state, old, new, at_ms, renamed=era.renamed)
            entries.extend(step.entries)
            orders.update((order.id, order) for order in step.orders)
        return state, Events(tuple(entries), tuple(orders.values()))

    async def _entries(self, storage: StorageClient, seq: int, era: Era) -> list[Operation]:
        current = self.current
        [archived] = await storage.read(
            Read("ruleset_archive", ("version",), where={"version": era.version})
        )
        operations: list[Operation] = []
        if not archived:
            values = {"version": era.version, "name": current.name, "content": current.archive}
            operations.append(Create("ruleset_archive", values))
        operations.append(
            Create(
                "ruleset_history",
                {
                    "seq": seq,
                    "version": era.version,
                    "from_ms": era.from_ms,
                    "renamed": msgspec.json.encode(era.renamed).decode(),
                },
            )
        )
        return operations
