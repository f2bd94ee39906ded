"""What the demo's telling promises: one line per fact, whatever the names hold."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from rich.console import Console

from app.cli.demo.answers import Change, Entry, Order, Problem
from app.cli.demo.show import LEDGER_LINES_MAX, Narrator

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def narrator() -> tuple[Narrator, io.StringIO]:
    """Make a narrator on a narrow pipe."""
    told = io.StringIO()
    return Narrator(Console(file=told, width=40)), told


def test_show_keeps_a_fact_on_one_line() -> None:
    """A pipe gets whole lines, not pieces of 80 characters."""
    tell, told = narrator()
    tell.refused("something " * 20, Problem("/problems/max-level", missing={"gold": 3}))
    assert told.getvalue().count("\n") == 1
    assert "max-level; short of 3 gold" in told.getvalue()


def test_show_takes_names_as_they_are() -> None:
    """Brackets in a name are no markup."""
    tell, told = narrator()
    tell.order("ordered", Order("id", "[bold]hut", "building", {}, "running", None, None, level=1))
    assert "[bold]hut 1 for nothing" in told.getvalue()


def test_show_tells_units_by_their_count() -> None:
    """Units have a count, buildings a level."""
    tell, told = narrator()
    tell.order("ordered", Order("id", "spear", "unit", {"iron": 2}, "queued", None, None, count=5))
    assert "5 spear for 2 iron (queued)" in told.getvalue()


def test_show_leaves_out_the_middle_of_a_long_ledger() -> None:
    """The first and the last entries are shown, and how many are between them."""
    count = LEDGER_LINES_MAX + 5
    entries = [Entry(n, NOW, "cause", {"g": Change(1, n)}) for n in range(1, count + 1)]
    tell, told = narrator()
    tell.ledger(entries)
    assert "5 more" in told.getvalue()
    assert f"g +1 ({count})" in told.getvalue()
    assert told.getvalue().count("g +1") == LEDGER_LINES_MAX
