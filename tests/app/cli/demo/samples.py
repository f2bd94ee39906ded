"""Server answers for the demo's tests, without the fields that they do not read."""

from __future__ import annotations

from datetime import UTC, datetime

from holdfast_client.types import Inventory, Order, Stock

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def order(
    asset: str,
    *,
    kind: str = "building",
    state: str = "queued",
    level: int | None = None,
    count: int | None = None,
    **cost: int,
) -> Order:
    """Make an order that has not begun."""
    return Order(f"id-{asset}", asset, kind, cost, state, NOW, None, None, level, count)


def stock(amount: int, per_hour: int = 0, capacity: int | None = None) -> Stock:
    """Make a stock."""
    return Stock(amount, per_hour, capacity, None)


def inventory(
    gold: Stock, *orders: Order, at: datetime = NOW, buildings: dict[str, int] | None = None
) -> Inventory:
    """Make an inventory of gold, buildings and pending orders."""
    return Inventory(
        account_id="account",
        version=1,
        at=at,
        tick=1,
        resources={"gold": gold},
        balances={},
        buildings=buildings or {},
        technologies={},
        units={},
        orders=list(orders),
    )
