"""Samples: all accounts at one moment, in three numbers for each figure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from actors.inventory.ruleset import Ruleset
    from actors.inventory.views import InventoryView, StockView

Kind: TypeAlias = Literal["stock", "income", "full", "level", "count"]

_CENT: Final = Decimal("0.01")
_SPARE_DIGITS: Final = 28
"""How many more digits a quotient is computed to than its numerator has."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure over all accounts: the mean, and the 10th and 90th percentiles.

    ``kind`` says what is measured: ``stock`` in whole units, ``income`` in units per hour,
    ``full`` the percentage of accounts whose stock has reached its capacity, ``level`` of a
    building (the average of its instances) or technology, ``count`` of a unit.
    """

    kind: Kind
    name: str
    mean: Decimal
    p10: Decimal
    p90: Decimal


@dataclass(frozen=True, slots=True)
class Sample:
    """All figures at one moment, in milliseconds since the world began."""

    at_ms: int
    figures: tuple[Figure, ...]


class Sampler:
    """Makes samples from the views of all accounts."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._ruleset = ruleset
        self._owned = tuple(
            (addresses, ruleset.assets[addresses[0]].max_level is None)
            for addresses in ruleset.addresses.values()
        )

    def sample(self, at_ms: int, views: Sequence[InventoryView]) -> Sample:
        """Summarise the views of one moment."""
        return Sample(at_ms, tuple(self._figures(views)))

    def _figures(self, views: Sequence[InventoryView]) -> Iterator[Figure]:
        for name in self._ruleset.resources:
            yield from _stock_figures(name, [view.resources[name] for view in views])
        everything = [{**view.buildings, **view.technologies, **view.units} for view in views]
        for addresses, is_unit in self._owned:
            name = self._ruleset.assets[addresses[0]].name
            owned = [sum([owned.get(address, 0) for address in addresses]) for owned in everything]
            yield figure("count" if is_unit else "level", name, owned, len(addresses))


def _stock_figures(name: str, stocks: Sequence[StockView]) -> Iterator[Figure]:
    yield figure("stock", name, [stock.amount for stock in stocks])
    yield figure("income", name, [stock.per_hour for stock in stocks])
    full = [stock.capacity is not None and stock.amount >= stock.capacity for stock in stocks]
    yield figure("full", name, [100 * each for each in full])


def figure(kind: Kind, name: str, values: Sequence[int], share: int = 1) -> Figure:
    """Summarise one figure of at least one account; every value is divided by ``share``.

    Percentiles use the nearest rank: values that some account really has.
    """
    ranked = sorted(values)
    return Figure(
        kind,
        name,
        _quotient(sum(ranked), share * len(ranked)),
        _quotient(ranked[_rank(10, len(ranked))], share),
        _quotient(ranked[_rank(90, len(ranked))], share),
    )


def _rank(percent: int, count: int) -> int:
    """Return the index of a percentile in a sorted list."""
    return max(0, -(-percent * count // 100) - 1)


def _quotient(numerator: int, denominator: int) -> Decimal:
    if denominator == 1:
        return Decimal(numerator)
    with localcontext(Context(prec=len(str(numerator)) + _SPARE_DIGITS)):
        return (Decimal(numerator) / denominator).quantize(_CENT, ROUND_HALF_EVEN)
