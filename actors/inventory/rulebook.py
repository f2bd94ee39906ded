"""The rules in force, and all those before: an old account is settled under each in its time.

Which rules a world has run under, and from which moment of world time, is stored. An account that
nobody has touched since is brought up to date when it is activated: under each set of rules up
to the moment when the next came into force.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from actors.inventory.engine import Events, State, resettle
from actors.inventory.ruleset import restore_ruleset
from actors.storage import Create, Operation, Read, Row, StorageClient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.inventory.engine import Order
    from actors.inventory.ruleset import Ruleset
    from actors.inventory.views import LedgerEntry, TransferRecord


@dataclass(frozen=True, slots=True)
class Era:
    """From when on a set of rules was in force, and what it calls by another name."""

    version: str
    from_ms: int
    renamed: Mapping[str, str]


class Rulebook:
    """The current ruleset and the history; `open` it before use.

    ``renamed`` maps names of the ruleset before to names of the current one.
    """

    def __init__(self, current: Ruleset, renamed: Mapping[str, str]) -> None:
        self.current = current
        self._renamed = renamed
        self._eras: tuple[Era, ...] = ()
        self._rulesets = {current.version: current}

    async def open(self, storage: StorageClient, now_ms: int) -> bool:
        """Read the history; where the current rules are new, enter them from ``now_ms`` on.

        Returns whether the rules have changed.

        Raises: as `StorageClient.read` and `StorageClient.commit`.
        """
        [rows] = await storage.read(Read("ruleset_history", order_by="seq"))
        eras = [_era(row) for row in rows]
        changed = not eras or eras[-1].version != self.current.version
        if changed:
            none: dict[str, str] = {}
            era = Era(self.current.version, now_ms, self._renamed if eras else none)
            await storage.commit(*await self._entries(storage, len(eras) + 1, era))
            eras.append(era)
        self._eras = tuple(eras)
        return changed and len(eras) > 1

    async def ruleset(self, version: str, storage: StorageClient) -> Ruleset:
        """Give a ruleset of the past by its version.

        Raises:
            LookupError: this world has never run under it.
            RulesetError: this version of the program cannot run it any more.
        """
        known = self._rulesets.get(version)
        if known is None:
            [rows] = await storage.read(Read("ruleset_archive", where={"version": version}))
            if not rows:
                msg = f"ruleset {version} is not in the archive"
                raise LookupError(msg)
            known = self._rulesets[version] = restore_ruleset(rows[0]["content"])
        return known

    def goods(self, transfer: TransferRecord) -> Mapping[str, int]:
        """Give what a transfer carries, in whole units, by the names of the current rules.

        Two resources that have become one are added up.
        """
        carried = transfer.resources
        if transfer.ruleset == self.current.version:
            return carried
        for era in self._after(transfer.ruleset, transfer.sent_at_ms):
            merged: dict[str, int] = {}
            for old, units in carried.items():
                name = era.renamed.get(old, old)
                merged[name] = merged.get(name, 0) + units
            carried = merged
        return carried

    async def up_to_date(
        self, state: State, storage: StorageClient, *, frozen: bool
    ) -> tuple[State, Events]:
        """Settle a state under every set of rules in its time, and hand it to the current one.

        A frozen state is handed over as it stands.

        Raises:
            RulesetMismatch: it owns something for which there is no place any more.
        """
        entries: list[LedgerEntry] = []
        orders: dict[str, Order] = {}
        for era in self._after(state.ruleset, state.at_ms):
            old = await self.ruleset(state.ruleset, storage)
            new = await self.ruleset(era.version, storage)
            at_ms = state.at_ms if frozen else max(state.at_ms, era.from_ms)
            state, step = resettle(state, old, new, at_ms, renamed=era.renamed)
            entries.extend(step.entries)
            orders.update((order.id, order) for order in step.orders)
        return state, Events(tuple(entries), tuple(orders.values()))

    def _after(self, version: str, at_ms: int) -> tuple[Era, ...]:
        """Give the eras that began after the one of this version that was in force then."""
        own = max(
            (
                index
                for index, era in enumerate(self._eras)
                if era.version == version and era.from_ms <= at_ms
            ),
            default=-1,
        )
        if own < 0:
            # It stood still, or was begun, before its own era was entered.
            own = next((i for i, era in enumerate(self._eras) if era.version == version), -1)
        return self._eras[own + 1 :]

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


def _era(row: Row) -> Era:
    renamed = msgspec.json.decode(row["renamed"], type=dict[str, str])
    return Era(row["version"], row["from_ms"], renamed)
