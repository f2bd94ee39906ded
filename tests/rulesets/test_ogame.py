"""OGame: rulesets/ogame.toml reproduces every published table, to the last digit."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from actors.inventory.ruleset import Ruleset, load_ruleset
from actors.inventory.ruleset.description import level_row

METAL_MINE = [
    # level, metal, crystal, per hour, energy, seconds
    (1, 60, 15, 33, 11, 30),
    (2, 90, 22, 72, 25, 53),
    (3, 135, 33, 119, 40, 96),
    (4, 202, 50, 175, 59, 181),
    (5, 303, 75, 241, 81, 362),
    (6, 455, 113, 318, 107, 817),
    (7, 683, 170, 409, 137, 1228),
    (8, 1025, 256, 514, 172, 1844),
    (9, 1537, 384, 636, 213, 2766),
    (10, 2306, 576, 778, 260, 4150),
]

# base cost in metal, crystal, deuterium; growth; prerequisites
ASSETS: dict[str, tuple[int, int, int, str, dict[str, int]]] = {
    "metal_mine": (60, 15, 0, "1.5", {}),
    "crystal_mine": (48, 24, 0, "1.6", {}),
    "deuterium_synthesizer": (225, 75, 0, "1.5", {}),
    "solar_plant": (75, 30, 0, "1.5", {}),
    "fusion_reactor": (
        900,
        360,
        180,
        "1.8",
        {"deuterium_synthesizer": 5, "energy_technology": 3},
    ),
    "metal_storage": (1000, 0, 0, "2", {}),
    "crystal_storage": (1000, 500, 0, "2", {}),
    "deuterium_tank": (1000, 1000, 0, "2", {}),
    "robotics_factory": (400, 120, 200, "2", {}),
    "shipyard": (400, 200, 100, "2", {"robotics_factory": 2}),
    "research_lab": (200, 400, 200, "2", {}),
    "nanite_factory": (
        1_000_000,
        500_000,
        100_000,
        "2",
        {"robotics_factory": 10, "computer_technology": 10},
    ),
    "energy_technology": (0, 800, 400, "2", {"research_lab": 1}),
    "laser_technology": (200, 100, 0, "2", {"research_lab": 1, "energy_technology": 2}),
    "ion_technology": (
        1000,
        300,
        100,
        "2",
        {"research_lab": 4, "energy_technology": 4, "laser_technology": 5},
    ),
    "plasma_technology": (
        2000,
        4000,
        1000,
        "2",
        {
            "research_lab": 4,
            "energy_technology": 8,
            "laser_technology": 10,
            "ion_technology": 5,
        },
    ),
    "combustion_drive": (400, 0, 600, "2", {"research_lab": 1, "energy_technology": 1}),
    "impulse_drive": (2000, 4000, 600, "2", {"research_lab": 2, "energy_technology": 1}),
    "espionage_technology": (200, 1000, 200, "2", {"research_lab": 3}),
    "computer_technology": (0, 400, 600, "2", {"research_lab": 1}),
    "armour_technology": (1000, 0, 0, "2", {"research_lab": 2}),
    "weapons_technology": (800, 200, 0, "2", {"research_lab": 4}),
    "shielding_technology": (200, 600, 0, "2", {"research_lab": 6, "energy_technology": 3}),
}

UNITS = {
    "rocket_launcher": (2000, 0, 0, {"shipyard": 1}),
    "light_laser": (1500, 500, 0, {"shipyard": 2, "laser_technology": 3}),
    "small_cargo": (2000, 2000, 0, {"shipyard": 2, "combustion_drive": 2}),
    "large_cargo": (6000, 6000, 0, {"shipyard": 4, "combustion_drive": 6}),
    "espionage_probe": (
        0,
        1000,
        0,
        {"shipyard": 3, "combustion_drive": 3, "espionage_technology": 2},
    ),
    "solar_satellite": (0, 2000, 500, {"shipyard": 1}),
}

RESOURCES = ("metal", "crystal", "deuterium")


@pytest.fixture(scope="module")
def ogame() -> Ruleset:
    """Return the game at speed 1."""
    return load_ruleset("ogame")


def priced(*amounts: int) -> dict[str, int]:
    """Return a price by resource, without zero amounts."""
    return {name: amount for name, amount in zip(RESOURCES, amounts, strict=True) if amount}


def grown(base: int, growth: str, level: int) -> int:
    """Return floor(base · growth^(level - 1)), in exact arithmetic."""
    return math.floor(base * Fraction(growth) ** (level - 1))


@pytest.mark.parametrize("published", METAL_MINE)
def test_ogame_metal_mine(ogame: Ruleset, published: tuple[int, ...]) -> None:
    """The published table of the metal mine, levels 1 to 10."""
    level, metal, crystal, income, energy, seconds = published
    assert level_row(ogame, "metal_mine", level, {}) == {
        "level": level,
        "cost": {"metal": metal, "crystal": crystal},
        "duration_seconds": seconds,
        "produces": {"metal": income},
        "balance": {"energy": -energy},
    }


@pytest.mark.parametrize(
    ("store", "resource"),
    [
        ("metal_storage", "metal"),
        ("crystal_storage", "crystal"),
        ("deuterium_tank", "deuterium"),
    ],
)
def test_ogame_storage_capacity(ogame: Ruleset, store: str, resource: str) -> None:
    """The published capacities of levels 0 to 5, and the formula far beyond them."""
    published = [10_000, 20_000, 40_000, 75_000, 140_000, 255_000]
    found = [ogame.rates({store: level}, {}).capacity[resource] for level in range(6)]
    assert found == published
    for level in range(1, 30):
        expected = 5000 * math.floor(2.5 * math.exp(20 * level / 33))
        assert level_row(ogame, store, level, {})["capacity"] == {resource: expected}


def test_ogame_published_examples(ogame: Ruleset) -> None:
    """The single values published beside the tables."""
    synthesizer = [ogame.cost("deuterium_synthesizer", level) for level in (1, 2, 3)]
    assert synthesizer == [priced(225, 75, 0), priced(337, 112, 0), priced(506, 168, 0)]
    fast = load_ruleset("ogame", parameters={"speed": 6})
    assert fast.duration_ms("crystal_mine", 5, {}) == 75_000
    faster = load_ruleset("ogame", parameters={"speed": 7})
    assert faster.duration_ms("metal_mine", 20, {"robotics_factory": 3}) == 8_550_000
    astrophysics = [ogame.cost("astrophysics", level) for level in (1, 2, 3)]
    assert astrophysics == [
        priced(4000, 8000, 4000),
        priced(7000, 14_000, 7000),
        priced(12_300, 24_500, 12_300),
    ]


@pytest.mark.parametrize("name", ASSETS)
def test_ogame_costs_and_prerequisites(ogame: Ruleset, name: str) -> None:
    """Cost is floor(base · f^(level - 1)) of the published base and factor, at every level."""
    metal, crystal, deuterium, growth, needs = ASSETS[name]
    last = ogame.assets[name].max_level or 0
    assert last >= 30
    for level in range(1, last + 1):
        amounts = [grown(base, growth, level) for base in (metal, crystal, deuterium)]
        assert ogame.cost(name, level) == priced(*amounts)
    assert ogame.missing(name, {}, {}) == needs


@pytest.mark.parametrize("name", UNITS)
def test_ogame_units(ogame: Ruleset, name: str) -> None:
    """A unit has its published price and prerequisites; the shipyard shortens its duration."""
    metal, crystal, deuterium, needs = UNITS[name]
    assert ogame.cost(name, 1) == priced(metal, crystal, deuterium)
    assert ogame.missing(name, {}, {}) == needs
    for shipyard, nanite in ((0, 0), (1, 0), (7, 0), (12, 5)):
        levels = {"shipyard": shipyard, "nanite_factory": nanite}
        seconds = Fraction(3600 * (metal + crystal), 2500 * (1 + shipyard) * 2**nanite)
        assert ogame.duration_ms(name, 1, levels) == max(1, math.floor(seconds)) * 1000


@pytest.mark.parametrize("speed", [1, 7, 2.5])
def test_ogame_durations(speed: float) -> None:
    """Durations follow the published formulas at every level, whatever shortens them."""
    ogame = load_ruleset("ogame", parameters={"speed": speed})
    for name in ASSETS:
        kind = ogame.assets[name].kind
        for level in range(1, 31):
            cost = ogame.cost(name, level)
            work = Fraction(3600 * (cost.get("metal", 0) + cost.get("crystal", 0)))
            for helpers, nanite in ((0, 0), (3, 0), (10, 4)):
                if kind == "technology":
                    seconds = work / (1000 * (1 + helpers))
                else:
                    early = max(4 - Fraction(level, 2), Fraction(1))
                    slow = early if name != "nanite_factory" else 1
                    seconds = work / (2500 * slow * (1 + helpers) * 2**nanite)
                seconds /= Fraction(str(speed))
                levels = {
                    "research_lab": helpers,
                    "robotics_factory": helpers,
                    "nanite_factory": nanite,
                }
                expected = max(1, math.floor(seconds)) * 1000
                assert ogame.duration_ms(name, level, levels) == expected


def test_ogame_starts_as_published(ogame: Ruleset) -> None:
    """Start stock, base income and base capacity."""
    stocks = [(r.start, r.base_per_hour, r.base_capacity) for r in ogame.resources.values()]
    assert stocks == [(500, 30, 10_000), (500, 15, 10_000), (0, 0, 10_000)]
    assert list(ogame.resources) == list(RESOURCES)


def test_ogame_deuterium_depends_on_temperature() -> None:
    """Cold planets give more deuterium: 10·L·1.1^L·(1.44 - 0.004·temperature)."""
    for temperature in (-100, -40, 0, 20, 65, 120):
        ogame = load_ruleset("ogame", parameters={"temperature": temperature})
        for level in (1, 5, 12, 30):
            base = 10 * level * Fraction(11, 10) ** level
            expected = math.floor(base * (Fraction(144, 100) - Fraction(4, 1000) * temperature))
            row = level_row(ogame, "deuterium_synthesizer", level, {})
            assert row["produces"] == {"deuterium": expected}


def test_ogame_energy(ogame: Ruleset) -> None:
    """Plants and reactors supply, and mines consume, energy by the published formulas."""
    for level in range(1, 41):
        solar = math.floor(20 * level * Fraction(11, 10) ** level)
        assert level_row(ogame, "solar_plant", level, {})["balance"] == {"energy": solar}
        drawn = math.ceil(20 * level * Fraction(11, 10) ** level)
        row = level_row(ogame, "deuterium_synthesizer", level, {})
        assert row["balance"] == {"energy": -drawn}
        for technology in (0, 3, 12, 30):
            fusion = math.floor(30 * level * Fraction(105 + technology, 100) ** level)
            row = level_row(ogame, "fusion_reactor", level, {"energy_technology": technology})
            assert row["balance"] == {"energy": fusion}
            burnt = math.floor(10 * level * Fraction(11, 10) ** level)
            assert row["produces"] == {"deuterium": -burnt}
