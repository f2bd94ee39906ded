"""The commands of an inventory's owner: begin, place an order, cancel one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from actors.inventory.engine.draft import Draft
from actors.inventory.engine.grains import AMOUNT_MAX, LATEST_MS, to_grains
from actors.inventory.engine.orders import UNIT, Order, pending_of
from actors.inventory.engine.pending import NO_LOAD, Pending
from actors.inventory.engine.settle import settle
from actors.inventory.engine.state import Events, State, flows_of
from actors.inventory.errors import (
    InsufficientResources,
    InvalidCount,
    MaxLevel,
    PrerequisitesMissing,
    QueueFull,
    UnknownAsset,
    UnknownOrder,
)
from actors.inventory.ruleset.counts import WALKED_COUNT_MAX, count_max
from actors.inventory.views import ChangeView

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.inventory.ruleset import Asset, Ruleset


def new_state(account_id: str, ruleset: Ruleset, now_ms: int) -> tuple[State, Events]:
    """Begin an inventory with the ruleset's start amounts: ledger entry 1, cause ``start``."""
    blank = State(
        account_id=account_id,
        at_ms=now_ms,
        seq=0,
        order_seq=0,
        ruleset=ruleset.version,
        amounts={name: to_grains(resource.start) for name, resource in ruleset.resources.items()},
        levels={},
        units={},
        held={},
        pending=Pending(),
        flows=flows_of(ruleset, {}, {}),
    )
    draft = Draft(blank, ruleset)
    draft.enter(
        "start",
        {
            name: ChangeView(resource.start, resource.start)
            for name, resource in ruleset.resources.items()
            if resource.start
        },
    )
    return draft.close()


def place_order(
    state: State,
    ruleset: Ruleset,
    *,
    order_id: str,
    asset: str,
    count: int | None,
    now_ms: int,
) -> tuple[State, Events]:
    """Order the next level of a building or technology (``count`` None), or ``count`` units.

    Settles first. The price is taken at once and recorded in the order; the order starts now if a
    slot of its queue is free. The new order is the last of ``Events.orders``.

    Raises UnknownAsset, InvalidCount (also for a price or a time beyond all bounds), MaxLevel,
    PrerequisitesMissing, QueueFull, InsufficientResources.
    """
    rules = find_asset(ruleset, asset)
    check_count(ruleset, rules, count)
    draft = Draft(state, ruleset)
    settle(draft, now_ms)
    level = next_level(draft.levels, draft.orders, rules)
    missing = ruleset.missing(asset, draft.levels, draft.units)
    if missing:
        raise PrerequisitesMissing(missing)
    queue = ruleset.queues[rules.queue]
    ahead = draft.pending.loads.get(queue.name, NO_LOAD)
    if ahead.length >= queue.slots + queue.length:
        raise QueueFull(queue.name)
    cost = price(ruleset, rules, level, count)
    order = Order(
        id=order_id,
        seq=draft.order_seq + 1,
        asset=asset,
        kind=rules.kind,
        queue=queue.name,
        level=level,
        count=count,
        delivered=0,
        cost=cost,
        refund=rules.refund,
        piece_ms=ruleset.duration_ms(asset, level or 1, draft.levels),
        state="queued",
        placed_ms=draft.at_ms,
        starts_ms=None,
        finishes_ms=None,
    )
    check_time(asset, level, count, draft.at_ms + order.duration_ms + ahead.duration_ms)
    missing = draft.shortfall(cost)
    if missing:
        raise InsufficientResources(missing)
    draft.add(cost, -1)
    draft.enter_amounts("order-placed", order_id=order_id, always=True)
    draft.release_held()
    if draft.may_start(queue.name, asset, rules.kind):
        draft.start(order)
    else:
        draft.put(order)
    return draft.close()


def cancel_order(
    state: State, ruleset: Ruleset, *, order_id: str, now_ms: int
) -> tuple[State, Events, dict[str, int]]:
    """Cancel a pending order and give back its receipt times the refund share.

    Settles first, so an order due by ``now_ms`` completes and cannot be cancelled. Of a batch
    only the undelivered part is refunded. Orders behind it move up; those of the same asset
    keep receipt and duration but are for one level less. The refund is whole units for each
    resource and may lift a stock over its capacity.

    Raises UnknownOrder if no such order is pending (any longer).
    """
    draft = Draft(state, ruleset)
    settle(draft, now_ms)
    order = next((o for o in draft.orders if o.id == order_id), None)
    if order is None:
        raise UnknownOrder(order_id)
    refund = order.refundable()
    draft.close_order(msgspec.structs.replace(order, state="cancelled", finishes_ms=None))
    draft.add(refund)
    draft.enter_amounts("order-cancelled", order_id=order_id, always=True)
    draft.put_all(
        msgspec.structs.replace(behind, level=behind.level - 1)
        for behind in draft.orders
        if behind.asset == order.asset and behind.level is not None and behind.seq > order.seq
    )
    draft.start_waiting(order.queue)
    return *draft.close(), refund


def find_asset(ruleset: Ruleset, address: str) -> Asset:
    """Return the asset at ``address``; raises UnknownAsset."""
    rules = ruleset.assets.get(address)
    if rules is None:
        instances = [each for each in ruleset.assets if each.startswith(f"{address}:")]
        raise UnknownAsset(address, instances)
    return rules


def check_count(ruleset: Ruleset, rules: Asset, count: int | None) -> None:
    """Raise InvalidCount unless ``count`` fits the asset's kind and bounds."""
    if rules.kind != UNIT:
        if count is not None:
            raise InvalidCount(f"{rules.address} is built level by level: leave count out")
        return
    # A count small enough to be walked may be ordered, whatever the unit does.
    if type(count) is int and 1 <= count <= WALKED_COUNT_MAX:
        return
    most = count_max(ruleset, rules.address)
    if type(count) is not int or not 1 <= count <= most:
        raise InvalidCount(f"count must be an integer from 1 to {most}")


def next_level(levels: Mapping[str, int], orders: tuple[Order, ...], rules: Asset) -> int | None:
    """Return the level that an order placed now would be for, None for units.

    Raises MaxLevel.
    """
    if rules.kind == UNIT:
        return None
    level = levels.get(rules.address, 0) + pending_of(orders, rules.address) + 1
    if rules.max_level is not None and level > rules.max_level:
        raise MaxLevel(rules.address, rules.max_level)
    return level


def price(ruleset: Ruleset, rules: Asset, level: int | None, count: int | None) -> dict[str, int]:
    """Return the price in whole units.

    Raises InvalidCount for a batch that no stock could ever pay.
    """
    cost = ruleset.cost(rules.address, level or 1)
    if count is None:
        return dict(cost)
    total: dict[str, int] = {}
    for name, each in cost.items():
        total[name] = paid = each * count
        if paid > AMOUNT_MAX:
            raise InvalidCount(f"{count} {rules.address} cost more than {AMOUNT_MAX} of a resource")
    return total


def check_time(asset: str, level: int | None, count: int | None, end_ms: int) -> None:
    """Reject an order that could finish after the last moment that can be written.

    Raises MaxLevel; InvalidCount for units.
    """
    if end_ms <= LATEST_MS:
        return
    if count is not None:
        raise InvalidCount(f"{count} {asset} would not be finished before the year 10000")
    because = ": the next would not be finished before the year 10000"
    raise MaxLevel(asset, (level or 1) - 1, because)
