"""Warnings: what a designer should look at in a ruleset that loads.

Problems stop a ruleset from loading; warnings do not.  They concern what is allowed yet seldom
intended: levels that nobody can pay for or live to see, room that is smaller than the next
price, values that fall as levels rise, assets that act before they are built, free assets, names
that nothing uses.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from actors.inventory.ruleset.errors import Problem
from actors.inventory.ruleset.model import SECTIONS
from actors.inventory.ruleset.prices import HOLDING_MAX
from actors.inventory.ruleset.rates import bounded_room

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from actors.inventory.ruleset.ruleset import Ruleset
    from actors.inventory.ruleset.sheets import Flow, Sheet
    from actors.inventory.ruleset.tables import Ratio

DURATION_MAX_S: Final = 250_000_000_000
"""Seconds from today to some decades before the year 9999, when the calendar ends."""

_NO_TRANSFERS: Final = "there are no transfers: enabled is not true"


def warnings_of(ruleset: Ruleset) -> tuple[Problem, ...]:
    """Return the warnings, in the order of the file's tables."""
    found = [*_stocks(ruleset), *_balances(ruleset), *_queues(ruleset), *_transfers(ruleset)]
    for name, sheet in ruleset.sheets.items():
        where = f"{SECTIONS[sheet.kind]}.{name}"
        found += _free(where, sheet)
        found += _affordable(ruleset, where, sheet)
        found += _endless(where, sheet)
        if sheet.kind != "unit":
            found += _own_room(ruleset, where, sheet)
            found += _falling(where, sheet)
            found += _unbuilt(where, sheet)
            found += _unbuilt_modifiers(ruleset, where, sheet)
    return tuple(found)


def _stocks(ruleset: Ruleset) -> Iterator[Problem]:
    for name, resource in ruleset.resources.items():
        where = f"resources.{name}"
        made = any(sheet.effects.produces(name) for sheet in ruleset.sheets.values())
        if not made and resource.base_per_hour == 0:
            yield Problem(where, "nothing produces it")
        room = resource.base_capacity
        if room is not None and resource.start > room:
            yield Problem(where, f"the starting stock, {resource.start}, exceeds {room}")


def _balances(ruleset: Ruleset) -> Iterator[Problem]:
    for name in ruleset.balances:
        users = [each.name for each in ruleset.sheets.values() if name in each.effects.draws]
        makes = any(
            flow.name == name and any(numerator > 0 for numerator, _ in flow.exact.values)
            for sheet in ruleset.sheets.values()
            for flow in sheet.effects.balance
        )
        if users and not makes:
            message = f"nothing produces it, so {users[0]}, which uses it, produces nothing"
            yield Problem(f"balances.{name}", message)


def _queues(ruleset: Ruleset) -> Iterator[Problem]:
    used = {asset.queue for asset in ruleset.assets.values()}
    for name in ruleset.queues:
        if name not in used:
            yield Problem(f"queues.{name}", "no asset uses it")


def _transfers(ruleset: Ruleset) -> Iterator[Problem]:
    transfers = ruleset.transfers
    if transfers.enabled:
        return
    if transfers.per_day_max is not None:
        yield Problem("transfers.per_day_max", _NO_TRANSFERS)
    # An unstated policy is `reject` as well.
    if transfers.overflow != "reject":
        yield Problem("transfers.overflow", _NO_TRANSFERS)


def _free(where: str, sheet: Sheet) -> Iterator[Problem]:
    """Report a unit that anybody may have any number of."""
    if sheet.kind == "unit" and not any(sheet.costs):
        message = "one costs nothing: every price rounds to 0"
        yield Problem(f"{where}.cost", message)


def _affordable(ruleset: Ruleset, where: str, sheet: Sheet) -> Iterator[Problem]:
    """Report the first level that costs more of a resource than there can ever be room for."""
    most = {resource: _most_room(ruleset, resource) for resource in ruleset.resources}
    for level, cost in enumerate(sheet.costs, 1):
        for resource, price in cost.items():
            room = most[resource]
            if price > room:
                what = "one" if sheet.kind == "unit" else f"level {level}"
                message = f"{what} costs {price}, but there is never room for more than {room}"
                yield Problem(f"{where}.cost.{resource}", message)
                return


