"""An operator's grants: signed changes to what an account owns, all of them or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from actors.inventory.engine.draft import Draft
from actors.inventory.engine.grains import AMOUNT_MAX, GRAINS_PER_UNIT
from actors.inventory.engine.orders import UNIT, pending_of
from actors.inventory.engine.settle import settle
from actors.inventory.errors import InsufficientResources, InvalidAmount, UnknownAsset
from actors.inventory.views import ChangeView

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.inventory.engine.state import Events, State
    from actors.inventory.ruleset import Ruleset


def grant(
    state: State,
    ruleset: Ruleset,
    *,
    changes: Mapping[str, int],
    now_ms: int,
    cause: str,
) -> tuple[State, Events]:
    """Settle, then add each change to the resource, unit or level of that name, as one entry.

    A change is a strict integer other than 0. Resources may rise above their capacity, up to
    `AMOUNT_MAX`; any part of what a refund lifted beyond that can be taken. Prerequisites are not
    checked. Pending orders of a level that moves stay one above it, so none is skipped or built
    twice.

    Raises UnknownAsset, InvalidAmount (beyond a bound), InsufficientResources (something would
    fall below zero).
    """
    _check_changes(ruleset, changes)
    draft = Draft(state, ruleset)
    settle(draft, now_ms)
    after = {name: _owned(draft, name) + delta for name, delta in changes.items()}
    missing = {name: -amount for name, amount in after.items() if amount < 0}
    if missing:
        raise InsufficientResources(missing)
    for name, amount in after.items():
        if changes[name] > 0:
            _check_bound(draft, name, amount)
    draft.add({name: n for name, n in changes.items() if name in ruleset.resources})
    owned = {name: n for name, n in after.items() if name not in ruleset.resources}
    if owned:
        _set_owned(draft, owned)
        _shift_pending(draft, changes)
        draft.reflow()
    draft.enter_amounts(
        cause, also={name: ChangeView(changes[name], amount) for name, amount in owned.items()}
    )
    draft.release_held()
    return draft.close()


def _check_changes(ruleset: Ruleset, changes: Mapping[str, int]) -> None:
    if not changes:
        raise InvalidAmount("a grant must change at least one asset")
    for name, delta in changes.items():
        if name not in ruleset.resources and name not in ruleset.assets:
            instances = ruleset.addresses.get(name, ())
            raise UnknownAsset(name, instances, what="resource or asset")
        if type(delta) is not int or not 1 <= abs(delta) <= AMOUNT_MAX:
            raise InvalidAmount(f"{name} must change by an integer of 1 to {AMOUNT_MAX}", name)


def _owned(draft: Draft, name: str) -> int:
    """Whole units, level or count of ``name``."""
    if name in draft.amounts:
        return draft.amounts[name] // GRAINS_PER_UNIT
    return draft.levels.get(name, 0) + draft.units.get(name, 0)


def _check_bound(draft: Draft, name: str, amount: int) -> None:
    bound = AMOUNT_MAX
    rules = draft.ruleset.assets.get(name)
    if rules is not None and rules.max_level is not None:
        bound = rules.max_level - pending_of(draft.orders, name)
    if amount > bound:
        raise InvalidAmount(f"{name} cannot exceed {bound}", name)


def _set_owned(draft: Draft, owned: Mapping[str, int]) -> None:
    levels = dict(draft.levels)
    units = dict(draft.units)
    for name, amount in owned.items():
        target = units if draft.ruleset.assets[name].kind == UNIT else levels
        target[name] = amount
        if not amount:
            del target[name]
    draft.levels = levels
    draft.units = units


def _shift_pending(draft: Draft, changes: Mapping[str, int]) -> None:
    draft.put_all(
        msgspec.structs.replace(order, level=order.level + changes[order.asset])
        for order in draft.orders
        if order.asset in changes and order.level is not None
    )
