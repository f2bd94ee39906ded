"""The two halves of a transfer: what leaves one inventory, what reaches another.

The ruleset decides what a credit does with goods for which there is no room:

- ``reject``: the whole credit is refused.
- ``hold``: the rest is held for the account and flows into the stock by itself as soon as there
  is room: when something is spent, a capacity rises, or consumption lowers the stock. Held goods
  cannot be spent, are never lost, and appear in the ledger as ``held:<resource>``.
- ``spill``: the rest is lost; the ledger shows all of it arriving and the rest leaving again with
  the cause ``spilled``, so that sources minus sinks stay equal to holdings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from actors.inventory.engine.draft import Draft
from actors.inventory.engine.grains import (
    AMOUNT_MAX,
    CEILING_GRAINS_MAX,
    to_grains,
    to_units,
)
from actors.inventory.engine.settle import settle
from actors.inventory.errors import InsufficientResources, InvalidAmount, NoRoom, UnknownAsset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.inventory.engine.state import Events, State
    from actors.inventory.ruleset import Ruleset
    from actors.inventory.ruleset.model import Overflow


def debit(
    state: State,
    ruleset: Ruleset,
    *,
    resources: Mapping[str, int],
    now_ms: int,
    cause: str,
    transfer_id: str,
) -> tuple[State, Events]:
    """Settle, then take whole units out of the stocks, all of them or none.

    Raises UnknownAsset, InvalidAmount, InsufficientResources.
    """
    check_resources(ruleset, resources)
    draft = Draft(state, ruleset)
    settle(draft, now_ms)
    missing = draft.shortfall(resources)
    if missing:
        raise InsufficientResources(missing)
    draft.add(resources, -1)
    draft.enter_amounts(cause, transfer_id=transfer_id)
    draft.release_held()
    return draft.close()


def credit(
    state: State,
    ruleset: Ruleset,
    *,
    resources: Mapping[str, int],
    now_ms: int,
    cause: str,
    transfer_id: str,
    overflow: Overflow,
) -> tuple[State, Events]:
    """Settle, then bring whole units into the stocks; ``overflow`` governs what does not fit.

    Raises UnknownAsset, InvalidAmount, and NoRoom: under ``reject`` if the whole does not fit
    under the capacity, under ``hold`` if more than `AMOUNT_MAX` would be held.
    """
    check_resources(ruleset, resources)
    draft = Draft(state, ruleset)
    settle(draft, now_ms)
    rooms = _rooms(draft)
    match overflow:
        case "reject":
            _refuse_beyond(resources, rooms)
            draft.add(resources)
            draft.enter_amounts(cause, transfer_id=transfer_id)
        case "hold":
            spaces = {name: CEILING_GRAINS_MAX - draft.held.get(name, 0) for name in resources}
            _refuse_beyond(resources, spaces)
            _fill(draft, resources, rooms)
            draft.enter_amounts(cause, transfer_id=transfer_id)
        case "spill":
            draft.add(resources)
            draft.enter_amounts(cause, transfer_id=transfer_id)
            _spill(draft, resources, rooms)
            draft.enter_amounts("spilled", transfer_id=transfer_id)
        case _ as unreachable:
            assert_never(unreachable)
    return draft.close()


def give_back(
    state: State,
    ruleset: Ruleset,
    *,
    resources: Mapping[str, int],
    now_ms: int,
    cause: str,
    transfer_id: str,
) -> tuple[State, Events]:
    """Settle, then return what a debit took, like a refund: over the capacity if need be.

    Raises UnknownAsset if the rules have changed meanwhile and no longer know it. An amount that
    rule changes have merged beyond what one transfer may carry still comes back.
    """
    _check_known(ruleset, resources)
    draft = Draft(state, ruleset)
    settle(draft, now_ms)
    draft.add(resources)
    draft.enter_amounts(cause, transfer_id=transfer_id)
    return draft.close()


def held_units(state: State) -> dict[str, int]:
    """Return the whole units that are held for lack of room."""
    held = {name: to_units(amount) for name, amount in state.held.items()}
    return {name: units for name, units in held.items() if units}


def check_resources(ruleset: Ruleset, resources: Mapping[str, int]) -> None:
    """Raise UnknownAsset or InvalidAmount unless this is what a transfer may carry."""
    if not resources:
        raise InvalidAmount("a transfer must carry at least one resource")
    _check_known(ruleset, resources)
    for name, units in resources.items():
        if type(units) is not int or not 1 <= units <= AMOUNT_MAX:
            raise InvalidAmount(f"{name} must be an integer from 1 to {AMOUNT_MAX}", name)


def _check_known(ruleset: Ruleset, resources: Mapping[str, int]) -> None:
    for name in resources:
        if name not in ruleset.resources:
            raise UnknownAsset(name, what="resource")


def _rooms(draft: Draft) -> dict[str, int]:
    """Return the grains that still fit into each stock."""
    return {name: max(0, ceiling - draft.amounts[name]) for name, _, ceiling in draft.flows.streams}


def _refuse_beyond(resources: Mapping[str, int], rooms: Mapping[str, int]) -> None:
    tight = {
        name: to_units(rooms[name])
        for name, units in resources.items()
        if to_grains(units) > rooms[name]
    }
    if tight:
        raise NoRoom(tight)


def _fill(draft: Draft, resources: Mapping[str, int], rooms: Mapping[str, int]) -> None:
    """Bring in what fits and hold the rest."""
    amounts = dict(draft.amounts)
    held = dict(draft.held)
    for name, units in resources.items():
        grains = to_grains(units)
        fitting = min(grains, rooms[name])
        amounts[name] += fitting
        if grains > fitting:
            held[name] = held.get(name, 0) + grains - fitting
    draft.amounts = amounts
    draft.held = held


def _spill(draft: Draft, resources: Mapping[str, int], rooms: Mapping[str, int]) -> None:
    """Lose what was brought in beyond the available room."""
    amounts = dict(draft.amounts)
    for name, units in resources.items():
        amounts[name] -= max(0, to_grains(units) - rooms[name])
    draft.amounts = amounts
