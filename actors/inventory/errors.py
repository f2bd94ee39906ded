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
    ├── ForecastTooFar             (at_ms: the moment up to which a forecast is possible)
    ├── InvalidAmount              (an amount of no known shape or beyond its bounds)
    ├── NoRoom                     (room: resource -> whole units that would fit)
    ├── RulesetMismatch            (removed: what is owned but missing from the new ruleset)
    ├── TransfersDisabled
    ├── UnknownReceiver
    ├── UnknownTransfer            (transfer_id)
    ├── TransferToSelf
    ├── TransferLimit              (left: resource -> whole units that may still be sent today)
    ├── TransferReturned           (transfer_id; the receiver could not take it in)
    ├── IdempotencyKeyReused
    └── AccountGone                (erased while its inventory was live)

and `ChangedElsewhere`, which ends all inventories at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ChangedElsewhere(Exception):
    """Another server writes, or has written, what inventories have cached: they begin anew."""

    def __init__(self) -> None:
        super().__init__("another server may have written to the database in the meantime")


class InventoryError(Exception):
    """Base class of an Inventory's refusals."""


class UnknownAsset(InventoryError):
    """The ruleset has no asset of this name that can be ordered; perhaps instances of it.

    ``what`` names the kind it lacks if the asset was to be sent or granted, not ordered.
    """

    def __init__(self, asset: str, instances: Sequence[str] = (), *, what: str = "") -> None:
        named = f"{what} {asset!r}" if what else f"asset {asset!r} that can be ordered"
        hint = f", only {instances[0]!r} to {instances[-1]!r}" if instances else ""
        super().__init__(f"the ruleset has no {named}{hint}")
        self.asset = asset


class UnknownOrder(InventoryError):
    """This account has no such order."""

    def __init__(self, order_id: str) -> None:
        super().__init__(f"no order {order_id}")
        self.order_id = order_id


class OrderNotPending(InventoryError):
    """The order is already completed or cancelled."""

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
    """The asset cannot rise above this level; ``because`` gives the reason if not the last."""

    def __init__(self, asset: str, level: int, because: str = "") -> None:
        super().__init__(f"{asset} cannot rise above level {level}{because}")
        self.asset = asset
        self.level = level


class InvalidCount(InventoryError):
    """``count`` does not fit the asset: given for a building, missing or out of bounds."""


class ForecastTooFar(InventoryError):
    """Too much changes before the requested moment for one forecast to follow.

    ``at_ms`` is the moment up to which one can; the message gives it in seconds from ``now_ms``.
    """

    def __init__(self, at_ms: int, now_ms: int) -> None:
        seconds = max(0, at_ms - now_ms) // 1000
        super().__init__(f"too many changes until then to forecast: at most {seconds} seconds now")
        self.at_ms = at_ms


class IdempotencyKeyReused(InventoryError):
    """The key was used before with another body."""


class AccountGone(InventoryError):
    """The account was erased."""


class TransfersDisabled(InventoryError):
    """The ruleset does not allow transfers."""

    def __init__(self) -> None:
        super().__init__("this world has no transfers")


class UnknownReceiver(InventoryError):
    """Nobody has the name that a transfer is addressed to."""

    def __init__(self) -> None:
        super().__init__("there is no such account")


class UnknownTransfer(InventoryError):
    """This account has neither sent nor received such a transfer."""

    def __init__(self, transfer_id: str) -> None:
        super().__init__(f"no transfer {transfer_id}")
        self.transfer_id = transfer_id


class TransferToSelf(InventoryError):
    """Sender and receiver are the same account."""

    def __init__(self) -> None:
        super().__init__("an account cannot send anything to itself")


class TransferLimit(InventoryError):
    """More than may be sent in a day; ``left`` gives how much of each may still be sent today."""

    def __init__(self, left: Mapping[str, int]) -> None:
        super().__init__("today only " + ", ".join(f"{n} {name}" for name, n in left.items()))
        self.left = dict(left)


class TransferReturned(InventoryError):
    """The receiver had no room, or is gone: the sender has everything back.

    ``replayed`` if the same key had sent it before.
    """

    def __init__(self, transfer_id: str, *, replayed: bool = False) -> None:
        super().__init__(f"the receiver could not take transfer {transfer_id}; it was returned")
        self.transfer_id = transfer_id
        self.replayed = replayed


class InvalidAmount(InventoryError):
    """An amount is not a strict integer, or is out of bounds; the message says which.

    ``name`` is the asset concerned, empty if no asset was given at all.
    """

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class NoRoom(InventoryError):
    """A credit does not fit; ``room`` gives the whole units that would, for each too large."""

    def __init__(self, room: Mapping[str, int]) -> None:
        super().__init__("no room beyond " + ", ".join(f"{n} {name}" for name, n in room.items()))
        self.room = dict(room)


class RulesetMismatch(InventoryError):
    """This account owns or has ordered something that the new ruleset does not have."""

    def __init__(self, removed: tuple[str, ...]) -> None:
        super().__init__("the new ruleset has no place for " + ", ".join(removed))
        self.removed = removed
