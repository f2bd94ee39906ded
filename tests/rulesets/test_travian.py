"""Travian: rulesets/travian.toml reproduces every published table, to the last digit."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TypeAlias

import pytest

from actors.inventory.ruleset import Ruleset, load_ruleset
from actors.inventory.ruleset.description import level_row

FIELD = [
    *(2, 5, 9, 15, 22, 33, 50, 70, 100, 145, 200),
    *(280, 375, 495, 635, 800, 1000, 1300, 1600, 2000, 2450),
]
Published: TypeAlias = tuple[tuple[int, ...], str, tuple[str, str, str], int, int, dict[str, int]]
MAKES = {"woodcutter": "wood", "clay_pit": "clay", "iron_mine": "iron", "cropland": "crop"}

# cost; k; a, g, b of the duration; maximum; instances; prerequisites
BUILDINGS: dict[str, Published] = {
    "woodcutter": ((40, 100, 50, 60), "1.67", ("1780/3", "1.6", "1000/3"), 20, 4, {}),
    "clay_pit": ((80, 40, 80, 50), "1.67", ("1660/3", "1.6", "1000/3"), 20, 4, {}),
    "iron_mine": ((100, 80, 30, 60), "1.67", ("2350/3", "1.6", "1000/3"), 20, 4, {}),
    "cropland": ((70, 90, 70, 20), "1.67", ("1450/3", "1.6", "1000/3"), 20, 6, {}),
    "sawmill": (
        (520, 380, 290, 90),
        "1.8",
        ("5400", "1.5", "2400"),
        5,
        1,
        {"clay_pit": 10, "main_building": 5},
    ),
    "warehouse": (
        (130, 160, 90, 40),
        "1.28",
        ("3875", "1.16", "1875"),
        20,
        1,
        {"main_building": 1},
    ),
    "granary": ((80, 100, 70, 20), "1.28", ("3475", "1.16", "1875"), 20, 1, {"main_building": 1}),
    "main_building": ((70, 40, 60, 20), "1.28", ("3875", "1.16", "1875"), 20, 1, {}),
    "marketplace": (
        (80, 70, 120, 70),
        "1.28",
        ("3675", "1.16", "1875"),
        20,
        1,
        {"main_building": 3, "warehouse": 1, "granary": 1},
    ),
}

RESOURCES = ("wood", "clay", "iron", "crop")


@pytest.fixture(scope="module")
def travian() -> Ruleset:
    """Return the game at speed 1."""
    return load_ruleset("travian")


def nearest(value: Fraction, step: int) -> int:
    """Return the nearest multiple; halves go up."""
    return math.floor(value / step + Fraction(1, 2)) * step


def test_travian_woodcutter(travian: Ruleset) -> None:
    """The published costs and durations of the woodcutter's first three levels."""
    published = [
        (40, 100, 50, 60, 260),
        (65, 165, 85, 100, 620),
        (110, 280, 140, 165, 1190),
    ]
    rows = [level_row(travian, "woodcutter:1", level, {}) for level in (1, 2, 3)]
    assert [(*row["cost"].values(), row["duration_seconds"]) for row in rows] == published


def test_travian_capacity(travian: Ruleset) -> None:
    """Base capacity, the published first two levels, and the formula for all."""
    assert travian.rates({}, {}).capacity == dict.fromkeys(RESOURCES, 800)
    for level in range(1, 21):
        room = nearest(2120 * Fraction(12, 10) ** level - 1320, 100)
        assert level < 3 or room > 1700
        rows = [level_row(travian, name, level, {}) for name in ("warehouse", "granary")]
        assert [row["capacity"] for row in rows] == [
            dict.fromkeys(("wood", "clay", "iron"), room),
            {"crop": room},
        ]
    published = [level_row(travian, "granary", level, {})["capacity"]["crop"] for level in (1, 2)]
    assert published == [1200, 1700]


@pytest.mark.parametrize("name", BUILDINGS)
def test_travian_buildings(travian: Ruleset, name: str) -> None:
    """Cost, maximum, instances and prerequisites are as published, at every level."""
    cost, growth, _, last, instances, needs = BUILDINGS[name]
    addresses = travian.addresses[name]
    assert len(addresses) == instances
    for address in addresses:
        assert travian.assets[address].max_level == last
        assert travian.missing(address, {}, {}) == needs
        for level in range(1, last + 1):
            grown = [nearest(base * Fraction(growth) ** (level - 1), 5) for base in cost]
            assert list(travian.cost(address, level).values()) == grown


@pytest.mark.parametrize("speed", [1, 3, 0.5])
@pytest.mark.parametrize("name", BUILDINGS)
def test_travian_durations(name: str, speed: float) -> None:
    """Seconds rounded to the nearest 10, times 0.964^(main building - 1), divided by speed."""
    travian = load_ruleset("travian", parameters={"speed": speed})
    a, g, b = (Fraction(text) for text in BUILDINGS[name][2])
    for level in range(1, BUILDINGS[name][3] + 1):
        base = nearest(a * g ** (level - 1) - b, 10)
        for main_building in (0, 1, 2, 10, 20):
            factor = Fraction("0.964") ** max(main_building - 1, 0)
            seconds = math.floor(base * factor / Fraction(str(speed)))
            found = travian.duration_ms(
                travian.addresses[name][0], level, {"main_building": main_building}
            )
            assert found == max(seconds, 1) * 1000


@pytest.mark.parametrize("speed", [1, 3])
def test_travian_fields(speed: int) -> None:
    """A field produces its published amount times speed, from level 0 on."""
    travian = load_ruleset("travian", parameters={"speed": speed})
    for name, resource in MAKES.items():
        unbuilt = len(travian.addresses[name]) * FIELD[0] * speed
        assert travian.rates({}, {}).per_hour[resource] == unbuilt
        for level in range(1, 21):
            row = level_row(travian, f"{name}:2", level, {})
            assert row["produces"] == {resource: FIELD[level] * speed}


def test_travian_sawmill(travian: Ruleset) -> None:
    """Each sawmill level adds five per cent of all woodcutters' wood, as one part."""
    levels = {f"woodcutter:{n}": level for n, level in ((1, 1), (2, 3), (3, 10), (4, 20))}
    wood = sum(FIELD[level] for level in levels.values())
    for sawmill in range(6):
        rates = travian.rates(levels | {"sawmill": sawmill}, {})
        assert rates.per_hour["wood"] == wood + wood * 5 * sawmill // 100
        assert rates.per_hour["clay"] == 4 * FIELD[0]


def test_travian_start_and_queue(travian: Ruleset) -> None:
    """750 of each resource; one slot and two waiting orders."""
    assert [resource.start for resource in travian.resources.values()] == [750] * 4
    (queue,) = travian.queues.values()
    assert (queue.slots, queue.length) == (1, 2)


def test_travian_any_instance_meets_a_prerequisite(travian: Ruleset) -> None:
    """Any of the four clay pits at level 10 meets the prerequisite."""
    assert travian.missing("sawmill", {"clay_pit:3": 10, "main_building": 5}, {}) == {}
    short = {"clay_pit:1": 9, "clay_pit:3": 9, "main_building": 5}
    assert travian.missing("sawmill", short, {}) == {"clay_pit": 10}
