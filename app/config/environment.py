"""Settings from the environment: ``HOLDFAST_SECTION__KEY=value``, typed by the key.

A table has a variable for each member: ``HOLDFAST_WORLD__PARAMETERS__TEMPERATURE=20`` sets
``temperature`` in ``[world.parameters]``.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from app.config.errors import ConfigError
from app.config.keys import all_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.config.keys import Key

PREFIX = "HOLDFAST_"

NO_KEYS: Final = frozenset({"HOLDFAST_CONFIG", "HOLDFAST_UNPACK_DIR"})
"""Variables that locate the file, and the folder where the one-file program unpacks itself."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,30}")
_OF_SERVICE: Final = re.compile(
    r"_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$"
)
_SERVICE_ADDRESS: Final = re.compile(r"(tcp|udp|sctp)://")
_BROKEN = re.compile(r"[+-]?([0-9]{1,30}\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


def read_environment(
    environ: Mapping[str, str], keys: Mapping[str, Key]
) -> dict[str, tuple[object, str]]:
    """Return the settings in the environment: values and their variables, by key path.

    Raises:
        ConfigError: a variable names no key, or its value does not fit the key.
    """
    by_variable = {key.variable: key for key in keys.values()}
    found: dict[str, tuple[object, str]] = {}
    members: dict[str, dict[str, object]] = {}
    for variable, text in environ.items():
        if not _is_setting(variable, text, keys):
            continue
        key = by_variable.get(variable)
        table, member = _split_member(variable, by_variable)
        if key is not None and key.table:
            raise ConfigError(variable, key.path, f"set its members: {variable}__NAME=number")
        if key is not None:
            found[key.path] = (key.check(_typed(key, text), variable), variable)
        elif table is not None:
            table.check({member: _number(text)}, variable)
            members.setdefault(table.path, {})[member] = _number(text)
            found[table.path] = (members[table.path], variable)
        else:
            raise _unknown(variable, by_variable)
    return found


def ignored_variables(environ: Mapping[str, str]) -> list[str]:
    """Return the variables that look like settings but are not, each with a suggestion.

    They are not errors: others set such variables too, as Kubernetes does for services so named.
    """
    keys = all_keys()
    by_variable = {key.variable: key for key in keys.values()}
    return [
        f"{variable}{_hint(variable, by_variable)}"
        for variable in sorted(environ)
        if variable.startswith(PREFIX)
        and variable not in NO_KEYS
        and not _is_setting(variable, environ[variable], keys)
    ]


def _is_setting(variable: str, text: str, keys: Mapping[str, Key]) -> bool:
    """Tell settings, misspelt ones included, from other variables with the same prefix."""
    if not variable.startswith(PREFIX) or _is_of_kubernetes(variable, text):
        return False
    sections = {key.section.upper() for key in keys.values()}
    rest = variable.removeprefix(PREFIX)
    return "__" in rest or rest.split("_", 1)[0] in sections


def _is_of_kubernetes(variable: str, text: str) -> bool:
    """Whether Kubernetes sets this variable for a service, perhaps one named like a section."""
    if "__" in variable:
        return False
    is_address = _SERVICE_ADDRESS.match(text) is not None
    return _OF_SERVICE.search(variable) is not None or (variable.endswith("_PORT") and is_address)


def _split_member(variable: str, by_variable: Mapping[str, Key]) -> tuple[Key | None, str]:
    """Find the table in which a variable sets a member, and the member's name."""
    for head, key in by_variable.items():
        member = variable.removeprefix(f"{head}__")
        if key.table and member not in {"", variable}:
            return key, member.lower()
    return None, ""


def _typed(key: Key, text: str) -> object:
    """Parse a text as the type that the key takes."""
    if key.switch:
        return {"true": True, "false": False}.get(text.strip().lower(), text)
    return text if key.text else _number(text)


def _number(text: str) -> object:
    """Parse a number as TOML would; anything else stays text, for the key to refuse."""
    if _WHOLE.fullmatch(text):
        return int(text)
    if _BROKEN.fullmatch(text):
        return float(text)
    return text


def _unknown(variable: str, by_variable: Mapping[str, Key]) -> ConfigError:
    """Make the error for an unknown variable, with a suggestion."""
    near = get_close_matches(variable, by_variable, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return ConfigError(variable, None, f"no such setting{hint}")


def _hint(variable: str, by_variable: Mapping[str, Key]) -> str:
    """Suggest the variable that may have been meant, even by the key's last part alone."""
    ends = [each for each in by_variable if each.endswith(f"__{variable.removeprefix(PREFIX)}")]
    near = ends or get_close_matches(variable, by_variable, n=1)
    return f" (did you mean {near[0]}?)" if near else ""
