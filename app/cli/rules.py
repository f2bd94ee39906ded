"""``holdfast rules``: check a ruleset, print its tables, compare two of them."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from actors.inventory.ruleset import RulesetError, load_ruleset, shipped_text
from actors.inventory.ruleset.check import warnings_of
from actors.inventory.ruleset.description import count_row, level_row
from actors.inventory.ruleset.diff import difference
from app.cli.failures import expected_failures
from app.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from actors.inventory.ruleset import Problem, Ruleset
    from actors.inventory.ruleset.diff import Change, Difference, Entry

SHOWN_LEVELS = 10
COUNT_MAX = 10**9
LEVEL_MAX = 10**6

T = TypeVar("T")

_LEVELS = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
set_option = click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set a world parameter."
)


@click.group()
def rules() -> None:
    """Show, check, tabulate and compare rulesets.

    A RULESET is the name of a shipped one (tutorial, ogame, travian) or the path of a TOML file.
    docs/rulesets.md describes how to write one.
    """


@rules.command()
@click.argument("name")
def show(name: str) -> None:
    """Print the file of a shipped ruleset, as a start for one of your own.

    holdfast rules show tutorial > mygame.toml
    """
    with expected_failures():
        text = shipped_text(name)
    click.echo(text, nl=False)


@rules.command()
@click.argument("file")
@set_option
@json_option
def check(file: str, settings: Sequence[str], *, as_json: bool) -> None:
    """Report what is wrong with a ruleset, and what is allowed but rarely intended.

    Exit status: 0 if it can be used (there may be warnings), 1 if it cannot.
    """
    parameters = parameters_of(settings)
    ruleset: Ruleset | None = None
    problems: Sequence[Problem] = ()
    warnings: Sequence[Problem] = ()
    try:
        ruleset = load_ruleset(file, parameters=parameters)
        warnings = warnings_of(ruleset)
    except RulesetError as error:
        problems = error.problems
    if as_json:
        _print_json(
            {
                "file": file,
                "ok": not problems,
                "version": ruleset.version if ruleset else None,
                "problems": [dataclasses.asdict(problem) for problem in problems],
                "warnings": [dataclasses.asdict(warning) for warning in warnings],
            }
        )
    else:
        _print_report(file, ruleset, problems, warnings)
    if problems:
        raise click.exceptions.Exit(1)


@rules.command("table")
@click.argument("ruleset")
@click.argument("asset")
@click.option("--levels", metavar="A-B", help="The levels of a building or technology.")
@click.option(
    "--count", type=click.IntRange(1, COUNT_MAX), metavar="N", help="How many units in all."
)
@set_option
@click.option(
    "--have", "owned", multiple=True, metavar="ASSET=LEVEL", help="Another asset, already built."
)
@json_option
def table_command(
    ruleset: str,
    asset: str,
    *,
    levels: str | None,
    count: int | None,
    settings: Sequence[str],
    owned: Sequence[str],
    as_json: bool,
) -> None:
    """Print the cost, duration and effects of an asset, level by level.

    Production is the asset's own income per hour with full balances; capacity is the resulting
    room. Nothing else is assumed to be built except what --have says.
    """
    parameters = parameters_of(settings)
    with expected_failures():
        loaded = load_ruleset(ruleset, parameters=parameters)
    rows = _rows(loaded, _address(loaded, asset), levels, count, _levels_owned(loaded, owned))
    if as_json:
        _print_json(rows)
    else:
        _print_rows(loaded, asset, rows)


@rules.command("diff")
@click.argument("old")
@click.argument("new")
@json_option
def diff_command(old: str, new: str, *, as_json: bool) -> None:
    """Print what was added, removed and changed between two rulesets, level by level."""
    with expected_failures():
        found = difference(load_ruleset(old), load_ruleset(new))
    if as_json:
        _print_json(dataclasses.asdict(found))
    else:
        _print_difference(found)


def parameters_of(settings: Sequence[str]) -> dict[str, float]:
    """Parse ``--set``: integers stay integers."""

    def number(text: str) -> float:
        return int(text) if re.fullmatch("[-+]?[0-9]+", text) else float(text)

    return _pairs("--set", settings, number)


def _levels_owned(ruleset: Ruleset, owned: Sequence[str]) -> dict[str, int]:
    levels = _pairs("--have", owned, int)
    found: dict[str, int] = {}
    for name, level in levels.items():
        address = _address(ruleset, name, "--have")
        last = ruleset.assets[address].max_level
        if not 0 <= level <= (LEVEL_MAX if last is None else last):
            known = "" if last is None else f"; {name} has levels 0 to {last}"
            message = f"{name}={level}: no such level{known}"
            raise click.BadParameter(message, param_hint="--have")
        found[address] = level
    return found


def _pairs(option: str, texts: Sequence[str], read: Callable[[str], T]) -> dict[str, T]:
    pairs: dict[str, T] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            pairs[name.strip()] = read(value.strip())
        except ValueError as error:
            message = f"{text!r} is not NAME=NUMBER"
            raise click.BadParameter(message, param_hint=option) from error
    return pairs


def _address(ruleset: Ruleset, asset: str, option: str = "ASSET") -> str:
    """Return the address: a building's bare name means the first of its instances."""
    if asset in ruleset.assets:
        return asset
    if asset in ruleset.addresses:
        return ruleset.addresses[asset][0]
    known = ", ".join(ruleset.addresses)
    message = f"{ruleset.name} has no asset {asset!r}; known assets: {known}"
    raise click.BadParameter(message, param_hint=option)


