"""Compiling: every fault of content is found and named; every good value becomes a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.inventory.ruleset import Requirement, Transfers
from tests.actors.inventory.ruleset.sources import MINE, load, problems

if TYPE_CHECKING:
    from pathlib import Path


def mine(**keys: str) -> str:
    """Return a building with some keys replaced, each given as TOML."""
    fields = {"cost": "{ gold = 10 }", "duration": "10"} | keys
    return "[buildings.mine]\n" + "".join(f"{key} = {value}\n" for key, value in fields.items())


def costs(folder: Path, text: str, last: int = 5) -> list[int]:
    """Return the gold price of each level of the mine."""
    ruleset = load(folder, text)
    return [ruleset.cost("mine", level).get("gold", 0) for level in range(1, last + 1)]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, [10, 10, 10, 10, 10]),
        ({"cost_growth": "1.5"}, [10, 15, 22, 33, 50]),
        ({"cost_growth": "1.5", "cost_rounding": "'ceil'"}, [10, 15, 23, 34, 51]),
        ({"cost_growth": "1.5", "cost_rounding": "'nearest 5'"}, [10, 15, 25, 35, 50]),
        ({"cost_growth": "1.5", "cost_rounding": "'nearest'"}, [10, 15, 23, 34, 51]),
        ({"cost": '{ gold = "5 * level + speed" }'}, [6, 11, 16, 21, 26]),
        ({"cost": "{ gold = [7, 9.5, 3, 0, 1] }"}, [7, 9, 3, 0, 1]),
        (
            {"cost": "{ gold = { levels = [1, 2, 3, 4, 5], times = '3 * speed' } }"},
            [3, 6, 9, 12, 15],
        ),
    ],
)
def test_compiler_costs(tmp_path: Path, keys: dict[str, str], expected: list[int]) -> None:
    """Base and growth, formula and list give the price of each level, rounded as stated."""
    assert costs(tmp_path, mine(**keys)) == expected


def test_compiler_leaves_out_what_costs_nothing(tmp_path: Path) -> None:
    """A resource that a level does not need is not in its price."""
    ruleset = load(tmp_path, mine(cost="{ gold = [0, 3] }"))
    assert dict(ruleset.cost("mine", 1)) == {}
    assert dict(ruleset.cost("mine", 2)) == {"gold": 3}


@pytest.mark.parametrize(
    ("keys", "last"),
    [
        ({}, 20),
        ({"max_level": "7"}, 7),
        ({"cost": "{ gold = [1, 2, 3] }"}, 3),
        ({"balance": "{}", "duration": "[1, 2]"}, 2),
        ({"produces": "{ gold = [0, 5, 9, 14, 20] }"}, 4),
        ({"cost_growth": "10"}, 15),
        ({"cost": '{ gold = "10 ** level" }'}, 15),
    ],
)
def test_compiler_levels(tmp_path: Path, keys: dict[str, str], last: int) -> None:
    """The maximum is as stated, as far as lists reach, or the last level anyone could pay for."""
    assert load(tmp_path, mine(**keys)).assets["mine"].max_level == last


@pytest.mark.parametrize(
    ("keys", "where", "message"),
    [
        ({"cost": "{ god = 1 }"}, "cost.god", "unknown resource 'god'; did you mean 'gold'?"),
        ({"cost": "{ gold = -1 }"}, "cost.gold", "at level 1: a cost cannot be negative"),
        ({"cost": "{ gold = '5 / (level - 3)' }"}, "cost.gold", "at level 1: a cost cannot be neg"),
        ({"cost": "{ gold = '5 / (3 - level)' }"}, "cost.gold", "at level 3: division by zero"),
        (
            {"cost": "{ gold = 'levle' }"},
            "cost.gold",
            "unknown name 'levle'; did you mean 'level'?",
        ),
        ({"cost": "{ gold = 'mine' }"}, "cost.gold", "the asset's own level is called level"),
        ({"cost": "{ gold = 'cost_gold' }"}, "cost.gold", "unknown name 'cost_gold'"),
        ({"cost": "{ gold = '1 +' }"}, "cost.gold", "'1 +' is not a formula"),
        ({"cost": "{ gold = '10 ** 19' }"}, "cost.gold", "at level 1: the value is larger than"),
        ({"cost": "{ gold = [1, 1e300] }"}, "cost.gold[1]", "the value is larger than 10^18"),
        (
            {"cost": "{ gold = '10 ** level' }", "max_level": "20"},
            "cost.gold",
            "at level 19: the value is larger than 10^18",
        ),
        ({"cost": "{ gold = 10000000000000000 }"}, "cost.gold", "is more than anyone can pay"),
        (
            {"cost": "{ gold = [1, 2] }", "max_level": "3"},
            "cost.gold",
            "a list for 2 levels, not 3",
        ),
        (
            {"cost": "{ gold = { levels = [1], times = '1 /' } }"},
            "cost.gold.times",
            "not a formula",
        ),
        ({"cost": "{ gold = [] }"}, "", "its lists cover 0 levels; 1 to 1000 are allowed"),
        ({"produces": "{ gold = [] }"}, "", "its lists cover -1 levels"),
        ({"capacity": "{ gold = [] }", "max_level": "1"}, "capacity.gold", "a list for -1 levels"),
        ({"cost_growth": "0"}, "cost_growth", "must be more than 0"),
        ({"cost_rounding": "'down'"}, "cost_rounding", "'down' is not a rounding: write floor"),
        ({"cost_rounding": "'floor 0'"}, "cost_rounding", "is not a rounding"),
        ({"cost_rounding": "'floor 0.5'"}, "cost_rounding", "prices are whole numbers"),
        ({"duration": "-1"}, "duration", "is less than 0"),
        ({"duration": "'1 / (level - 2)'"}, "duration", "at level 2: division by zero"),
        ({"duration": "'level + cost_good'"}, "duration", "unknown name 'cost_good'; did you mean"),
        ({"duration": "'" + "1+" * 300 + "1'"}, "duration", "at most 500 characters, not 601"),
        ({"produces": "{ ore = 1 }"}, "produces.ore", "unknown resource 'ore'"),
        ({"produces": "{ gold = -1 }"}, "produces.gold", "is less than 0"),
        ({"produces": "{ gold = '1 / level' }"}, "produces.gold", "at level 0: division by zero"),
        ({"produces": "{ gold = '10 ** level' }"}, "produces.gold", "at level 19: the value is"),
        (
            {"produces": "{ gold = [1, 2] }", "max_level": "2"},
            "produces.gold",
            "effects begin at level 0",
        ),
        (
            {"cost": "{ gold = [1, 2, 3] }", "produces": "{ gold = [1, 2, 3] }"},
            "cost.gold",
            "a list for 3 levels, but produces.gold for 2 (lists of effects begin at level 0)",
        ),
        (
            {"cost": "{ gold = [1] }", "duration": "[1, 2]"},
            "duration",
            "a list for 2 levels, but cost.gold for 1",
        ),
        ({"duration": "[1]", "max_level": "2"}, "duration", "a list for 1 level, not 2"),
        (
            {"cost": "{ gold = [1, 2, 3] }", "duration": "[1, 2]"},
            "cost.gold",
            "a list for 3 levels, but duration for 2",
        ),
        ({"consumes": "{ gold = -1 }"}, "consumes.gold", "is less than 0"),
        ({"balance": "{ energy = 1 }"}, "balance.energy", "unknown balance 'energy'"),
        ({"capacity": "{ stone = 1 }"}, "capacity.stone", "stone has no limit: give it a base_"),
        ({"queue": "'wrok'"}, "queue", "unknown queue 'wrok'; did you mean 'work'?"),
        ({"refund": "1.5"}, "refund", "must lie between 0 and 1"),
        ({"requires": "{ tower = 1 }"}, "requires.tower", "unknown asset 'tower'"),
        ({"requires": "{ hut = 21 }"}, "requires.hut", "cannot be reached: hut has levels 1 to 20"),
        ({"requires": "{ mine = 1 }"}, "requires.mine", "circular prerequisites: mine needs mine"),
    ],
)
def test_compiler_names_what_is_wrong_with_an_asset(
    tmp_path: Path, keys: dict[str, str], where: str, message: str
) -> None:
    """Each fault is found and reported with its table and key."""
    others = "[resources.stone]\n[buildings.hut]\ncost = { gold = 1 }\nduration = 1\n"
    found = problems(tmp_path, others + mine(**keys))
    place = f"buildings.mine.{where}".rstrip(".")
    assert list(found) == [place]
    assert message in found[place]


@pytest.mark.parametrize(
    ("modifier", "where", "message"),
    [
        (
            "{ what = 'duration', factor = 2 }",
            "",
            "names what it changes neither in kinds nor in assets",
        ),
        (
            "{ what = 'duration', factor = 2, assets = ['min'] }",
            ".assets",
            "unknown asset 'min'; did you mean 'mine'?",
        ),
        ("{ what = 'duration', factor = 'level', kinds = ['unit'] }", ".factor", "more than 0"),
        ("{ what = 'duration', factor = '-1', kinds = ['unit'] }", ".factor", "less than 0"),
        (
            "{ what = 'duration', factor = '1 / hut', kinds = ['unit'] }",
            ".factor",
            "cannot be named",
        ),
        ("{ what = 'production', share = 1, resource = 'ore' }", ".resource", "unknown resource"),
        ("{ what = 'production', share = 1, resource = 'gold' }", ".resource", "nothing produces"),
        (
            "{ what = 'production', share = 1, resource = 'gold', assets = ['hut'] }",
            ".assets",
            "hut does not produce gold",
        ),
    ],
)
def test_compiler_names_what_is_wrong_with_a_modifier(
    tmp_path: Path, modifier: str, where: str, message: str
) -> None:
    """A modifier has to say what it changes, by a valid factor or share."""
    others = "[buildings.hut]\ncost = { gold = 1 }\nduration = 1\n"
    found = problems(tmp_path, others + mine(modifiers=f"[{modifier}]"))
    place = f"buildings.mine.modifiers[0]{where}"
    assert list(found) == [place]
    assert message in found[place]


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("[units.scout]\ncost = { gold = 1 }", "units.scout.duration", "is missing"),
        ("[units.scout]\ncost.gold = [1]\nduration = 1", "units.scout.cost.gold", "no levels"),
        ("[units.scout]\ncost.gold = 'level'\nduration = 1", "units.scout.cost.gold", "no level"),
        ("[units.scout]\ncost.gold = -1\nduration = 1", "units.scout.cost.gold", "negative"),
        (
            "[units.scout]\ncost = {}\nduration = [1]",
            "units.scout.duration",
            "a unit has no levels",
        ),
        ("[units.scout]\ncost = {}\nduration = 'L'", "units.scout.duration", "a unit has no level"),
        (
            "[units.scout]\ncost = {}\nduration = 1\nproduces.gold = [1]",
            "units.scout.produces.gold",
            "a unit has no levels",
        ),
        (
            "[units.scout]\ncost = {}\nduration = 1\nproduces.gold = 'scout'",
            "units.scout.produces.gold",
            "is a unit",
        ),
        ("[resources.ore]\nbase_per_hour = -1", "resources.ore.base_per_hour", "less than 0"),
        ("[resources.ore]\nbase_per_hour = 'level'", "resources.ore.base_per_hour", "no level"),
        (
            "[resources.ore]\nbase_capacity = '1/0'",
            "resources.ore.base_capacity",
            "division by zero",
        ),
        ("[durations]\nrounding = 'up'", "durations.rounding", "'up' is not a rounding"),
        ("[durations]\nminimum_seconds = 0.0001", "durations.minimum_seconds", "milliseconds"),
        ("[resources.Ore]", "resources.Ore", "a name must be a lower-case letter and up to 39"),
        (
            "[resources.level]",
            "resources.level",
            "the name is reserved: level is the asset's own level in formulas",
        ),
        (
            "[resources.floor]",
            "resources.floor",
            "the name is reserved: formulas have the function floor(…)",
        ),
        (
            "[resources.cost_ore]",
            "resources.cost_ore",
            "the name is reserved: cost_… are prices in formulas",
        ),
        (
            "[balances.lambda]",
            "balances.lambda",
            "the name is reserved: formulas cannot name lambda",
        ),
        ("[queues.2]", "queues.2", "a name must be a lower-case letter"),
        (
            "[units.gold]\ncost = {}\nduration = 1",
            "units.gold",
            "is already used by resources.gold",
        ),
        ("[parameters]\ngold = 1", "resources.gold", "the name is already used by parameters.gold"),
    ],
)
def test_compiler_names_what_is_wrong_elsewhere(
    tmp_path: Path, text: str, where: str, message: str
) -> None:
    """Units, resources, queues, durations and names have faults of their own."""
    found = problems(tmp_path, text)
    assert list(found) == [where]
    assert message in found[where]


def test_compiler_reports_all_problems_of_content_at_once(tmp_path: Path) -> None:
    """Nothing stops at the first fault."""
    found = problems(
        tmp_path,
        mine(cost="{ god = 1 }", refund="2", requires="{ x = 1 }")
        + "[units.scout]\ncost = { god = 1 }\n",
    )
    assert list(found) == [
        "buildings.mine.cost.god",
        "units.scout.cost.god",
        "units.scout.duration",
        "buildings.mine.refund",
        "buildings.mine.requires.x",
    ]


def test_compiler_names_circles_once_with_their_path(tmp_path: Path) -> None:
    """Circular prerequisites are one problem, reported as the full cycle."""
    chain = "".join(
        f"[buildings.{name}]\ncost = {{}}\nduration = 1\nrequires = {{ {need} = 1 }}\n"
        for name, need in [("a", "b"), ("b", "c"), ("c", "b"), ("d", "a")]
    )
    assert problems(tmp_path, chain) == {
        "buildings.c.requires.b": "circular prerequisites: b needs c needs b"
    }


def test_compiler_takes_long_chains_of_prerequisites(tmp_path: Path) -> None:
    """A chain of a thousand assets is neither a cycle nor a recursion."""
    chain = "".join(
        f"[units.u{n}]\ncost = {{}}\nduration = 1\nrequires = {{ u{n + 1} = 1 }}\n"
        for n in range(1200)
    )
    ruleset = load(tmp_path, chain + "[units.u1200]\ncost = {}\nduration = 1\n")
    assert ruleset.missing("u0", {}, {}) == {"u1": 1}


def test_compiler_wants_a_queue_where_there_are_several(tmp_path: Path) -> None:
    """A sole queue need not be named; one of two must be."""
    assert load(tmp_path, MINE).assets["mine"].queue == "work"
    found = problems(tmp_path, "[queues.other]\n" + MINE)
    assert found == {"buildings.mine.queue": "is missing, and there is more than one queue"}


def test_compiler_bounds_the_size_of_tables(tmp_path: Path) -> None:
    """A formula over three assets' levels is refused, with the remedy."""
    towers = "".join(
        f"[technologies.t{n}]\ncost = {{}}\nduration = 1\nmax_level = 50\n" for n in range(3)
    )
    found = problems(tmp_path, towers + mine(duration="'1 + t0 + t1 + t2'"))
    assert list(found) == ["buildings.mine.duration"]
    assert "a table of 132651 values; at most 20000" in found["buildings.mine.duration"]


