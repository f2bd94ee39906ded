"""The pending orders of an inventory, with the data that every step needs precomputed.

An account may have hundreds of orders waiting and only a few running. Settling and ordering need
the running ones and the amount waiting in a queue, never all orders one by one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Final

import msgspec

from actors.inventory.engine.grains import LATEST_MS
from actors.inventory.engine.orders import Order, order_view
from actors.inventory.views import OrderView

if TYPE_CHECKING:
    from collections.abc import Iterable

_BY_SEQ: Final = attrgetter("seq")


class Load(msgspec.Struct, frozen=True, gc=False):
    """How many orders are pending in a queue, and the sum of their durations."""

    length: int = 0
    duration_ms: int = 0

    def and_one_of(self, duration_ms: int) -> Load:
        """Return this load with one more order."""
        return Load(self.length + 1, self.duration_ms + duration_ms)


NO_LOAD: Final = Load()


class Pending(msgspec.Struct, frozen=True, gc=False):
    """The pending orders by ``seq``; immutable, a change makes a new one.

    All else is derived from ``orders``: ``views`` shows each, in the same places; ``running``
    are the running ones, also by ``seq``; ``loads`` has every queue with pending orders. No order
    completes or delivers anything before ``quiet_until_ms``.
    """

    orders: tuple[Order, ...] = ()
    views: tuple[OrderView, ...] = ()
    running: tuple[Order, ...] = ()
    loads: Mapping[str, Load] = msgspec.field(default_factory=dict[str, Load])
    quiet_until_ms: int = LATEST_MS

    @classmethod
    def of(cls, orders: Iterable[Order]) -> Pending:
        """Return these orders, given by ``seq``."""
        orders = tuple(orders)
        views = tuple([order_view(order) for order in orders])
        running = _running(orders)
        return cls(orders, views, running, _loads(orders), _quiet_until_ms(running))

    def get(self, seq: int) -> Order:
        """Return the order with this sequence number, which must be pending."""
        return self.orders[self._place(seq)]

    def added(self, order: Order) -> Pending:
        """Return these plus one more, the last by ``seq``."""
        loads = dict(self.loads)
        loads[order.queue] = loads.get(order.queue, NO_LOAD).and_one_of(order.duration_ms)
        running, quiet_until_ms = self.running, self.quiet_until_ms
        if order.starts_ms is not None:
            running = (*running, order)
            quiet_until_ms = min(quiet_until_ms, order.next_piece_ms)
        return Pending(
            (*self.orders, order),
            (*self.views, order_view(order)),
            running,
            loads,
            quiet_until_ms,
        )

    def changed(self, order: Order) -> Pending:
        """Return these with ``order`` replacing the one with its sequence number."""
        place = self._place(order.seq)
        before = self.orders[place]
        orders = (*self.orders[:place], order, *self.orders[place + 1 :])
        views = (*self.views[:place], order_view(order), *self.views[place + 1 :])
        if before.starts_ms is not None and order.starts_ms is not None:
            running = tuple([order if each is before else each for each in self.running])
        else:
            running = _running(orders)
        loads = self.loads
        if before.queue != order.queue or before.duration_ms != order.duration_ms:
            loads = _loads(orders)
        return Pending(orders, views, running, loads, _quiet_until_ms(running))

    def all_changed(self, changed: Mapping[int, Order]) -> Pending:
        """Return these with the orders of ``changed`` replacing those with their numbers."""
        orders = tuple([changed.get(order.seq, order) for order in self.orders])
        views = tuple(
            [
                order_view(order) if order.seq in changed else view
                for order, view in zip(orders, self.views, strict=True)
            ]
        )
        running = _running(orders)
        return Pending(orders, views, running, _loads(orders), _quiet_until_ms(running))

    def removed(self, seq: int) -> Pending:
        """Return these without the one with this sequence number."""
        place = self._place(seq)
        gone = self.orders[place]
        loads = dict(self.loads)
        load = loads.pop(gone.queue)
        if load.length > 1:
            loads[gone.queue] = Load(load.length - 1, load.duration_ms - gone.duration_ms)
        running = tuple([each for each in self.running if each is not gone])
        return Pending(
            (*self.orders[:place], *self.orders[place + 1 :]),
            (*self.views[:place], *self.views[place + 1 :]),
            running,
            loads,
            _quiet_until_ms(running),
        )

    def _place(self, seq: int) -> int:
        return bisect_left(self.orders, seq, key=_BY_SEQ)


def _running(orders: Iterable[Order]) -> tuple[Order, ...]:
    return tuple([order for order in orders if order.starts_ms is not None])


def _quiet_until_ms(running: Iterable[Order]) -> int:
    return min([order.next_piece_ms for order in running], default=LATEST_MS)


def _loads(orders: Iterable[Order]) -> dict[str, Load]:
    loads: dict[str, Load] = {}
    for order in orders:
        loads[order.queue] = loads.get(order.queue, NO_LOAD).and_one_of(order.duration_ms)
    return loads