def _rows(
    ruleset: Ruleset, address: str, span: str | None, count: int | None, owned: Mapping[str, int]
) -> list[dict[str, Any]]:
    last = ruleset.assets[address].max_level
    if last is None:
        if span is not None:
            raise click.BadParameter(f"{address} is a unit: use --count", param_hint="--levels")
        return [count_row(ruleset, address, count or 1, owned)]
    if count is not None:
        raise click.BadParameter(f"{address} has levels: use --levels", param_hint="--count")
    matched = _LEVELS.fullmatch(span or f"1-{min(SHOWN_LEVELS, last)}")
    if matched is None:
        raise click.BadParameter(f"{span!r} is not A-B", param_hint="--levels")
    first, final = int(matched[1]), int(matched[2] or matched[1])
    if not first <= final <= last:
        message = f"{address} has levels 0 to {last}, not {span}"
        raise click.BadParameter(message, param_hint="--levels")
    return [level_row(ruleset, address, level, owned) for level in range(first, final + 1)]


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))


def _print_report(
    file: str, ruleset: Ruleset | None, problems: Sequence[Problem], warnings: Sequence[Problem]
) -> None:
    console = Console(highlight=False)
    for problem in problems:
        console.print(f"[bold red]problem[/]  {_shown(problem)}", soft_wrap=True)
    for warning in warnings:
        console.print(f"[yellow]warning[/]  {_shown(warning)}", soft_wrap=True)
    if ruleset is None:
        text = f"{_shown(file)} cannot be used: {_counted(problems, 'problem')}"
        console.print(text, soft_wrap=True)
        return
    text = f"{_shown(file)} can be used, version {ruleset.version}: {len(ruleset.addresses)} assets"
    console.print(f"{text}, {_counted(warnings, 'warning')}", soft_wrap=True)


def _shown(text: object) -> str:
    """Return a text for the console, safe even if it quotes a file: markup is escaped."""
    return escape(printable(str(text)))


def _print_rows(ruleset: Ruleset, asset: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a column for everything that any row has."""
    table = Table(title=escape(f"{asset} ({ruleset.title})"), title_justify="left")
    flat = [_flat_row(row) for row in rows]
    # The last row has every column, in order: a first row for level 0 lacks the cost.
    headings = list(dict.fromkeys(heading for row in reversed(flat) for heading in row))
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in flat:
        table.add_row(*[row.get(heading, "") for heading in headings])
    Console(highlight=False).print(table)


def _flat_row(row: Mapping[str, Any]) -> dict[str, str]:
    head = "level" if "level" in row else "count"
    flat = {head: f"{row[head]:,}"}
    flat |= {name: f"{amount:,}" for name, amount in row.get("cost", {}).items()}
    if "duration_seconds" in row:
        flat["duration"] = _duration(row["duration_seconds"])
    for name, amount in row.get("produces", {}).items():
        flat[f"{name}/h"] = f"{amount:+,}"
    for name, amount in row.get("balance", {}).items():
        flat[f"{name} ±"] = f"{amount:+,}"
    for name, amount in row.get("capacity", {}).items():
        flat[f"room for {name}"] = f"{amount:,}"
    return flat


def _duration(seconds: float) -> str:
    """Format a duration for people: ``1d 02:03:04``."""
    whole = int(seconds)
    rest = f"{seconds - whole:.3f}"[1:].rstrip("0").rstrip(".")
    days, clock = divmod(whole, 86_400)
    text = f"{clock // 3600:02}:{clock // 60 % 60:02}:{clock % 60:02}{rest}"
    return f"{days:,}d {text}" if days else text


def _print_difference(found: Difference) -> None:
    console = Console(highlight=False)
    if not found:
        console.print("no difference")
        return
    for sign, style, entries in (("-", "red", found.removed), ("+", "green", found.added)):
        for entry in entries:
            console.print(f"[{style}]{sign} {_named(entry)}[/]", soft_wrap=True)
    for change in found.changed:
        console.print(f"[yellow]~[/] {_named(change)} {_told(change)}", soft_wrap=True)


def _named(entry: Entry | Change) -> str:
    return escape(f"{entry.section}.{entry.name}")


def _told(change: Change) -> str:
    level = "" if change.level is None else f" at level {change.level}"
    old, new = (
        "nothing" if value is None else json.dumps(value, ensure_ascii=False)
        for value in (change.old, change.new)
    )
    return escape(f"{change.key}{level}: {old} → {new}")


def _counted(items: Sequence[object], what: str) -> str:
    return f"{len(items)} {what}{'' if len(items) == 1 else 's'}"
