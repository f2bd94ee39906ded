"""Whatever happens to a ruleset file, loading gives a ruleset or a RulesetError."""

from __future__ import annotations

import copy
import json
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.inventory.ruleset import RulesetError, load_ruleset, restore_ruleset
from actors.inventory.ruleset.check import warnings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

    from actors.inventory.ruleset import Ruleset

LINES = tuple(
    resources.files("rulesets").joinpath("tutorial.toml").read_text(encoding="utf-8").splitlines()
)
ARCHIVE: str = load_ruleset("tutorial").archive

SNIPPETS = (
    "-1",
    "0",
    "1",
    "2.5",
    "999999999999999999999999",
    "1e300",
    "nan",
    "true",
    "[]",
    "[1, 2, 3]",
    "{}",
    "{ wood = 1 }",
    '{ levels = [1, 2], times = "speed" }',
    '"level"',
    '"1 / level"',
    '"9 ** 9 ** 9 ** 9"',
    '"1 / (level - 3)"',
    '"cottage * woodcutter + cost_wood"',
    '"exp(level) ** 0.3"',
    '"(((("',
    '"wood"',
    '""',
)


def play_if_it_loads(load: Callable[[], Ruleset]) -> None:
    """Load and play; a RulesetError with a message is as good."""
    try:
        ruleset = load()
    except RulesetError as error:
        if not error.problems:
            raise
    else:
        play(ruleset)


def play(ruleset: Ruleset) -> None:
    """Query everything a ruleset can answer."""
    for asset in ruleset.assets.values():
        levels = {asset.address: asset.max_level or 0, "cottage": 3, "workshop": 2}
        ruleset.missing(asset.address, levels, {})
        ruleset.rates(levels, {"scout": 4, "guard": 2})
        for level in range(1, (asset.max_level or 1) + 1):
            assert all(amount > 0 for amount in ruleset.cost(asset.address, level).values())
            assert ruleset.duration_ms(asset.address, level, levels) > 0
    warnings_of(ruleset)
    json.dumps(ruleset.describe())


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(LINES) - 1), st.sampled_from(["value", "drop", "twice", "cut"])
        ),
        min_size=1,
        max_size=3,
    ),
    st.data(),
)
def test_mutations_of_the_text_load_or_are_refused(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, str]], data: st.DataObject
) -> None:
    """Changed, missing, doubled or cut lines never raise anything else."""
    lines = list(LINES)
    for place, change in changes:
        key, equals, _ = lines[place].partition("=")
        if change == "value" and equals:
            lines[place] = f"{key}= {data.draw(st.sampled_from(SNIPPETS))}"
        elif change == "drop":
            lines[place] = ""
        elif change == "twice":
            lines[place] += "\n" + lines[place]
        else:
            lines[place] = lines[place][: len(lines[place]) // 2]
    path = Path(tmp_path_factory.getbasetemp()) / "mutated.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    play_if_it_loads(lambda: load_ruleset(path))


def by_key(value: Any) -> dict[Any, Any]:
    """Return a table as it is, and a list by index."""
    if isinstance(value, dict):
        return cast("dict[Any, Any]", value)
    return dict(enumerate(cast("list[Any]", value)))


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container within, with each of its keys."""
    for key, inner in by_key(value).items():
        yield value, key
        if isinstance(inner, dict | list):
            yield from places(inner)


VALUES = st.one_of(
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text("level+-*/()0123456789 wodspe_", max_size=12),
    st.lists(st.integers(0, 100), max_size=22),
    st.dictionaries(st.sampled_from(["wood", "stone", "levels", "times", "what"]), st.integers()),
)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 10**6), VALUES), min_size=1, max_size=3))
def test_mutations_of_the_data_load_or_are_refused(changes: list[tuple[int, Any]]) -> None:
    """Any value in any place of the tables is compiled, or refused with its place."""
    archive = json.loads(ARCHIVE)
    archive["rules"] = copy.deepcopy(archive["rules"])
    for place, value in changes:
        found = list(places(archive["rules"]))
        container, key = found[place % len(found)]
        container[key] = value
    play_if_it_loads(lambda: restore_ruleset(json.dumps(archive)))
