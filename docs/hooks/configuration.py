"""Generates the page of every configuration key from the definitions of the keys."""

from __future__ import annotations

from itertools import groupby
from typing import Final

from app.config import Config
from app.config.keys import Key, all_keys, expectation, show

_HEAD: Final = """\
# Configuration

Every key, generated from the definitions with which the server reads its configuration. `holdfast
init` writes a `config.toml` with all of them at their defaults, like the one in the source.

- A key that is left out keeps its default. A key that does not exist, or a value of the wrong type
  or out of range, is an error that names file and key; the server does not start.
- Each key can be set in the environment, as `HOLDFAST_` + section + `__` + key in capitals, which
  wins over the file: `HOLDFAST_HTTP__PORT=9000`. The token key itself can only be set there.
- A variable that begins with `HOLDFAST_` and a section, or has `__` in it, but names no key is an
  error as well. Any other that begins with `HOLDFAST_` is ignored, and the start says so.
- The file is `config.toml` in the folder that a command runs in; `--config FILE` or the variable
  `HOLDFAST_CONFIG` names another.
- Names end with their unit: `_ms` is milliseconds, `_kib` is KiB.
- A relative path in the file is relative to the file's folder.

"""


def configuration_page() -> str:
    """Return the page."""
    sections = groupby(all_keys().values(), key=lambda key: key.section)
    tables = [_section(name, list(keys)) for name, keys in sections]
    return _HEAD + "\n".join(tables)


def _section(name: str, keys: list[Key]) -> str:
    purpose = (type(getattr(Config(), name)).__doc__ or "").strip()
    lines = [f"## {name} {{#{name}}}\n", f"{purpose}\n", "| key | default | |", "|---|---|---|"]
    lines += [_row(key) for key in keys]
    return "\n".join(lines) + "\n"


def _row(key: Key) -> str:
    anchor = f'<span id="{key.section}.{key.name}"></span>'
    # On a phone a long name may break between its words.
    name = f'{anchor}<code class="key">{key.name.replace("_", "_<wbr>")}</code>'
    meaning = key.description.replace("|", "\\|")
    if key.secret:
        return f"| {name} | none | {meaning} Only in the environment: `{key.variable}`. |"
    if key.table:
        return f"| {name} | empty | {meaning} In the environment: `{key.variable}__NAME`. |"
    if not key.text and not isinstance(key.default, bool):
        meaning += f" {expectation(key.shape)[0].upper()}{expectation(key.shape)[1:]}."
    default = "none" if key.default is None else f"`{show(key.default)}`"
    return f"| {name} | {default} | {meaning} |"
