"""Warnings: constructs that a ruleset may contain but that are seldom intended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.inventory.ruleset import load_ruleset, shipped_rulesets
from actors.inventory.ruleset.check import warnings_of
from tests.actors.inventory.ruleset.sources import load

if TYPE_CHECKING:
    from pathlib import Path

SOUND = """
[resources.ore]
base_per_hour = 1
"""


def warnings(folder: Path, text: str) -> dict[str, str]:
    """Return the warnings about a ruleset that loads, by place."""
    return {problem.where: problem.message for problem in warnings_of(load(folder, text))}


def mine(**keys: str) -> str:
    """Return a building that makes gold, with some keys replaced, each given as TOML."""
    fields = {
        "cost": "{ gold = 10 }",
        "duration": "10",
        "max_level": "3",
        "produces": "{ gold = 1 }",
    } | keys
    return "[buildings.mine]\n" + "".join(f"{key} = {value}\n" for key, value in fields.items())


def modifier(text: str) -> str:
    """Return a technology that changes something in others."""
    return (
        f"[technologies.lore]\ncost = {{}}\nduration = 1\n[[technologies.lore.modifiers]]\n{text}"
    )


def test_check_is_content_with_a_sound_ruleset(tmp_path: Path) -> None:
    """Where all is usual, there are no warnings."""
    assert warnings(tmp_path, mine()) == {}


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("[resources.ore]\n" + mine(), "resources.ore", "nothing produces it"),
        (
            "[resources.ore]\nstart = 9\nbase_per_hour = 1\nbase_capacity = 5\n" + mine(),
            "resources.ore",
            "the starting stock, 9, exceeds 5",
        ),
        ("[queues.idle]\n" + mine(queue="'work'"), "queues.idle", "no asset uses it"),
        (
            mine() + "[transfers]\nper_day_max = 5\n",
            "transfers.per_day_max",
            "there are no transfers: enabled is not true",
        ),
        (
            mine() + "[transfers]\noverflow = 'hold'\n",
            "transfers.overflow",
            "there are no transfers: enabled is not true",
        ),
        (
            mine() + "[units.imp]\ncost = { gold = 0.4 }\nduration = 1\n",
            "units.imp.cost",
            "one costs nothing: every price rounds to 0",
        ),
        (
            mine() + "[units.imp]\ncost = { gold = 0 }\ncost_rounding = 'ceil'\nduration = 1\n",
            "units.imp.cost",
            "one costs nothing: every price rounds to 0",
        ),
        (
            mine()
            + "[units.imp]\ncost = { gold = 4 }\ncost_rounding = 'nearest 10'\nduration = 1\n",
            "units.imp.cost",
            "one costs nothing: every price rounds to 0",
        ),
        (
            mine(cost_growth="20"),
            "buildings.mine.cost.gold",
            "level 3 costs 4000, but there is never room for more than 1000",
        ),
        (
            mine() + "[units.ship]\ncost = { gold = 5000 }\nduration = 1\n",
            "units.ship.cost.gold",
            "one costs 5000, but there is never room for more than 1000",
        ),
        (
            mine(cost_growth="31", capacity="{ gold = '1000 * 3 ** level' }"),
            "buildings.mine.capacity.gold",
            "level 3 costs 9610 gold, but level 2 has room for only 9000",
        ),
        (
            mine(cost="{ gold = [10, 30, 20] }"),
            "buildings.mine.cost.gold",
            "falls from 30 at level 2 to 20 at level 3",
        ),
        (
            mine(duration="'30 / level'"),
            "buildings.mine.duration",
            "falls from 30 at level 1 to 15 at level 2",
        ),
        (
            mine(produces="{ gold = [0, 5, 4, 9] }"),
            "buildings.mine.produces.gold",
            "falls from 5 at level 1 to 4 at level 2",
        ),
        (
            "[balances.heat]\n" + mine(balance="{ heat = '5 - level' }"),
            "buildings.mine.balance.heat",
            "comes to 5 before anything is built (level 0)",
        ),
        (
            SOUND + mine(cost="{ ore = [1, 2, 2000000000000000] }"),
            "buildings.mine.cost.ore",
            f"level 3 costs {2 * 10**15}, but there is never room for more than {10**15}",
        ),
        (
            mine(duration="'1e17 / speed'"),
            "buildings.mine.duration",
            "level 1 takes 1e+17 seconds, beyond the year 9999",
        ),
        (
            mine() + "[units.ship]\ncost = { gold = 5 }\nduration = 1e12\n",
            "units.ship.duration",
            "one takes 1e+12 seconds, beyond the year 9999",
        ),
        (
            mine() + modifier("what = 'production'\nresource = 'gold'\nshare = 0.05\n"),
            "technologies.lore.modifiers",
            "a share of 0.05 acts before anything is built (level 0)",
        ),
        (
            mine() + modifier("what = 'duration'\nkinds = ['building']\nfactor = 0.5\n"),
            "technologies.lore.modifiers",
            "a factor of 0.5 acts before anything is built (level 0)",
        ),
        (
            "[balances.heat]\n" + mine(balance="{ heat = -1 }"),
            "balances.heat",
            "nothing produces it, so mine, which uses it, produces nothing",
        ),
    ],
)
def test_check_names_what_is_seldom_meant(
    tmp_path: Path, text: str, where: str, message: str
) -> None:
    """Each warning names the table, the key and the first level concerned."""
    assert warnings(tmp_path, text) == {where: message}


def test_check_leaves_shared_stores_alone(tmp_path: Path) -> None:
    """If several buildings store a resource, none has to hold its own next price."""
    text = mine(cost_growth="31", capacity="{ gold = '1000 * 3 ** level' }")
    hut = "[buildings.hut]\ncost = {}\nduration = 1\ncapacity = { gold = 1 }\n"
    assert warnings(tmp_path, text + hut) == {}


def test_check_says_nothing_of_values_that_hang_on_others(tmp_path: Path) -> None:
    """Whether a value falls with its own level is checked only if that alone decides."""
    hut = "[buildings.hut]\ncost = {}\nduration = 1\nmax_level = 2\n"
    text = mine(duration="'10 * hut / level + 1'", produces="{ gold = '9 * hut / (level + 1)' }")
    assert warnings(tmp_path, hut + text) == {}


def test_check_takes_what_is_shortened_or_balanced_for_sound(tmp_path: Path) -> None:
    """A modifier or another level may shorten it; another building may supply what one uses."""
    lore = modifier("what = 'duration'\nkinds = ['building']\nfactor = '0.001 ** level'\n")
    heat = "[balances.heat]\n[buildings.fire]\ncost = {}\nduration = '1e12 / (1 + lore * 1e6)'\n"
    heat += "balance = { heat = 1 }\n"
    text = heat + mine(duration="1e12", balance="{ heat = -1 }") + lore
    assert warnings(tmp_path, text) == {}


def test_check_takes_units_that_store_for_boundless_room(tmp_path: Path) -> None:
    """If every unit adds room, there is always room for a price."""
    barge = "[units.barge]\ncost = { gold = 5000 }\nduration = 1\ncapacity = { gold = 10 }\n"
    assert warnings(tmp_path, mine() + barge) == {}


@pytest.mark.parametrize("name", shipped_rulesets())
def test_check_shipped_rulesets_only_run_out_of_room_and_time(name: str) -> None:
    """The published games' highest levels exceed their stores, and a few the calendar."""
    for problem in warnings_of(load_ruleset(name)):
        assert "room for" in problem.message or "beyond the year" in problem.message
        assert name != "tutorial"
