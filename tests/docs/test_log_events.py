"""The pages describe the log as the program writes it: every event, with its own fields."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from typing import TYPE_CHECKING

from tests.docs.pages import DOCS, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

ORDINARY = {"debug", "info", "_log", "_log_life"}
SERIOUS = {"warning", "error", "exception", "critical", "log"}
NO_FIELDS = {
    *("debug", "info", "yes", "unknown", "postgres", "storage", "inventories", "analyze"),
    *("fsync", "full_page_writes", "synchronous_commit", "statement_timeout"),
    "synchronous_standby_names",
}
"""Words in the table of serious events that are values, levels, actors, or PostgreSQL's."""


def calls() -> Iterator[tuple[str, str, set[str]]]:
    """Yield every logging call: its method, event and fields."""
    for folder in ("actors", "app", "bus"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                match node:
                    case ast.Call(
                        func=ast.Attribute(attr=how) | ast.Name(id=how),
                        args=[ast.Constant(value=str(event))],
                    ) if how in ORDINARY | SERIOUS and re.fullmatch(r"[a-z]+(_[a-z]+)+", event):
                        yield how, event, {each.arg for each in node.keywords if each.arg}
                    case _:
                        pass


def fields() -> dict[str, set[str]]:
    """Return the fields of every event."""
    found: dict[str, set[str]] = defaultdict(set)
    for _, event, named in calls():
        found[event] |= named
    return found


def test_page_lists_every_ordinary_event_with_its_fields() -> None:
    """The table lists every event of normal operation, and no others."""
    page = (DOCS / "metrics.md").read_text(encoding="utf-8")
    table = page.partition("| event | fields | logged when |\n")[2].partition("\n\n")[0]
    told = {
        event: set(re.findall(r"`(\w+)`", cell))
        for events, cell in re.findall(r"^\| (`[^|]+) \|([^|]*)\|", table, re.MULTILINE)
        for event in re.findall(r"`(\w+)`", events)
    }
    serious = {event for how, event, _ in calls() if how in SERIOUS}
    assert told == {event: named for event, named in fields().items() if event not in serious}


def test_troubleshooting_names_fields_that_the_events_have() -> None:
    """A field that a row names belongs to its event, or to another event that the row names."""
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    part = page.partition("## Events in the log")[2].partition("## What clients are told")[0]
    known = fields()
    wrong: list[str] = []
    for row in re.findall(r"^\| (`.*)$", part, re.MULTILINE):
        words = re.findall(r"`([a-z_]+)`", row)
        events = [word for word in words if word in known]
        of_events = set[str]().union(*(known[event] for event in events))
        wrong += [
            f"{events[0]}: {word}"
            for word in words
            if word not in known and word not in of_events | NO_FIELDS
        ]
    assert wrong == []


def test_events_name_an_account_in_one_way() -> None:
    """Every event about an account has its id under ``account_id``, so a search finds them all."""
    assert [event for event, named in fields().items() if "account" in named] == []
