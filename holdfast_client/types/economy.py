"""Quotes and transfers."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Prerequisite(msgspec.Struct, frozen=True):
    """A missing asset, and the required level (of a unit: the count)."""

    asset: str
    level: int


class Quote(msgspec.Struct, frozen=True):
    """What an order placed now would be.

    ``affordable_at`` is None if it is never affordable; a building or technology has ``level``, a
    unit has ``count``.
    """

    asset: str
    kind: str
    cost: dict[str, int]
    duration_seconds: float
    affordable: bool
    affordable_at: datetime | None
    missing: list[Prerequisite]
    level: int | None = None
    count: int | None = None


class Transfer(msgspec.Struct, frozen=True):
    """What one account has sent another; a name is empty if the account was erased.

    ``state`` is ``sent``, ``delivered``, ``returned`` or ``lost``.
    """

    id: str
    sender: str = msgspec.field(name="from")
    receiver: str = msgspec.field(name="to")
    resources: dict[str, int]
    note: str
    state: str
    sent_at: datetime
    settled_at: datetime | None


class TransferList(msgspec.Struct, frozen=True):
    """A page of transfers, newest first.

    ``next`` is the ``before`` of the next page, None at the end.
    """

    transfers: list[Transfer]
    next: str | None
