"""The tutorial: a first run in which things happen while you watch."""

from __future__ import annotations

import pytest

from actors.inventory.ruleset import Ruleset, load_ruleset


@pytest.fixture(scope="module")
def tutorial() -> Ruleset:
    """Return the ruleset for a first run."""
    return load_ruleset("tutorial")


def start(ruleset: Ruleset) -> dict[str, int]:
    """Return a new account's stocks."""
    return {name: resource.start for name, resource in ruleset.resources.items()}


def test_tutorial_first_building_takes_five_seconds(tutorial: Ruleset) -> None:
    """The first building is affordable, has no prerequisites, and takes five seconds."""
    assert tutorial.missing("cottage", {}, {}) == {}
    assert tutorial.duration_ms("cottage", 1, {}) == 5_000


def test_tutorial_stock_buys_two_orders_and_not_three(tutorial: Ruleset) -> None:
    """A player is first refused for lack of resources after two orders."""
    stock = start(tutorial)
    for address in ("cottage", "woodcutter"):
        for name, amount in tutorial.cost(address, 1).items():
            stock[name] -= amount
    assert min(stock.values()) >= 0
    assert any(amount > stock[name] for name, amount in tutorial.cost("quarry", 1).items())


def test_tutorial_has_a_prerequisite_to_meet_in_every_branch(tutorial: Ruleset) -> None:
    """Beyond the first building there is always something to unlock."""
    locked = [address for address in tutorial.assets if tutorial.missing(address, {}, {})]
    assert set(tutorial.assets) - set(locked) == {"cottage", "storehouse"}


def test_tutorial_workers_are_scarce_at_first(tutorial: Ruleset) -> None:
    """One cottage feeds a woodcutter and a quarry; the next level of either is slower."""
    enough = tutorial.rates({"cottage": 1, "woodcutter": 1, "quarry": 1}, {})
    assert enough.balances["workers"].factor_percent == 100
    short = tutorial.rates({"cottage": 1, "woodcutter": 2, "quarry": 1}, {})
    assert short.balances["workers"].factor_percent < 100


def test_tutorial_stores_fill_within_minutes(tutorial: Ruleset) -> None:
    """Capacity matters: with the first woodcutter wood is full in under five minutes."""
    rates = tutorial.rates({"cottage": 1, "woodcutter": 1}, {})
    room = (rates.capacity["wood"] or 0) - tutorial.resources["wood"].start
    assert room * 3600 / rates.per_hour["wood"] < 300


def test_tutorial_every_price_fits_into_its_stores(tutorial: Ruleset) -> None:
    """With a storehouse one level below, a building's first five levels are affordable."""
    for level in range(1, 6):
        stored = {"storehouse": level, "market": level}
        room = tutorial.rates(stored, {}).capacity
        for asset in tutorial.assets.values():
            for name, price in tutorial.cost(asset.address, level).items():
                assert price <= (room[name] or 0), (asset.address, level)


def test_tutorial_offers_what_there_is_to_try(tutorial: Ruleset) -> None:
    """Six buildings, two technologies, two units, two queues, and transfers."""
    kinds = [asset.kind for asset in tutorial.assets.values()]
    assert [kinds.count(kind) for kind in ("building", "technology", "unit")] == [6, 2, 2]
    assert len(tutorial.queues) == 2
    assert tutorial.transfers.enabled
    assert tutorial.transfers.overflow == "hold"
