"""The uses of each asset of a ruleset: earning, feeding a balance, storing, shortening."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from actors.inventory.ruleset import Ruleset
    from actors.inventory.ruleset.sheets import Effects, Flow


class Roles:
    """The roles of all assets, by address.

    ``earners`` make resources or boost those that others make; ``feeders`` act on each balance;
    ``stores`` add room for each resource; ``currencies`` are the resources that anything costs.
    ``relevant`` are the addresses on which incomes, and the steps to raise them, depend.
    """

    def __init__(self, ruleset: Ruleset) -> None:
        self._ruleset = ruleset
        self._units = frozenset(
            address for address, rules in ruleset.assets.items() if rules.max_level is None
        )
        self.earners = tuple(self._earners())
        self.feeders = {name: tuple(self._with_flow(name, "balance")) for name in ruleset.balances}
        self.stores = {name: tuple(self._with_flow(name, "capacity")) for name in ruleset.resources}
        self.currencies = tuple(
            name
            for name in ruleset.resources
            if any(name in cost for sheet in ruleset.sheets.values() for cost in sheet.costs)
        )
        self.relevant = tuple(self._relevant())

    def split(self, owned: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int]]:
        """Split owned assets into levels and units."""
        levels = {name: n for name, n in owned.items() if n and name not in self._units}
        units = {name: n for name, n in owned.items() if n and name in self._units}
        return levels, units

    def is_unit(self, address: str) -> bool:
        """Return whether an asset is counted rather than built level by level."""
        return address in self._units

    def shorteners_of(self, address: str) -> list[str]:
        """Return one address of each asset that shortens the building of this one."""
        factors = self._ruleset.sheets[self._ruleset.assets[address].name].duration_factors
        return [factor.addresses[0] for factor in factors]

    def given(self, address: str, balance: str, owned: Mapping[str, int]) -> int:
        """Return what one more of ``address`` gives to a balance; negative if it draws on it."""
        return self._one_more(self._effects(address).balance, address, balance, owned)

    def room(self, address: str, resource: str, owned: Mapping[str, int]) -> int:
        """Return how much room one more of ``address`` adds for a resource."""
        return self._one_more(self._effects(address).capacity, address, resource, owned)

    def _one_more(
        self, flows: Iterable[Flow], address: str, name: str, owned: Mapping[str, int]
    ) -> int:
        is_unit, number = self.is_unit(address), owned.get(address, 0)
        return sum(
            flow.of(number + 1, owned, is_unit=is_unit) - flow.of(number, owned, is_unit=is_unit)
            for flow in flows
            if flow.name == name
        )

    def _effects(self, address: str) -> Effects:
        return self._ruleset.sheets[self._ruleset.assets[address].name].effects

    def _earners(self) -> Iterator[str]:
        bonuses = {address for bonus in self._ruleset.works.bonuses for address in bonus.addresses}
        for address in self._ruleset.assets:
            makes = any(flow.sign > 0 for flow in self._effects(address).makes)
            if makes or address in bonuses:
                yield address

    def _with_flow(self, name: str, kind: str) -> Iterator[str]:
        for address in self._ruleset.assets:
            effects = self._effects(address)
            flows = effects.balance if kind == "balance" else effects.capacity
            if any(flow.name == name for flow in flows):
                yield address

    def _relevant(self) -> Iterator[str]:
        """Yield the addresses of the earners, the feeders, and all that they depend on."""
        names: dict[str, None] = {}
        waiting = [*self.earners, *(each for feeders in self.feeders.values() for each in feeders)]
        while waiting:
            address = waiting.pop()
            rules = self._ruleset.assets[address]
            if rules.name in names:
                continue
            names[rules.name] = None
            effects = self._effects(address)
            waiting += self.shorteners_of(address)
            waiting += [self._ruleset.addresses[need.asset_name][0] for need in rules.requires]
            waiting += [
                axis.addresses[0]
                for flow in (*effects.makes, *effects.balance)
                for axis in flow.exact.axes
            ]
        for address, rules in self._ruleset.assets.items():
            if rules.name in names:
                yield address
