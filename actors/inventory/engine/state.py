"""The state of one inventory, the rates derived from it, and the events of a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from actors.inventory.engine.grains import CEILING_GRAINS_MAX, to_grains
from actors.inventory.engine.orders import Order
from actors.inventory.engine.pending import Pending
from actors.inventory.ruleset.model import Rates
from actors.inventory.views import LedgerEntry

if TYPE_CHECKING:
    from actors.inventory.ruleset import Ruleset


class Stream(NamedTuple):
    """How one resource moves: ``per_hour`` units (grains per ms) up to ``ceiling`` grains."""

    resource: str
    per_hour: int
    ceiling: int


class Flows(msgspec.Struct, frozen=True, gc=False):
    """Everything determined by levels and units alone; derived, never stored."""

    rates: Rates
    streams: tuple[Stream, ...]


class State(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An inventory settled to ``at_ms``: nothing that was due by then is outstanding.

    Treated as immutable, its mappings too: every engine function returns a new state and shares
    what did not change. ``amounts`` holds every resource of the ruleset, in grains; ``levels``
    and ``units`` hold only what is there; ``held`` holds what a transfer brought above the
    capacity (see `actors.inventory.engine.transfers`). ``seq`` is the last ledger entry,
    ``order_seq`` the last order.
    """

    account_id: str
    at_ms: int
    seq: int
    order_seq: int
    ruleset: str
    amounts: Mapping[str, int]
    levels: Mapping[str, int]
    units: Mapping[str, int]
    held: Mapping[str, int]
    pending: Pending
    flows: Flows

    @property
    def orders(self) -> tuple[Order, ...]:
        """The pending orders, by ``seq``."""
        return self.pending.orders


class Events(msgspec.Struct, frozen=True, gc=False):
    """What a step did: the ledger entries to append and the orders whose record changed.

    Each order appears once, in its last form. All of it belongs in one storage unit together
    with the state.
    """

    entries: tuple[LedgerEntry, ...]
    orders: tuple[Order, ...]


NO_EVENTS = Events((), ())


def flows_of(ruleset: Ruleset, levels: Mapping[str, int], units: Mapping[str, int]) -> Flows:
    """Derive the flows of an inventory with these levels and units."""
    rates = ruleset.rates(levels, units)
    capacity = rates.capacity
    streams: list[Stream] = []
    for name, per_hour in rates.per_hour.items():
        limit = capacity[name]
        ceiling = CEILING_GRAINS_MAX if limit is None else to_grains(limit)
        streams.append(Stream(name, per_hour, ceiling))
    return Flows(rates, tuple(streams))
