"""``holdfast rules``: tables for people, JSON for programs, honest exit statuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from app.cli.rules import rules

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """
[resources.gold]
base_capacity = 100
start = 500
base_per_hour = 1

[queues.work]

[buildings.mine]
cost = { gold = 10 }
duration = 90061.5
max_level = 2

[durations]
rounding = "floor 0.5"
"""


def run(*arguments: str | Path) -> Result:
    """Run ``holdfast rules`` with these arguments."""
    return CliRunner().invoke(rules, [str(argument) for argument in arguments])


def data(*arguments: str | Path) -> Any:
    """Run with ``--json`` and return what was printed."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """Write a ruleset with a warning."""
    path = tmp_path / "good.toml"
    path.write_text(GOOD, encoding="utf-8")
    return path


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """Write a ruleset with two problems."""
    path = tmp_path / "bad.toml"
    text = GOOD.replace("cost = { gold", "requires = { mine = 1 }\ncost = { golf")
    path.write_text(text, encoding="utf-8")
    return path


def test_rules_check_accepts_what_can_be_used(good: Path) -> None:
    """A ruleset with warnings passes, and the warnings are shown."""
    result = run("check", good)
    assert result.exit_code == 0
    warning, summary = result.stdout.splitlines()
    assert warning.split(maxsplit=1) == [
        "warning",
        "resources.gold: the starting stock, 500, exceeds 100",
    ]
    assert summary.startswith(f"{good} can be used, version ")
    assert summary.endswith(": 1 assets, 1 warning")


def test_rules_check_names_all_problems(bad: Path) -> None:
    """A ruleset with problems fails, and each problem is shown with its table and key."""
    result = run("check", bad)
    assert result.exit_code == 1
    assert [line.split(maxsplit=1)[1] for line in result.stdout.splitlines()[:2]] == [
        "buildings.mine.cost.golf: unknown resource 'golf'; did you mean 'gold'?",
        "buildings.mine.requires.mine: circular prerequisites: mine needs mine",
    ]
    assert "cannot be used: 2 problems" in result.stdout


def test_rules_check_writes_no_line_of_the_file_s(tmp_path: Path) -> None:
    """A key may contain anything: control characters and line endings are escaped."""
    path = tmp_path / "a\u202e.toml"
    path.write_text(r'"x\n\u001b]0;y\u0007rules.toml can be used" = 1', encoding="utf-8")
    *problems, summary = run("check", path).stdout.splitlines()
    assert all(line.startswith("problem") and line.isprintable() for line in problems)
    assert r"x\n\x1b]0;y\x07rules.toml can be used" in problems[0]
    assert r"a\u202e.toml cannot be used: 3 problems" in summary


def test_rules_check_prints_json(good: Path, bad: Path) -> None:
    """Programs get the same findings as data, and the same exit status."""
    told = data("check", good)
    assert told["ok"]
    assert len(told["version"]) == 16
    assert told["warnings"][0]["where"] == "resources.gold"
    result = run("check", bad, "--json")
    assert result.exit_code == 1
    refused = json.loads(result.stdout)
    assert not refused["ok"]
    assert refused["version"] is None
    assert [problem["where"] for problem in refused["problems"]] == [
        "buildings.mine.cost.golf",
        "buildings.mine.requires.mine",
    ]


@pytest.mark.parametrize("name", ["tutorial", "ogame", "travian"])
def test_rules_check_passes_what_is_shipped(name: str) -> None:
    """The shipped rulesets are usable at any speed."""
    assert run("check", name, "--set", "speed=3.5").exit_code == 0


def test_rules_check_of_nothing_fails(tmp_path: Path) -> None:
    """A missing file is a problem, not a traceback."""
    result = run("check", tmp_path / "missing.toml")
    assert result.exit_code == 1
    assert "cannot be read: No such file or directory" in result.stdout


def test_rules_table_prints_json() -> None:
    """The published second level of the metal mine, member by member."""
    assert data("table", "ogame", "metal_mine", "--levels", "2-2") == [
        {
            "level": 2,
            "cost": {"metal": 90, "crystal": 22},
            "duration_seconds": 53,
            "produces": {"metal": 72},
            "balance": {"energy": -25},
        }
    ]


def test_rules_table_applies_parameters_and_other_assets() -> None:
    """``--set`` and ``--have`` have the effect they have in the game."""
    rows = data(
        *("table", "ogame", "metal_mine", "--levels", "20"),
        *("--set", "speed=7", "--have", "robotics_factory=3"),
    )
    assert [row["duration_seconds"] for row in rows] == [8550]
    rows = data("table", "ogame", "deuterium_synthesizer", "--set", "temperature=-60.5")
    assert rows[0]["produces"] == {"deuterium": 18}
    assert [row["level"] for row in rows] == list(range(1, 11))


def test_rules_table_tells_capacity() -> None:
    """A store's row shows the resulting capacity."""
    rows = data("table", "ogame", "metal_storage", "--levels", "0-5")
    published = [10_000, 20_000, 40_000, 75_000, 140_000, 255_000]
    assert [row["capacity"]["metal"] for row in rows] == published
    assert all("produces" not in row and "balance" not in row for row in rows)
    assert rows[0] == {"level": 0, "capacity": {"metal": 10_000}}


def test_rules_table_counts_units() -> None:
    """Units have one row for the whole batch."""
    assert data("table", "ogame", "small_cargo", "--count", "3", "--have", "shipyard=2") == [
        {"count": 3, "cost": {"metal": 6000, "crystal": 6000}, "duration_seconds": 5760}
    ]
    assert data("table", "ogame", "small_cargo")[0]["count"] == 1