def test_compiler_bounds_the_size_of_the_ruleset(tmp_path: Path) -> None:
    """Too many tables of tolerable size are refused once, and early."""
    asset = "[technologies.t{n}]\ncost = {{}}\nduration = 'level + {other}'\nmax_level = 130\n"
    text = "".join(asset.format(n=n, other=f"t{(n + 1) % 40}") for n in range(40))
    found = problems(tmp_path, text)
    assert list(found.values()) == ["the ruleset has more than 500000 values"]


def test_compiler_counts_prices_as_values(tmp_path: Path) -> None:
    """A price of every level in each of many resources is a value, too."""
    names = [f"r{n}" for n in range(30)]
    text = "".join(f"[resources.{name}]\n" for name in names)
    cost = ", ".join(f"{name} = 1" for name in names)
    text += "".join(
        f"[buildings.b{n}]\ncost = {{ {cost} }}\nduration = 1\nmax_level = 1000\n"
        for n in range(20)
    )
    found = problems(tmp_path, text)
    assert found == {"buildings.b16.cost": "the ruleset has more than 500000 values"}


def test_compiler_bounds_the_number_of_assets(tmp_path: Path) -> None:
    """Instances count."""
    text = "".join(
        f"[buildings.b{n}]\ncost = {{}}\nduration = 1\ninstances = 100\n" for n in range(21)
    )
    assert problems(tmp_path, text) == {"": "a ruleset has at most 2000 assets, instances counted"}


