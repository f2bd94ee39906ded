"""The demo's output, to a terminal or a file."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from rich.console import Console

    from holdfast_client import Problem
    from holdfast_client.types import Change, Inventory, LedgerEntry, Order

LEDGER_LINES_MAX = 12


class Narrator:
    """Tells the story on a console."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def scene(self, title: str) -> None:
        """Open a scene."""
        self._line(f"\n[bold]{escape(title)}[/]")

    def done(self, text: str) -> None:
        """Report what went as promised."""
        self._line(f"  [green]ok[/]       {escape(text)}")

    def refused(self, what: str, problem: Problem) -> None:
        """Report what was refused, as promised."""
        short = self.amounts("; short of", problem.missing) if problem.missing else ""
        self._line(f"  [yellow]refused[/]  {escape(f'{what}: {problem.slug}{short}')}")

    def note(self, text: str) -> None:
        """Report what was skipped, and why."""
        self._line(f"  [dim]note[/]     {escape(text)}")

    def order(self, verb: str, order: Order) -> None:
        """Report an order."""
        what = f"{order.count} {order.asset}" if order.count else f"{order.asset} {order.level}"
        cost = self.amounts("for", order.cost)
        self.done(f"{verb} {what} {cost} ({order.state})")

    def amounts(self, lead: str, amounts: Mapping[str, int]) -> str:
        """Write amounts in words: ``for 60 metal, 15 crystal``."""
        return f"{lead} " + (", ".join(f"{n} {name}" for name, n in amounts.items()) or "nothing")

    def inventory(self, inventory: Inventory) -> None:
        """Show what is owned."""
        table = Table("resource", "amount", "per hour", "capacity", box=None, padding=(0, 2))
        for name, stock in inventory.resources.items():
            room = "" if stock.capacity is None else f"{stock.capacity:,}"
            table.add_row(escape(name), f"{stock.amount:,}", f"{stock.per_hour:,}", room)
        for column in table.columns[1:]:
            column.justify = "right"
        self._console.print(table)
        owned = {name: number for name, number in inventory.owned().items() if number}
        if owned:
            told = ", ".join(f"{name} {number}" for name, number in owned.items())
            self._line(f"  [dim]owned[/]    {escape(told)}")

    def ledger(self, entries: Sequence[LedgerEntry]) -> None:
        """Show the entries of a ledger, or the first and the last if there are many."""
        table = Table("seq", "cause", "changes", box=None, padding=(0, 2))
        hidden = max(0, len(entries) - LEDGER_LINES_MAX)
        head = (LEDGER_LINES_MAX + 1) // 2 if hidden else len(entries)
        for entry in islice(entries, head):
            table.add_row(str(entry.seq), escape(entry.cause), escape(_changes(entry.changes)))
        if hidden:
            table.add_row("…", f"{hidden} more", "")
        for entry in entries[head + hidden :]:
            table.add_row(str(entry.seq), escape(entry.cause), escape(_changes(entry.changes)))
        self._console.print(table)

    @contextmanager
    def waiting(self, order: Order) -> Generator[Callable[[float], None]]:
        """Show a progress bar on a terminal while an order runs; yield its setter, from 0 to 1."""
        self.note(f"waiting for {order.asset}")
        if not self._console.is_terminal:
            yield lambda _share: None
            return
        columns = (TextColumn("          "), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task("", total=1.0)
            yield lambda share: progress.update(task, completed=share)

    def _line(self, text: str) -> None:
        """Print one line, however narrow the terminal: in a pipe it must not be wrapped."""
        self._console.print(text, soft_wrap=True, highlight=False)


def _changes(changes: Mapping[str, Change]) -> str:
    """Write the changes of an entry: ``metal -60 (440)``."""
    told = (f"{name} {each.delta:+,} ({each.balance:,})" for name, each in changes.items())
    return ", ".join(told)
