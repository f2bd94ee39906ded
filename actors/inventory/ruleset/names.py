"""Names: their form, and that each stands for one thing."""

from __future__ import annotations

import difflib
import keyword
import re
from typing import TYPE_CHECKING, Any, cast

from actors.inventory.ruleset.errors import Problem
from actors.inventory.ruleset.formula import FUNCTION_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from actors.inventory.ruleset.schema import Document

COST_PREFIX = "cost_"
SPEED = "speed"
"""The world parameter that always exists, whether a file has it or not."""
OWN_LEVEL = frozenset({"level", "L"})

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def name_problems(document: Document) -> list[Problem]:
    """Return a problem for every name that is malformed, reserved or given twice.

    Everything that formulas or ledgers refer to by name shares one namespace; queues and
    balances, which they do not, have one each.
    """
    problems: list[Problem] = []
    taken: dict[str, str] = {}
    sections: dict[str, Iterable[str]] = {
        "parameters": document.parameters,
        "resources": document.resources,
        "buildings": document.buildings,
        "technologies": document.technologies,
        "units": document.units,
    }
    for section, names in sections.items():
        for name in names:
            where = f"{section}.{name}"
            problems += _form_problems(name, where)
            if name in taken:
                problems.append(Problem(where, f"the name is already used by {taken[name]}"))
            taken.setdefault(name, where)
    for name in document.balances:
        problems += _form_problems(name, f"balances.{name}")
    for name in document.queues:
        problems += _form_problems(name, f"queues.{name}")
    return problems


def speed_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield a problem for each name that is the world parameter's, if the file does not state it.

    If it does, `name_problems` reports it. The data may still have any shape.
    """
    if SPEED in _table(data, "parameters"):
        return
    for section in ("resources", "buildings", "technologies", "units"):
        if SPEED in _table(data, section):
            message = "the name is already used by the world parameter that every game has"
            yield Problem(f"{section}.{SPEED}", message)


def _table(data: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    value = data.get(section)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Return the message that there is no such name, suggesting the nearest known one."""
    near = nearest(name, known)
    return f"unknown {what} {name!r}" + (f"; did you mean {near!r}?" if near else "")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the name that was probably meant; None if nothing is near."""
    return next(iter(difflib.get_close_matches(name[:60], list(known), n=1)), None)


def _form_problems(name: str, where: str) -> list[Problem]:
    if not _NAME.fullmatch(name):
        message = "a name must be a lower-case letter and up to 39 lower-case letters, digits or _"
        return [Problem(where, message)]
    reserved = _reserved_for(name)
    return [Problem(where, f"the name is reserved: {reserved}")] if reserved else []


def _reserved_for(name: str) -> str | None:
    """Return what a name already means in formulas."""
    if name in FUNCTION_NAMES:
        return f"formulas have the function {name}(…)"
    if name in OWN_LEVEL:
        return f"{name} is the asset's own level in formulas"
    if name.startswith(COST_PREFIX):
        return f"{COST_PREFIX}… are prices in formulas"
    return f"formulas cannot name {name}" if keyword.iskeyword(name) else None