def test_compiler_fills_in_titles_and_defaults(tmp_path: Path) -> None:
    """Whatever a file leaves out has a stated default."""
    text = """
    [balances.heat]
    [defaults.buildings]
    refund = 0.25
    cost_growth = 2
    max_level = 3
    [buildings.deep_mine]
    description = "Deep."
    cost = { gold = 10 }
    duration = 10
    instances = 2
    """
    ruleset = load(tmp_path, text)
    first, second = ruleset.assets.values()
    assert (first.address, second.address) == ("deep_mine:1", "deep_mine:2")
    assert (first.title, second.title) == ("Deep mine 1", "Deep mine 2")
    assert second.name == "deep_mine"
    assert second.description == "Deep."
    assert second.refund == (1, 4)
    assert second.max_level == 3
    assert ruleset.cost("deep_mine:2", 3) == {"gold": 40}
    assert ruleset.resources["gold"].title == "Gold"
    assert ruleset.balances["heat"].title == "Heat"
    assert (ruleset.queues["work"].slots, ruleset.queues["work"].length) == (1, 0)
    assert ruleset.transfers == Transfers(enabled=False, per_day_max=None, overflow="reject")


def test_compiler_reads_transfers(tmp_path: Path) -> None:
    """Whether and how much may be sent, and how overflow is handled, is as the file says."""
    text = '[transfers]\nenabled = true\nper_day_max = 500\noverflow = "spill"'
    expected = Transfers(enabled=True, per_day_max=500, overflow="spill")
    assert load(tmp_path, text).transfers == expected


def test_compiler_prerequisites_keep_their_order(tmp_path: Path) -> None:
    """Requirements are those in the file, for units too."""
    text = "[units.scout]\ncost = {}\nduration = 1\n" + mine(requires="{ scout = 30 }")
    assert load(tmp_path, text).assets["mine"].requires == (Requirement("scout", 30),)