def _endless(where: str, sheet: Sheet) -> Iterator[Problem]:
    """Report the first level that takes longer than the calendar lasts, whatever shortens it."""
    shortened = Fraction(1)
    for factor in sheet.duration_factors:
        shortened *= min(Fraction(1), *(Fraction(*value) for value in factor.values))
    table = sheet.duration
    for level in range(1, len(sheet.costs) + 1):
        # Own levels vary fastest; the others only repeat the row.
        row = table.values[min(level - 1, table.last) :: table.last + 1]
        seconds = min(Fraction(*value) for value in row) * shortened
        if seconds > DURATION_MAX_S:
            what = "one" if sheet.kind == "unit" else f"level {level}"
            message = f"{what} takes {float(seconds):.3g} seconds, beyond the year 9999"
            yield Problem(f"{where}.duration", message)
            return


def _own_room(ruleset: Ruleset, where: str, sheet: Sheet) -> Iterator[Problem]:
    """Report the first level of a store that costs more than the level before it has room for."""
    for flow in sheet.effects.capacity:
        if _stores(ruleset, flow.name) != [sheet.name]:
            continue
        base = ruleset.resources[flow.name].base_capacity or 0
        for level, cost in enumerate(sheet.costs, 1):
            room = bounded_room(base + flow.of(level - 1, {}, is_unit=False))
            price = cost.get(flow.name, 0)
            if price > room:
                message = f"level {level} costs {price} {flow.name}, but level {level - 1} has room"
                yield Problem(f"{where}.capacity.{flow.name}", f"{message} for only {room}")
                break


def _falling(where: str, sheet: Sheet) -> Iterator[Problem]:
    """Report every table whose values fall somewhere as the level rises."""
    resources = dict.fromkeys(name for cost in sheet.costs for name in cost)
    for name in resources:
        yield from _fall(f"{where}.cost.{name}", [cost.get(name, 0) for cost in sheet.costs], 1)
    if not sheet.duration.axes:
        seconds = [top // low for top, low in sheet.duration.values]
        yield from _fall(f"{where}.duration", seconds, 1)
    for key, flows in _sections(sheet).items():
        for flow in flows:
            if not flow.whole.axes:
                values = [abs(value) for value in flow.whole.values]
                yield from _fall(f"{where}.{key}.{flow.name}", values, 0)


def _fall(where: str, values: Sequence[int], first: int) -> Iterator[Problem]:
    for level, (value, after) in enumerate(pairwise(values), first):
        if after < value:
            message = f"falls from {value} at level {level} to {after} at level {level + 1}"
            yield Problem(where, message)
            return


def _unbuilt(where: str, sheet: Sheet) -> Iterator[Problem]:
    """Report what an asset balances before it is built: nearly always a forgotten level."""
    for flow in sheet.effects.balance:
        value = flow.of(0, {}, is_unit=False)
        if value:
            message = f"comes to {value} before anything is built (level 0)"
            yield Problem(f"{where}.balance.{flow.name}", message)


def _unbuilt_modifiers(ruleset: Ruleset, where: str, sheet: Sheet) -> Iterator[Problem]:
    """Report what an asset changes in others before it is built, as a plain number does."""
    factors = {
        factor.values[0]: None
        for other in ruleset.sheets.values()
        for factor in other.duration_factors
        if factor.name == sheet.name
    }
    shares = {bonus.shares[0]: None for bonus in ruleset.works.bonuses if bonus.name == sheet.name}
    found: list[tuple[str, Ratio]] = [
        *(("factor", value) for value in factors if value[0] != value[1]),
        *(("share", value) for value in shares if value[0]),
    ]
    for key, (numerator, denominator) in found:
        value = f"{numerator / denominator:g}"
        message = f"a {key} of {value} acts before anything is built (level 0)"
        yield Problem(f"{where}.modifiers", message)


def _sections(sheet: Sheet) -> Mapping[str, Sequence[Flow]]:
    effects = sheet.effects
    return {
        "produces": [flow for flow in effects.makes if flow.sign > 0],
        "consumes": [flow for flow in effects.makes if flow.sign < 0],
        "balance": effects.balance,
        "capacity": effects.capacity,
    }


def _stores(ruleset: Ruleset, resource: str) -> list[str]:
    return [name for name, sheet in ruleset.sheets.items() if sheet.effects.stores(resource)]


def _most_room(ruleset: Ruleset, resource: str) -> int:
    """Return the room with every store at its highest, and at most what an account can hold."""
    room = ruleset.resources[resource].base_capacity
    if room is None:
        return HOLDING_MAX
    for name in _stores(ruleset, resource):
        sheet = ruleset.sheets[name]
        if sheet.kind == "unit":
            return HOLDING_MAX
        for flow in sheet.effects.capacity:
            if flow.name == resource:
                room += max(flow.whole.values) * len(ruleset.addresses[name])
    return min(room, HOLDING_MAX)
