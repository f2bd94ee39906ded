"""The shape of a ruleset file: every fault is named with its table and key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.inventory.ruleset import RulesetError, load_ruleset
from tests.actors.inventory.ruleset.sources import MINE, load, problems

if TYPE_CHECKING:
    from pathlib import Path


def test_document_reports_all_faults_of_shape_at_once(tmp_path: Path) -> None:
    """One attempt names everything that is misspelt, missing or of the wrong type."""
    found = problems(
        tmp_path,
        """
        colour = "red"
        parameters = { wind = { defalt = 1 }, rain = "much" }
        transfers = { overflow = "burn" }
        durations = { minimum_seconds = 0 }

        [resources.ore]
        start = 5.0

        [queues.full]
        slots = 0

        [buildings]
        hut = 3

        [buildings.mine]
        cost = { gold = true, ore = [1, "x"] }
        requires = { mine = 0 }
        instances = 101
        modifiers = [
          { what = "duration" },
          { what = "luck" },
          5,
          { factor = 2 },
          { what = [] },
          { what = "duration", factor = 2, kinds = ["unit", "unti"], asset = [] },
        ]

        [technologies.drill]
        cost = 1979-05-27
        """,
    )
    assert found == {
        "colour": found["colour"],
        "parameters.wind.defalt": "unknown key; did you mean default? "
        "Known keys: title, description, default, min, max",
        "parameters.wind.default": "is missing",
        "parameters.rain": "expected int or float or table, got str",
        "resources.ore.start": "expected int, got float",
        "queues.full.slots": "expected int >= 1",
        "durations.minimum_seconds": "expected float > 0.0",
        "transfers.overflow": "'burn' is not one of: reject, hold, spill",
        "buildings.hut": "expected a table, got an integer",
        "buildings.mine.cost.gold": "expected int or float or str or table or array, got bool",
        "buildings.mine.cost.ore[1]": "expected int or float, got str",
        "buildings.mine.requires.mine": "expected int >= 1",
        "buildings.mine.instances": "expected int <= 100",
        "buildings.mine.modifiers[0].factor": "is missing",
        "buildings.mine.modifiers[1].what": "'luck' is not one of: duration, production",
        "buildings.mine.modifiers[2]": "expected table, got int",
        "buildings.mine.modifiers[3].what": "is missing; one of: duration, production",
        "buildings.mine.modifiers[4].what": "[] is not one of: duration, production",
        "buildings.mine.modifiers[5].kinds[1]": "'unti' is not one of: building, technology, unit",
        "buildings.mine.modifiers[5].asset": "unknown key; did you mean assets? "
        "Known keys: what, factor, kinds, assets",
        "technologies.drill.cost": "expected table, got date",
    }
    assert found["colour"].startswith("unknown key; known keys: title, description, parameters")


@pytest.mark.parametrize(
    ("value", "got"),
    [
        ("[]", "an array"),
        ("'x'", "a string"),
        ("true", "a boolean"),
        ("1", "an integer"),
        ("1.5", "a float"),
        ("07:00:00", "a date or time"),
    ],
)
def test_document_names_what_stands_in_place_of_a_table(
    tmp_path: Path, value: str, got: str
) -> None:
    """Anything else in the place of a table is reported in TOML's terms."""
    found = problems(tmp_path, f"[buildings]\nhut = {value}")
    assert found == {"buildings.hut": f"expected a table, got {got}"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = ", "not TOML: Invalid value"),
        ("a = 1\na = 2", "not TOML: Cannot overwrite a value"),
        ("a = " + "[" * 5000, "not TOML: maximum recursion depth exceeded"),
        ("[" + "a." * 5000 + "a]", "not TOML: a key has more than 16 parts"),
        ("x" + " . 'b'" * 40_000 + " = 1", "not TOML: a key has more than 16 parts"),
        ('a = {"\\""' + '."\\""' * 40_000 + " = 1}", "not TOML: a key has more than 16 parts"),
        ("a = 9223372036854775808", ": a: is too large: an integer must lie between -2^63"),
        ("[a]\nb = [0x1" + "0" * 4000 + "]", ": a.b[0]: is too large: an integer must lie"),
        ("a = " + "1" * 5000, "not TOML: Exceeds the limit"),
        ("#" * 1_000_000, "at most 1000000 bytes"),
        ("a = nan", ": a: nan is not a finite number"),
        ("a = -inf", ": a: -inf is not a finite number"),
        ("a = 1e999", ": a: 1e999 is not a finite number"),
        ("[a]\nb = [1, {c = 1.00000000000000000001}]", ": a.b[1].c: 1.00000000000000000001 cannot"),
        (
            "a = 1.00000000000000000001",
            "cannot be represented exactly: write it as a formula, in quotes",
        ),
        ("a = 1e-99999999999999999999", "cannot be represented exactly"),
    ],
)
def test_document_refuses_what_is_not_toml(tmp_path: Path, text: str, message: str) -> None:
    """Broken, bottomless, oversized files, inexact and huge numbers are refused with the reason."""
    with pytest.raises(RulesetError) as caught:
        load(tmp_path, text)
    assert message in str(caught.value)


