"""What ``holdfast simulate`` prints, writes and refuses."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from decimal import Decimal
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.cli.simulate import short
from app.simulation.chart import ChartsMissing, draw_chart
from app.simulation.samples import Sample, figure

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    """Run the command on a handful of accounts."""
    small = ("--accounts", "4", "--days", "1", "--samples", "4")
    return CliRunner().invoke(main, ["simulate", *small, *arguments])


def test_simulate_prints_a_table_over_time() -> None:
    """Five moments with their means, the spread at the end, and the counts of actions."""
    result = run("tutorial")
    assert result.exit_code == 0, result.output
    heading, *rows = result.stdout.splitlines()
    assert heading.startswith("Homestead: 4 accounts, greedy, seed 1")
    assert "day 0  day 0.25  day 0.5  day 0.75  day 1" in result.stdout
    assert any(re.match(r" +wood +120\.0 ", row) for row in rows)
    assert any(re.match(r" +cottage +0\.0 +", row) for row in rows)
    assert re.search(r"^[0-9]+ visits, [0-9]+ orders in [0-9.]+ s$", rows[-1])


def test_simulate_leaves_out_what_nobody_has() -> None:
    """An asset that is zero throughout has no row."""
    assert "scout" not in run("tutorial").stdout


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("4.25", "4.2"),
        ("1234.5", "1,234"),
        ("56789", "56.8k"),
        ("8900000", "8.9M"),
        ("1e15", "1.0e+6G"),
    ],
)
def test_short_numbers_fit_a_column(number: str, text: str) -> None:
    """Numbers stay short, however large."""
    assert short(Decimal(number)) == text


def test_simulate_writes_the_same_csv_for_the_same_seed(tmp_path: Path) -> None:
    """Byte for byte; another seed gives another file."""
    for name, seed in (("a", "5"), ("b", "5"), ("c", "6")):
        result = run("tutorial", "--policy", "random", "--seed", seed, "--csv", f"{name}.csv")
        assert result.exit_code == 0, result.output
    a, b, c = ((tmp_path / f"{name}.csv").read_bytes() for name in "abc")
    assert a == b != c
    assert a.startswith(b"hour,kind,name,mean,p10,p90\n0,stock,wood,120,120,120\n")
    assert b"\n24,level,cottage," in a


def test_simulate_sets_world_parameters(tmp_path: Path) -> None:
    """The first figures show the effect of the parameters."""
    assert run("tutorial", "--set", "speed=2", "--csv", "fast.csv").exit_code == 0
    assert "\n0,income,wood,3600,3600,3600\n" in (tmp_path / "fast.csv").read_text()


def test_simulate_shows_its_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows on standard error the current day and the orders so far."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    result = run("tutorial")
    assert re.search(r"day [0-9.]+, [0-9]+ orders", result.stderr)


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (("nowhere",), 1, "holdfast: nowhere: unknown ruleset 'nowhere'"),
        (("tutorial", "--set", "sped=2"), 1, "holdfast: tutorial: parameters.sped: unknown"),
        (("tutorial", "--set", "speed"), 2, "is not NAME=NUMBER"),
        (("tutorial", "--csv", "no/such/folder.csv"), 1, "holdfast: no/such/folder.csv: No such"),
        (("tutorial", "--chart", "picture.gif"), 2, "must end in .svg or .png"),
        (("tutorial", "--policy", "clever"), 2, "'clever' is not one of"),
        (("tutorial", "--days", "0"), 2, "0 is not in the range"),
        (("tutorial", "--days", "nan"), 2, "'nan' is not a valid float"),
        (("tutorial", "--visits", "NaN"), 2, "'NaN' is not a valid float"),
    ],
)
def test_simulate_refuses_in_one_line(
    arguments: tuple[str, ...], status: int, complaint: str
) -> None:
    """A refusal names what is wrong."""
    result = run(*arguments)
    assert result.exit_code == status
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr


def test_simulate_has_told_its_figures_where_a_file_cannot_be_written() -> None:
    """Figures that took a while to compute are not lost with it."""
    result = run("tutorial", "--csv", "no/such/folder.csv")
    assert result.exit_code == 1
    assert result.stdout.startswith("Homestead: 4 accounts")
    assert result.stdout.rstrip().endswith(" s")


def test_simulate_says_what_charts_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the plotting library: one line, before anything is played."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = run("tutorial", "--chart", "picture.svg")
    assert result.exit_code == 1
    assert result.output == "holdfast: charts need matplotlib: pip install 'matplotlib>=3.10'\n"


class Drawn:
    """A plotting library that records its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        """Return a method that records its arguments."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((name, args, kwargs))
            return [self] if name == "plot" else self

        return call

    def subplots(self, rows: int, columns: int, **_: Any) -> list[list[Drawn]]:
        """Return panels."""
        return [[self] * columns for _ in range(rows)]

    def names(self) -> list[str]:
        """Return the names of what was drawn."""
        return [kwargs["label"] for name, _, kwargs in self.calls if name == "plot"]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """Stand in for the plotting library."""
    drawn = Drawn()

    @contextmanager
    def rc_context(_settings: dict[str, str]) -> Generator[None]:
        yield

    def make(**_settings: object) -> Drawn:
        return drawn

    package, module = ModuleType("matplotlib"), ModuleType("matplotlib.figure")
    vars(package)["rc_context"] = rc_context
    vars(module)["Figure"] = make
    monkeypatch.setitem(sys.modules, "matplotlib", package)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", module)
    return drawn


def test_chart_draws_a_line_and_a_band_for_what_somebody_has(drawn: Drawn, tmp_path: Path) -> None:
    """Over days; what is zero throughout, and empty panels, are left out."""
    samples = [
        Sample(
            day * 86_400_000,
            (figure("stock", "wood", [day, 3 * day]), figure("level", "hut", [0, 0])),
        )
        for day in (0, 1)
    ]
    draw_chart(samples, "title", tmp_path / "x.svg")
    assert drawn.names() == ["wood"]
    plots = [args for name, args, _ in drawn.calls if name == "plot"]
    bands = [args for name, args, _ in drawn.calls if name == "fill_between"]
    assert plots == [([0, 1], [0, 2])]
    assert bands == [([0, 1], [0, 1], [0, 3])]
    assert ("set_ylabel", ("stock",), {}) in drawn.calls
    assert ("set_ylabel", ("level",), {}) not in drawn.calls


@pytest.mark.parametrize(("name", "metadata"), [("x.svg", {"Date": None}), ("x.png", None)])
def test_simulate_draws_a_chart(drawn: Drawn, name: str, metadata: object) -> None:
    """The chart is in the format of its suffix, without the time at which it was made."""
    assert run("tutorial", "--chart", name).exit_code == 0
    assert {"wood", "cottage"} <= set(drawn.names())
    [(_, [path], kwargs)] = [call for call in drawn.calls if call[0] == "savefig"]
    assert (path.name, kwargs["metadata"]) == (name, metadata)


def test_chart_is_a_picture_and_always_the_same(tmp_path: Path) -> None:
    """With the plotting library itself, if it is installed."""
    pytest.importorskip("matplotlib")
    samples = [Sample(day, (figure("stock", "wood", [day]),)) for day in (1, 2)]
    for name in ("a.svg", "b.svg", "c.png"):
        draw_chart(samples, "title", tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert b"<svg" in (tmp_path / "a.svg").read_bytes()
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("title", ["Cash $\\frac$", "$^^$", "$ and $$"])
def test_chart_takes_a_title_as_it_is(tmp_path: Path, title: str) -> None:
    """A game's name is drawn literally, even if the plotting library would read it as a formula."""
    pytest.importorskip("matplotlib")
    samples = [Sample(day, (figure("stock", "wood", [day]),)) for day in (1, 2)]
    draw_chart(samples, title, tmp_path / "x.svg")
    assert f"<!-- {title} -->" in (tmp_path / "x.svg").read_text(encoding="utf-8")


@pytest.mark.filterwarnings("error")
def test_chart_of_a_game_in_which_nothing_happens_is_an_empty_one(tmp_path: Path) -> None:
    """Rules under which nobody ever has anything are played and drawn like any other."""
    pytest.importorskip("matplotlib")
    samples = [Sample(day, (figure("stock", "wood", [0]),)) for day in (1, 2)]
    draw_chart(samples, "title", tmp_path / "x.svg")
    assert "<!-- income per hour -->" not in (tmp_path / "x.svg").read_text(encoding="utf-8")
    assert "<!-- stock -->" in (tmp_path / "x.svg").read_text(encoding="utf-8")


def test_chart_without_its_library_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drawing without the library raises the error that says so."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ChartsMissing, match="pip install 'matplotlib"):
        draw_chart([], "title", tmp_path / "x.svg")
