"""Storage's engine for a simulation: the in-memory twin, without rows that are never read again.

A month of a thousand bots writes a million ledger entries. The actors write them all and Storage
checks them all; the rows that only a player or an operator would read are then dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors.storage import Delete, Update

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.storage import Operation, Read, Row, StorageError
    from actors.storage.engine import Engine, Unit

_UNREAD: Final = frozenset({"ledger", "idempotency"})
_OVER: Final = frozenset({"completed", "cancelled"})


class PresentOnly:
    """Passes rows about the present on to ``inner``, and drops the rest."""

    def __init__(self, inner: Engine) -> None:
        self._inner = inner

    async def open(self) -> None:
        """See `Engine.open`."""
        await self._inner.open()

    def forget(self) -> None:
        """See `Engine.forget`."""
        self._inner.forget()

    async def commit(self, units: Sequence[Unit]) -> list[StorageError | None]:
        """See `Engine.commit`."""
        return await self._inner.commit([_present(unit) for unit in units])

    async def read(self, reads: Sequence[Read]) -> list[list[Row]]:
        """See `Engine.read`."""
        return await self._inner.read(reads)

    async def aclose(self) -> None:
        """See `Engine.aclose`."""
        await self._inner.aclose()


def _present(unit: Unit) -> Unit:
    kept: list[Operation] = []
    for operation in unit:
        if operation.table in _UNREAD:
            continue
        if (
            operation.table == "orders"
            and isinstance(operation, Update)
            and operation.values.get("state") in _OVER
        ):
            kept.append(Delete("orders", operation.key, operation.version))
        else:
            kept.append(operation)
    return tuple(kept)