def test_document_takes_dots_that_are_not_in_keys(tmp_path: Path) -> None:
    """Neither a list of decimals, nor a text or a comment, is a long key."""
    mine = MINE.replace("duration = 10", f"duration = [{'1.5, ' * 20}]")
    text = f"# {'a.' * 20}\ndescription = '{'a.' * 20}'\n"
    assert load(tmp_path, text + mine).assets["mine"].max_level == 20


def test_document_refuses_what_is_not_text(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are not a ruleset."""
    path = tmp_path / "rules.toml"
    for content in (b"title = '\xff'", MINE.encode("utf-16")):
        path.write_bytes(content)
        with pytest.raises(RulesetError, match=r"rules\.toml: not UTF-8 text"):
            load_ruleset(path)


def test_document_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    """Some editors add one: it is part neither of the rules nor of their version."""
    plain = load(tmp_path, MINE).version
    path = tmp_path / "rules.toml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_ruleset(path).version == plain


def test_document_error_reads_one_line_per_problem(tmp_path: Path) -> None:
    """Each problem in the error's text begins with the file's name."""
    with pytest.raises(RulesetError) as caught:
        load(tmp_path, "[buildings.mine]\nsize = 3")
    file = str(tmp_path / "rules.toml")
    assert caught.value.file == file
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"{file}: buildings.mine.size: unknown key; known keys: title")
    assert lines[1] == f"{file}: buildings.mine.cost: is missing"


def test_document_version_is_of_content_not_of_layout(tmp_path: Path) -> None:
    """Comments, spaces and order leave the version as it is; any value changes it."""
    one = load(tmp_path, MINE).version
    assert load(tmp_path, "# hello\n" + MINE.replace(" = ", "=")).version == one
    reordered = "[buildings.mine]\nduration = 10\ncost.gold = 10"
    assert load(tmp_path, reordered).version == one
    assert load(tmp_path, MINE.replace("duration = 10", "duration = 11")).version != one


def test_document_version_is_of_parameters_in_force(tmp_path: Path) -> None:
    """The same file at another speed is another ruleset; 2 and 2.0 are the same speed."""
    one = load(tmp_path, MINE).version
    assert load(tmp_path, MINE, speed=1).version == one
    assert load(tmp_path, MINE, speed=2).version != one
    assert load(tmp_path, MINE, speed=2.0).version == load(tmp_path, MINE, speed=2).version


@pytest.mark.parametrize(
    ("key", "text", "found"),
    [
        ("title", r"A\u0000B", "U+0000"),
        ("title", r"A\nB", "U+000A"),
        ("description", r"\u001b[31mred", "U+001B"),
        ("description", r"\u0085", "U+0085"),
        ("description", r"two\n\tlines", None),
        ("title", r"\u200fא", None),
    ],
)
def test_document_has_no_control_characters(
    tmp_path: Path, key: str, text: str, found: str | None
) -> None:
    """Texts are shown to people as they are; only a description has several lines."""
    rules = f'{MINE}{key} = "{text}"\n'
    if found is None:
        load(tmp_path, rules)
    else:
        said = problems(tmp_path, rules)
        assert said == {f"buildings.mine.{key}": f"has the control character {found}"}