def test_rules_table_takes_instances() -> None:
    """A building of several instances may be named with or without its number."""
    plain = data("table", "travian", "woodcutter", "--levels", "1-3")
    assert [row["duration_seconds"] for row in plain] == [260, 620, 1190]
    assert data("table", "travian", "woodcutter:4", "--levels", "1-3") == plain
    helped = data("table", "travian", "woodcutter", "--levels", "3", "--have", "sawmill=2")
    assert helped[0]["produces"] == {"wood": 16}


def test_rules_table_prints_a_table(good: Path) -> None:
    """People get a column for everything that any row has."""
    result = run("table", "ogame", "fusion_reactor", "--levels", "10", "--set", "speed=2.5")
    assert result.exit_code == 0
    for text in ("level", "deuterium/h", "-648", "178,523", "1d 15:59:20"):
        assert text in result.stdout
    assert "1d 01:01:01.5" in run("table", good, "mine").stdout
    assert "room for metal" in run("table", "ogame", "metal_storage", "--levels", "0-2").stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["ogame", "metal_min"], "ogame has no asset 'metal_min'; known assets: metal_mine"),
        (["ogame", "metal_mine", "--levels", "3-2"], "metal_mine has levels 0 to 50, not 3-2"),
        (["ogame", "metal_mine", "--levels", "9-51"], "metal_mine has levels 0 to 50, not 9-51"),
        (["ogame", "metal_mine", "--levels", "many"], "'many' is not A-B"),
        (["ogame", "metal_mine", "--count", "3"], "metal_mine has levels: use --levels"),
        (["ogame", "small_cargo", "--levels", "1"], "small_cargo is a unit: use --count"),
        (["ogame", "small_cargo", "--count", "0"], "0 is not in the range"),
        (["ogame", "metal_mine", "--have", "lab"], "'lab' is not NAME=NUMBER"),
        (["ogame", "metal_mine", "--have", "lab=1"], "ogame has no asset 'lab'"),
        (["ogame", "metal_mine", "--have", "lab=1"], "Invalid value for --have: ogame has no"),
        (["ogame", "metal_mine", "--have", "shipyard=-1"], "shipyard=-1: no such level"),
        (["tutorial", "cottage", "--have", "workshop=99"], "workshop has levels 0 to 10"),
        (["ogame", "metal_mine", "--set", "speed=fast"], "'speed=fast' is not NAME=NUMBER"),
    ],
)
def test_rules_table_refuses_wrong_usage(arguments: list[str], complaint: str) -> None:
    """Nonsensical options are refused with status 2 and the reason."""
    result = run("table", *arguments)
    assert result.exit_code == 2
    assert complaint in " ".join(result.stderr.replace("│", " ").split())


def test_rules_table_fails_where_the_ruleset_does(bad: Path) -> None:
    """An unusable ruleset is one line on standard error, and status 1."""
    result = run("table", bad, "mine")
    assert result.exit_code == 1
    assert "unknown resource 'golf'" in result.stderr
    assert "holdfast rules check" in result.stderr
    result = run("table", "ogame", "metal_mine", "--set", "wind=3")
    assert result.exit_code == 1
    assert "unknown parameter 'wind'" in result.stderr


def test_rules_diff_tells_what_changed(good: Path, tmp_path: Path) -> None:
    """Names added and removed, and values by level."""
    new = tmp_path / "new.toml"
    text = GOOD.replace("gold = 10", "gold = [10, 12]").replace("start = 500", "start = 50")
    new.write_text(text + "[units.cart]\ncost = {}\nduration = 1\n", encoding="utf-8")
    assert run("diff", good, new).stdout.splitlines() == [
        "+ units.cart",
        "~ resources.gold start: 500 → 50",
        "~ buildings.mine cost.gold at level 2: 10 → 12",
    ]
    assert data("diff", good, new) == {
        "added": [{"section": "units", "name": "cart"}],
        "removed": [],
        "changed": [
            {
                "section": "resources",
                "name": "gold",
                "key": "start",
                "level": None,
                "old": 500,
                "new": 50,
            },
            {
                "section": "buildings",
                "name": "mine",
                "key": "cost.gold",
                "level": 2,
                "old": 10,
                "new": 12,
            },
        ],
    }
    assert "- units.cart" in run("diff", new, good).stdout


def test_rules_diff_of_the_same_says_so(good: Path, bad: Path) -> None:
    """The absence of differences is stated; an unusable ruleset fails."""
    assert run("diff", good, good).stdout == "no difference\n"
    assert run("diff", good, bad).exit_code == 1


def test_rules_help_names_the_commands() -> None:
    """The help lists what there is."""
    result = run("--help")
    assert result.exit_code == 0
    for command in ("check", "table", "diff"):
        assert command in result.stdout


def test_show_gives_a_shipped_file_to_begin_with(tmp_path: Path) -> None:
    """It prints the shipped game, even without the source at hand, and no other file."""
    mine = tmp_path / "mine.toml"
    for name in ("ogame", "travian", "tutorial"):
        shown = run("show", name)
        assert shown.exit_code == 0
        mine.write_bytes(shown.stdout_bytes)
        assert data("check", mine)["version"] == data("check", name)["version"]
    for other in ("nothing", str(mine)):
        refused = run("show", other)
        assert refused.exit_code == 1
        assert "shipped: ogame, travian, tutorial" in refused.output
