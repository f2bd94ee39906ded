"""What the demo's narration promises: one line per fact, whatever the names contain."""

from __future__ import annotations

import io

from rich.console import Console

from app.cli.demo.show import LEDGER_LINES_MAX, Narrator
from holdfast_client import Problem
from holdfast_client.types import Change, LedgerEntry
from tests.app.cli.demo.samples import NOW, order


def narrator() -> tuple[Narrator, io.StringIO]:
    """Make a narrator on a narrow pipe."""
    told = io.StringIO()
    return Narrator(Console(file=told, width=40)), told


def test_show_keeps_a_fact_on_one_line() -> None:
    """A pipe gets whole lines, not 80-character pieces."""
    tell, told = narrator()
    problem = Problem("max-level", status=409, members={"missing": {"gold": 3}})
    tell.refused("something " * 20, problem)
    assert told.getvalue().count("\n") == 1
    assert "max-level; short of 3 gold" in told.getvalue()


def test_show_takes_names_as_they_are() -> None:
    """Brackets in a name are not markup."""
    tell, told = narrator()
    tell.order("ordered", order("[bold]hut", level=1))
    assert "[bold]hut 1 for nothing" in told.getvalue()


def test_show_tells_units_by_their_count() -> None:
    """Units have a count, buildings a level."""
    tell, told = narrator()
    tell.order("ordered", order("spear", kind="unit", count=5, iron=2))
    assert "5 spear for 2 iron (queued)" in told.getvalue()


def test_show_leaves_out_the_middle_of_a_long_ledger() -> None:
    """The first and last entries are shown, with the number of entries between them."""
    count = LEDGER_LINES_MAX + 5
    entries = [LedgerEntry(n, NOW, "cause", {"g": Change(1, n)}) for n in range(1, count + 1)]
    tell, told = narrator()
    tell.ledger(entries)
    assert "5 more" in told.getvalue()
    assert f"g +1 ({count})" in told.getvalue()
    assert told.getvalue().count("g +1") == LEDGER_LINES_MAX
