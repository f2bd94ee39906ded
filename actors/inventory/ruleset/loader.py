"""Loading: a shipped name, a path, or an archived text becomes a `Ruleset`."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actors.inventory.ruleset.compiler import compile_document
from actors.inventory.ruleset.document import (
    BYTES_MAX,
    archive_text,
    parse_toml,
    read_document,
    version_of,
)
from actors.inventory.ruleset.errors import ParameterError, Problem, RulesetError
from actors.inventory.ruleset.exact import RESULT_MAX
from actors.inventory.ruleset.names import SPEED, speed_problems, unknown
from actors.inventory.ruleset.schema import ParameterTable
from actors.inventory.ruleset.texts import text_problems

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.inventory.ruleset.ruleset import Ruleset
    from actors.inventory.ruleset.schema import Document, Number

PACKAGE = "rulesets"
_SHIPPED = re.compile(r"[a-z][a-z0-9_-]*")


def load_ruleset(source: str | Path, *, parameters: Mapping[str, float] | None = None) -> Ruleset:
    """Return the ruleset of a shipped name (``tutorial``) or of the TOML file at a path.

    ``parameters`` set world parameters; the others keep the file's defaults.  Raises
    RulesetError with every problem found: first those of the file's shape, and once that is
    sound those of its content; ParameterError if ``parameters`` do not suit the file.
    """
    file, content = _read(source)
    data = parse_toml(content, file)
    # Not checked for an archive: a world can always continue from rules it has run under.
    unfit = [*text_problems(data), *speed_problems(data)]
    if unfit:
        raise RulesetError(file, unfit)
    return _compiled(data, parameters or {}, file=file, name=Path(file).stem)


def restore_ruleset(archive: str) -> Ruleset:
    """Return the ruleset whose ``archive`` this is, parameters included.

    Raises RulesetError if this version of the program can no longer run it.
    """
    stored = json.loads(archive)
    name: str = stored["name"]
    return _compiled(stored["rules"], stored["parameters"], file=name, name=name)


def shipped_rulesets() -> tuple[str, ...]:
    """Return the names of the rulesets shipped with the program, in order."""
    files = resources.files(PACKAGE).iterdir()
    return tuple(sorted(Path(file.name).stem for file in files if file.name.endswith(".toml")))


def shipped_text(name: str) -> bytes:
    """Return the file of a ruleset shipped with the program; raises RulesetError: no such."""
    names = shipped_rulesets()
    if name not in names:
        message = f"{unknown('ruleset', name, names)} (shipped: {', '.join(names)}; a file is"
        raise RulesetError(name, [Problem("", f"{message} named by its path)")])
    return resources.files(PACKAGE).joinpath(f"{name}.toml").read_bytes()


def _read(source: str | Path) -> tuple[str, bytes]:
    if isinstance(source, str) and _SHIPPED.fullmatch(source):
        return source, shipped_text(source)
    path = Path(source)
    try:
        with path.open("rb") as file:
            return str(source), file.read(BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a valid file name"
        raise RulesetError(str(source), [Problem("", f"cannot be read: {reason}")]) from error


def _compiled(
    data: Mapping[str, Any], overrides: Mapping[str, float], *, file: str, name: str
) -> Ruleset:
    document = read_document(data, file)
    parameters = _parameters(document, overrides, file)
    return compile_document(
        document,
        file=file,
        name=name,
        version=version_of(data, parameters),
        archive=archive_text(name, data, parameters),
        parameters=parameters,
    )


def _parameters(document: Document, overrides: Mapping[str, float], file: str) -> dict[str, Number]:
    """Return all world parameters in force; raises RulesetError, ParameterError."""
    tables = {
        name: value if isinstance(value, ParameterTable) else ParameterTable(default=value)
        for name, value in ({SPEED: 1} | document.parameters).items()
    }
    problems = [
        Problem(f"parameters.{name}", message)
        for name, table in tables.items()
        if (message := _table_fault(name, table, is_set=name in overrides))
    ]
    if problems:
        raise RulesetError(file, problems)
    problems = [
        Problem(f"parameters.{name}", message)
        for name, value in overrides.items()
        if (message := _override_fault(name, value, tables))
    ]
    if problems:
        raise ParameterError(file, problems)
    values = {name: table.default for name, table in tables.items()} | dict(overrides)
    return {name: _whole_or_float(value) for name, value in values.items()}


def _whole_or_float(value: Number) -> Number:
    """Return 7.0 as 7, so that both give the same version."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _table_fault(name: str, table: ParameterTable, *, is_set: bool) -> str | None:
    """Describe a parameter's fault in the file; its default only counts if none is set."""
    if table.min is not None and table.max is not None and table.min > table.max:
        return f"min, {table.min}, exceeds max, {table.max}"
    return None if is_set else _value_fault(name, table.default, table)


def _override_fault(name: str, value: object, tables: Mapping[str, ParameterTable]) -> str | None:
    if name not in tables:
        return unknown("parameter", name, tables)
    return _value_fault(name, value, tables[name])


def _value_fault(name: str, value: object, table: ParameterTable) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"must be a number, not {value!r}"
    if not -RESULT_MAX <= value <= RESULT_MAX:
        return "must lie between -10^18 and 10^18"
    if name == SPEED and value <= 0:
        return "must be more than 0"
    if table.min is not None and value < table.min:
        return f"must be at least {table.min}"
    if table.max is not None and value > table.max:
        return f"must be at most {table.max}"
    return None
