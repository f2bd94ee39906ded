"""``holdfast simulate``: let bots play a ruleset, and see how they develop."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from actors.inventory.ruleset import load_ruleset
from app.cli.failures import expected_failures
from app.cli.interrupts import run_interruptible
from app.cli.options import Decimals
from app.cli.rules import parameters_of, set_option
from app.config import Log
from app.logs import make_logger
from app.simulation import POLICIES, Setup, play
from app.simulation.chart import SUFFIXES, ChartsMissing, draw_chart, load_charts
from app.simulation.report import write_csv

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from decimal import Decimal

    from actors.inventory.ruleset import Ruleset
    from app.simulation import Played
    from app.simulation import Progress as Moment
    from app.simulation.samples import Figure, Kind, Sample

ACCOUNTS_MAX: Final = 100_000
DAYS_MAX: Final = 3_650
VISITS_MAX: Final = 1_440
SAMPLES_MAX: Final = 10_000
_DAY_MS: Final = 86_400_000
_THOUSAND: Final = 1_000

HEADINGS: Final[Mapping[Kind, str]] = MappingProxyType(
    {
        "stock": "stock",
        "income": "income per hour",
        "full": "accounts with a full stock, %",
        "level": "level",
        "count": "units",
    }
)
"""The kinds of figures in the order of the table, with their headings."""


@click.command()
@click.argument("ruleset")
@click.option(
    "--accounts",
    type=click.IntRange(1, ACCOUNTS_MAX),
    default=100,
    show_default=True,
    metavar="N",
    help="How many bots play.",
)
@click.option(
    "--days",
    type=Decimals(0, DAYS_MAX, min_open=True),
    default=7,
    show_default=True,
    metavar="D",
    help="How many days they play.",
)
@click.option(
    "--policy",
    type=click.Choice(list(POLICIES)),
    default="greedy",
    show_default=True,
    help="How they decide.",
)
@click.option(
    "--seed",
    type=int,
    default=1,
    show_default=True,
    metavar="S",
    help="Seed of their random choices.",
)
@click.option(
    "--visits",
    type=Decimals(0, VISITS_MAX, min_open=True),
    default=2,
    show_default=True,
    metavar="N",
    help="How often an average player visits per day.",
)
@click.option(
    "--samples",
    type=click.IntRange(1, SAMPLES_MAX),
    default=30,
    show_default=True,
    metavar="N",
    help="At how many moments to take the figures.",
)
@set_option
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the figures as CSV.",
)
@click.option(
    "--chart",
    "chart_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw the figures as .svg or .png; needs matplotlib.",
)
def simulate(
    ruleset: str,
    *,
    accounts: int,
    days: float,
    policy: str,
    seed: int,
    visits: float,
    samples: int,
    settings: Sequence[str],
    csv_file: Path | None,
    chart_file: Path | None,
) -> None:
    """Let bots play RULESET, and show stocks, incomes and levels over time.

    RULESET is the name of a shipped ruleset or the path of a TOML file. The bots play as clients
    of a server would, through its own actors and rules, in virtual time. The same options give
    the same figures. docs/balancing.md describes what the policies do and how to read the figures.
    """
    if chart_file is not None and chart_file.suffix not in SUFFIXES:
        raise click.BadParameter(f"must end in {' or '.join(SUFFIXES)}", param_hint="--chart")
    parameters = parameters_of(settings)
    setup = Setup(accounts, days, policy, seed, visits, samples)
    with expected_failures(ChartsMissing):
        loaded = load_ruleset(ruleset, parameters=parameters)
        if chart_file is not None:
            load_charts()
        began = time.monotonic()
        played = _play(loaded, setup)
        seconds = time.monotonic() - began
    _print(loaded, played, seconds)
    with expected_failures():
        if csv_file is not None:
            with csv_file.open("w", encoding="utf-8", newline="") as file:
                write_csv(played.samples, file)
        if chart_file is not None:
            title = f"{loaded.title}: {accounts:,} accounts, {policy}, seed {seed}"
            draw_chart(played.samples, title, chart_file)


def _play(ruleset: Ruleset, setup: Setup) -> Played:
    log = make_logger(Log(level="warning"), sys.stderr)
    with _shown(setup) as on_progress:

        async def main() -> Played:
            return await play(ruleset, setup, log=log, on_progress=on_progress)

        return run_interruptible(main)


@contextmanager
def _shown(setup: Setup) -> Generator[Callable[[Moment], None] | None]:
    """Show the simulation's progress on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("day 0", total=setup.span_ms)

        def on_progress(moment: Moment) -> None:
            day = f"day {moment.now_ms / _DAY_MS:.1f}, {moment.orders:,} orders"
            progress.update(task, completed=moment.now_ms, description=day)

        yield on_progress


def _print(ruleset: Ruleset, played: Played, seconds: float) -> None:
    """Print the means at five moments, and the spread at the last."""
    setup, samples = played.setup, played.samples
    last = len(samples) - 1
    shown = sorted({round(last * quarter / 4) for quarter in range(5)})
    title = f"{ruleset.title}: {setup.accounts:,} accounts, {setup.policy}, seed {setup.seed}"
    table = Table("", title=escape(title), title_justify="left", box=None)
    for heading in (*(_moment(samples[index].at_ms) for index in shown), "p10", "p90"):
        table.add_column(heading, justify="right", no_wrap=True)
    for kind, heading in HEADINGS.items():
        _add_rows(table, heading, _shown_of(kind, [samples[index] for index in shown]))
    Console(highlight=False).print(table)
    visits, orders = f"{played.visits:,} visits", f"{played.orders:,} orders"
    refusals = f", {played.refusals:,} refused" if played.refusals else ""
    click.echo(f"{visits}, {orders}{refusals} in {seconds:.1f} s")


def _shown_of(kind: Kind, samples: Sequence[Sample]) -> list[tuple[Figure, ...]]:
    """Return the figures of a kind at each moment, without those that are always zero."""
    return [
        figures
        for figures in zip(*(sample.figures for sample in samples), strict=True)
        if figures[0].kind == kind and any(each.mean for each in figures)
    ]


def _add_rows(table: Table, heading: str, rows: Sequence[tuple[Figure, ...]]) -> None:
    if rows:
        table.add_row(f"[bold]{heading}[/]")
    for figures in rows:
        numbers = (*(each.mean for each in figures), figures[-1].p10, figures[-1].p90)
        table.add_row(f"  {escape(figures[0].name)}", *map(short, numbers))


def _moment(at_ms: int) -> str:
    return f"day {at_ms / _DAY_MS:.3g}"


def short(number: Decimal) -> str:
    """Write a number in at most seven characters: 4.2, 1,234, 56.7k, 8.9M, 1.0e+6G."""
    if number < _THOUSAND:
        return f"{number:.1f}"
    if number < 10 * _THOUSAND:
        return f"{number:,.0f}"
    for unit in "kMG":
        number /= _THOUSAND
        if number < _THOUSAND:
            return f"{number:.1f}{unit}"
    return f"{number:.1e}G"
