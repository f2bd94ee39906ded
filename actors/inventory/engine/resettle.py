"""A change of ruleset: settle under the old one, continue under the new.

Pending orders keep price, duration and refund; they move to the queue that the new ruleset gives
their asset. Resources that are new begin at zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from actors.inventory.engine.draft import HELD_PREFIX, Draft
from actors.inventory.engine.grains import GRAINS_PER_UNIT, to_units
from actors.inventory.engine.orders import UNIT, Order
from actors.inventory.engine.settle import advance
from actors.inventory.engine.state import Events, State
from actors.inventory.errors import RulesetMismatch
from actors.inventory.views import ChangeView

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from actors.inventory.ruleset import Ruleset


class _Names(NamedTuple):
    """The names of the new ruleset, and what became of the old ones."""

    ruleset: Ruleset
    renamed: Mapping[str, str]

    def of(self, old: str) -> str:
        """Return the new name; a renamed building keeps its instances."""
        if old in self.renamed:
            return self.renamed[old]
        name, colon, instance = old.partition(":")
        return self.renamed.get(name, name) + colon + instance

    def has_resource(self, old: str) -> bool:
        return self.of(old) in self.ruleset.resources

    def has_asset(self, old: str, *, unit: bool) -> bool:
        rules = self.ruleset.assets.get(self.of(old))
        return rules is not None and (rules.kind == UNIT) is unit


def resettle(
    state: State,
    old: Ruleset,
    new: Ruleset,
    now_ms: int,
    *,
    renamed: Mapping[str, str] | None = None,
) -> tuple[State, Events]:
    """Settle ``state`` to ``now_ms`` under ``old`` and hand it over to ``new``.

    ``renamed`` maps old names of resources and assets to new ones; two resources or two units may
    become one. The ledger shows the move, cause ``ruleset-changed``.

    Raises RulesetMismatch naming what is owned, held or on order but has no place in ``new``.
    """
    settled, before = advance(state, old, now_ms)
    names = _Names(new, renamed or {})
    removed = _removed(settled, names)
    if removed:
        raise RulesetMismatch(removed)
    draft = Draft(settled, new)
    amounts = dict.fromkeys(new.resources, 0)
    amounts.update(_merged(settled.amounts, names, new.resources))
    draft.rebase(amounts, _merged(settled.held, names, new.resources))
    draft.levels = _merged(settled.levels, names, new.assets)
    draft.units = _merged(settled.units, names, new.assets)
    moved = [_moved(order, names) for order in settled.orders]
    draft.put_all(now for was, now in zip(settled.orders, moved, strict=True) if now != was)
    draft.reflow()
    changes = _changes(settled, draft)
    if changes:
        draft.enter("ruleset-changed", changes)
    draft.release_held()
    for queue in new.queues:
        draft.start_waiting(queue)
    state, after = draft.close()
    return state, _joined(before, after)


def _removed(state: State, names: _Names) -> tuple[str, ...]:
    """Return, by old name and once each, what the new ruleset has no place for."""
    stocks = [name for name, grains in state.amounts.items() if to_units(grains)]
    stocks += state.held
    levels = list(state.levels)
    units = list(state.units)
    for order in state.orders:
        stocks += order.cost
        (units if order.kind == UNIT else levels).append(order.asset)
    removed = [name for name in stocks if not names.has_resource(name)]
    removed += [name for name in levels if not names.has_asset(name, unit=False)]
    removed += [name for name in units if not names.has_asset(name, unit=True)]
    removed += _collisions(dict.fromkeys(levels), names)
    return tuple(dict.fromkeys(removed))


def _collisions(levels: Iterable[str], names: _Names) -> list[str]:
    """Return the buildings and technologies that would merge, so that a level is lost."""
    sources: dict[str, list[str]] = {}
    for old in levels:
        sources.setdefault(names.of(old), []).append(old)
    return [old for olds in sources.values() if len(olds) > 1 for old in olds]


def _merged(owned: Mapping[str, int], names: _Names, known: Mapping[str, object]) -> dict[str, int]:
    """Return the same under the new names.

    Only a fraction of a unit of a removed resource can be left out.
    """
    result: dict[str, int] = {}
    for old, amount in owned.items():
        name = names.of(old)
        if name in known:
            result[name] = result.get(name, 0) + amount
    return result


def _moved(order: Order, names: _Names) -> Order:
    rules = names.ruleset.assets[names.of(order.asset)]
    return msgspec.structs.replace(
        order,
        asset=rules.address,
        kind=rules.kind,
        queue=rules.queue,
        cost=_merged(order.cost, names, names.ruleset.resources),
    )


def _changes(before: State, draft: Draft) -> dict[str, ChangeView]:
    """Return the move's effect on each name, in whole units, levels and counts."""
    old = _balances(before.amounts, before.held, before.levels, before.units)
    new = _balances(draft.amounts, draft.held, draft.levels, draft.units)
    return {
        name: ChangeView(new.get(name, 0) - old.get(name, 0), new.get(name, 0))
        for name in {**old, **new}
        if new.get(name, 0) != old.get(name, 0)
    }


def _balances(
    amounts: Mapping[str, int],
    held: Mapping[str, int],
    levels: Mapping[str, int],
    units: Mapping[str, int],
) -> dict[str, int]:
    """Return the balance of everything as the ledger counts it."""
    return {
        **{name: grains // GRAINS_PER_UNIT for name, grains in amounts.items()},
        **{HELD_PREFIX + name: grains // GRAINS_PER_UNIT for name, grains in held.items()},
        **levels,
        **units,
    }


def _joined(first: Events, second: Events) -> Events:
    orders = {order.id: order for order in (*first.orders, *second.orders)}
    return Events(first.entries + second.entries, tuple(orders.values()))
