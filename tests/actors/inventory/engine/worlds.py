"""A small world for the tests of the engine, loaded from TOML, and readers of its states."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from actors.inventory.engine import grant, new_state
from actors.inventory.engine.grains import to_units
from actors.inventory.engine.transfers import held_units
from actors.inventory.ruleset import Ruleset, load_ruleset

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from actors.inventory.engine import Events, State
    from actors.inventory.views import LedgerEntry

NOW = 1_700_000_000_000
SECOND = 1_000
HOUR = 3_600_000
ORDER_CAUSES = ("order-placed", "order-started", "order-cancelled")
"""Causes of entries that stand in the ledger even if no asset moves."""

COLONY = """
title = "Colony"

[resources.metal]
start = 500
base_per_hour = 30
base_capacity = 2000
[resources.crystal]
start = 500
base_per_hour = 15
base_capacity = 2000
[resources.gas]

[balances.energy]

[queues.construction]
slots = 1
length = 2
[queues.research]
[queues.yard]
slots = 2
length = 3

[defaults.buildings]
queue = "construction"
refund = 0.8
max_level = 8
[defaults.technologies]
queue = "research"
max_level = 5
[defaults.units]
queue = "yard"
refund = 0.5

[buildings.mine]
cost = {metal = 60, crystal = 15}
cost_growth = 1.5
duration = "40 * level"
produces = {metal = "120 * level * 1.1 ** level"}
balance = {energy = "-10 * level"}
[buildings.plant]
cost = {metal = 75, crystal = 30}
cost_growth = 1.5
duration = "30 * level"
balance = {energy = "13 * level"}
[buildings.field]
instances = 3
cost = {crystal = 20}
cost_growth = 2
duration = "25 * level"
produces = {crystal = "370 * level"}
[buildings.well]
cost = {metal = 40}
duration = 20
produces = {gas = "1700 * level"}
[buildings.store]
cost = {metal = 100}
duration = 60
capacity = {metal = "1000 * level", crystal = "500 * level"}
[buildings.burner]
cost = {metal = 10}
duration = 15
consumes = {metal = "900 * level"}

[technologies.optics]
cost = {crystal = 100}
duration = 50
requires = {plant = 1}
[technologies.refining]
cost = {crystal = 10}
duration = 35
modifiers = [{what = "production", resource = "gas", share = "0.05 * level"}]

[units.scout]
cost = {metal = 3, crystal = 1}
duration = 7
[units.satellite]
cost = {crystal = 2}
duration = 11
balance = {energy = 3}
[units.soldier]
cost = {metal = 2}
duration = 5
consumes = {metal = 7}
[units.digger]
cost = {metal = 1}
duration = 3
produces = {gas = "7 / 3", crystal = 10}
[units.courier]
cost = {metal = 1}
duration = 4
consumes = {crystal = "5 / 3"}
balance = {energy = -1}
[units.barge]
cost = {metal = 1}
duration = 13
capacity = {metal = 5}
"""


@cache
def world(text: str = COLONY) -> Ruleset:
    """Load a ruleset from its text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "colony.toml")
        path.write_text(text, encoding="utf-8")
        return load_ruleset(path)


def begin(rules: Ruleset, **changes: object) -> State:
    """Return a new inventory at `NOW`, with some members replaced."""
    state, _ = new_state("account", rules, NOW)
    return msgspec.structs.replace(state, **changes)


def granted(**changes: int) -> State:
    """Return a new inventory of `world` with these changes."""
    rules = world()
    return grant(begin(rules), rules, changes=changes, now_ms=NOW, cause="grant")[0]


def essence(state: State) -> State:
    """Return a state without the one field that depends on how often it was settled."""
    return msgspec.structs.replace(state, seq=0)


def whole(state: State) -> dict[str, int]:
    """Return everything an account owns, by its name in the ledger, without zeros."""
    held = {f"held:{name}": amount for name, amount in held_units(state).items()}
    stocks = {name: to_units(amount) for name, amount in state.amounts.items()}
    everything = {**stocks, **held, **state.levels, **state.units}
    return {name: amount for name, amount in everything.items() if amount}


def replay(entries: Iterable[LedgerEntry]) -> dict[str, int]:
    """Return the totals of a ledger, checking sequence, time and every balance on the way."""
    owned: dict[str, int] = {}
    last_ms = 0
    for seq, entry in enumerate(entries, start=1):
        assert entry.seq == seq
        assert entry.at_ms >= last_ms
        assert entry.changes or entry.cause in ORDER_CAUSES
        last_ms = entry.at_ms
        for name, change in entry.changes.items():
            assert change.delta != 0
            owned[name] = owned.get(name, 0) + change.delta
            assert change.balance == owned[name] >= 0
    return {name: amount for name, amount in owned.items() if amount}


def causes(events: Events) -> list[str]:
    """Return the causes of the ledger entries, in their sequence."""
    return [entry.cause for entry in events.entries]


def deltas(entry: LedgerEntry) -> Mapping[str, int]:
    """Return the changes of an entry without its balances."""
    return {name: change.delta for name, change in entry.changes.items()}
