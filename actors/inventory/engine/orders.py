"""An order: what was asked, the receipt of what was paid, and its progress."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from actors.inventory.views import OrderView

if TYPE_CHECKING:
    from collections.abc import Iterable

OrderState: TypeAlias = Literal["queued", "running", "completed", "cancelled"]

UNIT = "unit"


class Order(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One order of an account, immutable; a transition makes a new one with the same ``id``.

    ``cost``, ``piece_ms`` and ``refund`` are fixed when the order is placed, whatever happens to
    the ruleset afterwards. ``level`` is the level that a building or technology will have, None
    for units; ``count`` is the number of units, None for a level. ``delivered`` counts the units
    handed over so far. ``starts_ms`` and ``finishes_ms`` are None while the order waits;
    ``finishes_ms`` is None again once it is cancelled.
    """

    id: str
    seq: int
    """Counts the orders of the account from 1; orders start and complete in this order."""
    asset: str
    kind: str
    """``building``, ``technology`` or ``unit``."""
    queue: str
    level: int | None
    count: int | None
    delivered: int
    cost: Mapping[str, int]
    """The receipt: whole units of each resource paid for the whole order."""
    refund: tuple[int, int]
    """Numerator and denominator of the share of the receipt that a cancellation refunds."""
    piece_ms: int
    """Duration of one piece: the level, or a single unit of the batch."""
    state: OrderState
    placed_ms: int
    starts_ms: int | None
    finishes_ms: int | None

    @property
    def duration_ms(self) -> int:
        """Duration of the whole order from its start, in milliseconds."""
        return self.piece_ms * (1 if self.count is None else self.count)

    @property
    def next_piece_ms(self) -> int:
        """When the level, or the next unit of the batch, is finished if the order runs."""
        return (self.starts_ms or 0) + (self.delivered + 1) * self.piece_ms

    def started(self, now_ms: int) -> Order:
        """Return the order, running from ``now_ms`` on."""
        return msgspec.structs.replace(
            self,
            state="running",
            starts_ms=now_ms,
            finishes_ms=now_ms + self.duration_ms,
        )

    def delivered_by(self, at_ms: int) -> int:
        """Return how many units are finished by ``at_ms``, including those delivered before."""
        if self.count is None or self.starts_ms is None:
            return self.delivered
        return min(self.count, (at_ms - self.starts_ms) // self.piece_ms)

    def refundable(self) -> dict[str, int]:
        """Return a cancellation's refund: the receipt of what is undelivered times the share.

        Whole units, floored once for each resource; a resource with no refund is left out.
        """
        numerator, denominator = self.refund
        if self.count is not None:
            numerator *= self.count - self.delivered
            denominator *= self.count
        shares = {name: paid * numerator // denominator for name, paid in self.cost.items()}
        return {name: share for name, share in shares.items() if share}


def order_view(order: Order) -> OrderView:
    """Return an order as its owner sees it."""
    return OrderView(
        order.id,
        order.asset,
        order.kind,
        order.level,
        order.count,
        order.cost,
        order.state,
        order.placed_ms,
        order.starts_ms,
        order.finishes_ms,
    )


def pending_of(orders: Iterable[Order], asset: str) -> int:
    """Return how many of ``orders`` are for ``asset``."""
    return sum(order.asset == asset for order in orders)
