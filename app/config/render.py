"""Renders the configuration file from the definitions of its keys."""

from __future__ import annotations

import textwrap
from itertools import groupby
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, cast

from app.config.keys import Key, all_keys, number_of, show
from app.config.sections import Config

if TYPE_CHECKING:
    from msgspec import inspect

WIDTH = 96
"""Longest line of a comment."""

UNITS: Final = MappingProxyType(
    {"bytes": "bytes", "kib": "KiB", "ms": "milliseconds", "seconds": "seconds"}
)
"""The units, by the last part of a key's name."""

HEAD = """\
# The configuration of a Holdfast server: every key, with its default.
#
# A key that is left out keeps its default. Every key can also be set in the environment, which
# wins over this file: HOLDFAST_HTTP__PORT=8471 sets port in [http]. Relative paths in this file
# are relative to its folder. An unknown key or a value of the wrong type is an error.
"""


def render_config() -> str:
    """Return the text of a configuration file with every key at its default, explained."""
    parts = [HEAD]
    for section, keys in groupby(all_keys().values(), key=lambda key: key.section):
        members = list(keys)
        parts.append(f"\n{_comment(_purpose(section))}\n[{section}]\n")
        parts += [_render_key(key) for key in members if not key.table]
        parts += [_render_table(key) for key in members if key.table]
    return "".join(parts)


def _purpose(section: str) -> str:
    """Return a section's purpose: the docstring of its type."""
    return (type(getattr(Config(), section)).__doc__ or "").strip()


def _render_key(key: Key) -> str:
    """Write one key; for a secret, write where to set it."""
    if key.secret:
        return _comment(f"{key.description} Only in the environment: {key.variable}.") + "\n"
    meaning = key.description
    if not key.text and not key.switch:
        meaning = f"{meaning} {_limits(key)}."
    if key.default is None:
        return f"{_comment(meaning)}\n# {key.name} = 1\n"
    return f"{_comment(meaning)}\n{key.name} = {show(key.default)}\n"


def _limits(key: Key) -> str:
    """Write a number's unit and range: ``In ms, 1 to 600000``."""
    # Anything but a string, switch or table is a number.
    shape = cast("inspect.IntType | inspect.FloatType", number_of(key.shape))
    unit = UNITS.get(key.name.rpartition("_")[2], "")
    least = f"{shape.ge} to" if shape.ge is not None else f"above {shape.gt}, at most"
    text = f"in {unit}, {least} {shape.le}" if unit else f"{least} {shape.le}"
    return text[0].upper() + text[1:]


def _render_table(key: Key) -> str:
    """Write the head of an empty table of numbers."""
    meaning = f"{key.description} In the environment: {key.variable}__NAME."
    return f"\n{_comment(meaning)}\n[{key.section}.{key.name}]\n"


def _comment(text: str) -> str:
    """Break a text into comment lines."""
    return "\n".join(f"# {line}" for line in textwrap.wrap(text, WIDTH - 2))
