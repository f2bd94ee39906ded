"""The refusals of an Inventory.

::

    InventoryError
    ├── UnknownAsset               (asset)
    ├── UnknownOrder               (order_id)
    ├── OrderNotPending            (order_id, state)
    ├── InsufficientResources      (missing: resource -> whole units short)
    ├── PrerequisitesMissing       (missing: asset -> level needed)
    ├── QueueFull                  (queue)
    ├── MaxLevel                   (asset, level)
    ├── InvalidCount               (message says why)
    ├── IdempotencyKeyReused
    └── AccountGone                (erased while its inventory was live)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class InventoryError(Exception):
    """Whatever an Inventory refuses."""


class UnknownAsset(InventoryError):
    """The ruleset has no asset of this name that can be ordered."""

    def __init__(self, asset: str) -> None:
        super().__init__(f"the ruleset has no asset {asset!r} that can be ordered")
        self.asset = asset


class UnknownOrder(InventoryError):
    """This account has no such order."""

    def __init__(self, order_id: str) -> None:
        super().__init__(f"no order {order_id}")
        self.order_id = order_id


class OrderNotPending(InventoryError):
    """The order is completed or cancelled already."""

    def __init__(self, order_id: str, state: str) -> None:
        super().__init__(f"order {order_id} is {state}")
        self.order_id = order_id
        self.state = state


class InsufficientResources(InventoryError):
    """The price cannot be covered; ``missing`` says how many whole units are short."""

    def __init__(self, missing: Mapping[str, int]) -> None:
        super().__init__("short of " + ", ".join(f"{n} {name}" for name, n in missing.items()))
        self.missing = dict(missing)


class PrerequisitesMissing(InventoryError):
    """Assets that must be there first; ``missing`` gives the level or count needed of each."""

    def __init__(self, missing: Mapping[str, int]) -> None:
        super().__init__("needs " + ", ".join(f"{name} {n}" for name, n in missing.items()))
        self.missing = dict(missing)


class QueueFull(InventoryError):
    """Every place in the queue is taken."""

    def __init__(self, queue: str) -> None:
        super().__init__(f"queue {queue!r} is full")
        self.queue = queue


class MaxLevel(InventoryError):
    """The asset cannot rise above this level."""

    def __init__(self, asset: str, level: int) -> None:
        super().__init__(f"{asset} cannot rise above level {level}")
        self.asset = asset
        self.level = level


class InvalidCount(InventoryError):
    """``count`` does not fit the asset: given for a building, missing or out of bounds."""


class IdempotencyKeyReused(InventoryError):
    """The key was used before with another body."""


class AccountGone(InventoryError):
    """The account was erased."""
