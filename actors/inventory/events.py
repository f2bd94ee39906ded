"""How others follow an inventory: a wake-up after each commit, and pages of what has happened.

The wake-up carries no data, so it may be lost or merged with the next: a follower reads the ledger
from its own position. Events come from the ledger alone, at most one per entry; that is what makes
following resumable by an entry's number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec
import trio
from msgspec.structs import replace

from actors.inventory import records
from actors.inventory.engine import GRAINS_PER_UNIT, is_shifting, order_view
from actors.inventory.views import EventPage, LedgerEntry, OrderView
from actors.inventory.work import LookUp
from bus import Message, Topic

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from actors.inventory.engine import Order, State
    from actors.inventory.messages import GetEvents
    from actors.inventory.views import InventoryView
    from actors.inventory.work import Work
    from actors.storage import Row
    from bus import Bus

RECENT_MAX: Final = 32
"""How many entries are kept of an account that somebody follows."""


class LedgerAdvanced(msgspec.Struct, frozen=True, gc=False):
    """Published on topic ``event``, with the account as key, after each durable unit.

    ``seq`` is the last ledger entry now, ``version`` that of the inventory's record.
    """

    account_id: str
    seq: int
    version: int


async def announce(bus: Bus, account_id: str, seq: int, version: int) -> bool:
    """Wake the account's followers with `LedgerAdvanced`; return whether there are any.

    Without followers this costs one dictionary lookup.
    """
    if not bus.reaches(Topic.EVENT, account_id):
        return False
    message = Message(Topic.EVENT, LedgerAdvanced(account_id, seq, version), account_id)
    try:
        return bool(bus.send_nowait(message))
    except trio.WouldBlock:
        return bool(await bus.send(message))


class Recent(msgspec.Struct, frozen=True, gc=False):
    """The last entries of an account that somebody follows, with the orders they refer to.

    Followers woken by a commit all ask for the same few entries: they need not be read back.
    """

    entries: tuple[LedgerEntry, ...] = ()
    orders: Mapping[str, OrderView] = msgspec.field(default_factory=dict[str, OrderView])

    def and_then(self, entries: Sequence[LedgerEntry], orders: Iterable[Order]) -> Recent:
        """Return these and the entries after them, as many as are kept."""
        kept = (*self.entries, *entries)[-RECENT_MAX:]
        views = {**self.orders, **{order.id: order_view(order) for order in orders}}
        wanted = {entry.order_id for entry in kept}
        return Recent(kept, {id_: view for id_, view in views.items() if id_ in wanted})

    def after(self, seq: int, last: int, limit: int) -> tuple[LedgerEntry, ...] | None:
        """Return the entries above ``seq`` up to ``last``, at most ``limit``.

        None if one is not kept, or refers to a transfer, whose record is not kept.
        """
        if not self.entries or self.entries[0].seq > seq + 1 or self.entries[-1].seq != last:
            return None
        found = tuple(entry for entry in self.entries if entry.seq > seq)[:limit]
        return None if any(entry.transfer_id is not None for entry in found) else found


def read_events(work: Work, message: GetEvents) -> EventPage | LookUp:
    """Return what has happened after an entry, with the inventory as it is then.

    What is due is settled first, and so is a stock that has filled up since: that is when the
    entry that says so is made. Nothing else is entered, so that following changes nothing.
    """
    work.settle_if_due()
    page = _present(work)
    if _has_filled(work.state, page.now):
        work.settle()
        page = _present(work)
    after, limit, seq = message.after, message.limit, page.seq
    if after is None or after >= seq:
        return page
    if work.context.recent is not None:
        recent = work.context.recent.and_then(work.entries, work.orders)
        entries = recent.after(after, seq, limit)
        if entries is not None:
            return replace(page, entries=entries, orders=recent.orders)

    def entries_read(rows: Sequence[Sequence[Row]]) -> LookUp | EventPage:
        # Entries of the unit's later messages come with the inventory after them.
        entries = tuple(records.entry_from_row(row) for row in rows[0][:limit] if row["seq"] <= seq)
        return _with_subjects(replace(page, entries=entries))

    return LookUp((records.ledger_read(work.account_id, after, limit),), entries_read)


def _present(work: Work) -> EventPage:
    """Return a page without entries: the inventory as it is now."""
    shifting = work.frozen_ms is None and is_shifting(work.state, work.ruleset)
    return EventPage(work.view(), work.state.seq, shifting=shifting)


def _with_subjects(page: EventPage) -> LookUp | EventPage:
    """Look up the orders and transfers that a page's entries refer to."""
    orders = {entry.order_id for entry in page.entries if entry.order_id is not None}
    transfers = {entry.transfer_id for entry in page.entries if entry.transfer_id is not None}
    if not orders and not transfers:
        return page

    def subjects_read(rows: Sequence[Sequence[Row]]) -> EventPage:
        return replace(
            page,
            orders={row["order_id"]: records.order_view_from_row(row) for row in rows[0]},
            transfers={row["transfer_id"]: records.transfer_from_row(row) for row in rows[1]},
        )

    account_id = page.now.account_id
    reads = (records.orders_read(account_id, orders), records.transfers_read(transfers))
    return LookUp(reads, subjects_read)


def _has_filled(state: State, now: InventoryView) -> bool:
    """Whether a stock has reached its capacity since the state was settled."""
    return any(
        stock.capacity is not None
        and stock.amount >= stock.capacity > state.amounts[name] // GRAINS_PER_UNIT
        for name, stock in now.resources.items()
    )
