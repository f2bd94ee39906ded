"""Loads the configuration from all of its sources, once."""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from app.config.environment import read_environment
from app.config.errors import ConfigError
from app.config.keys import all_keys
from app.config.sections import Config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from app.config.keys import Key

SHUTDOWN_MS_MAX = 4_500
"""How long the phases of the shutdown may take together; the whole shutdown may take 5 s."""

_PHASES: Final = (
    "shutdown.http_ms",
    "shutdown.inventories_ms",
    "shutdown.storage_ms",
    "shutdown.database_ms",
)

_AT_LEAST: Final = (
    ("http.bodies_in_flight_max_bytes", 1, "http.max_body_bytes"),
    ("auth.refresh_seconds", 1, "auth.token_seconds"),
    ("auth.password_length_max", 1, "auth.password_length_min"),
    ("auth.argon2_memory_kib", 8, "auth.argon2_parallelism"),
    ("supervisor.backoff_max_ms", 1, "supervisor.backoff_ms"),
)
"""Keys that must be at least so many times another one."""


def load_config(
    file: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    options: Mapping[str, object] | None = None,
    check: Callable[[Config], object] | None = None,
) -> Config:
    """Return the configuration: defaults, then ``file``, then ``environ``, then ``options``.

    Of a table, each member has a source of its own.

    ``check`` may refuse, with a `ConfigError`, what only the configured parts can judge; the error
    is raised again with the source that set the key.

    ``options`` are command-line values by key path (``http.port``). Relative paths in ``file`` or
    in the defaults are relative to the folder of ``file``; those from the environment or the
    command line, to the working directory. Without ``file`` and ``environ`` there are only the
    defaults: nothing is read implicitly.

    Raises:
        ConfigError: a source cannot be read, names an unknown key, or has a value that has the
            wrong type, is out of range or is refused by ``check``.
    """
    keys = all_keys()
    folder = Path() if file is None else file.parent
    found = {path: (key.default, "") for path, key in keys.items()}
    if file is not None:
        found |= _read_file(file, keys)
    values = {path: _resolve(keys[path], value, folder) for path, (value, _) in found.items()}
    above = read_environment(environ or {}, keys)
    for path, value in (options or {}).items():
        option = f"--{keys[path].name.replace('_', '-')}"
        above[path] = (keys[path].check(value, option), option)
    for path, (value, _) in above.items():
        values[path] = _over(values[path], _resolve(keys[path], value, Path()))
    sources = {path: source for path, (_, source) in (found | above).items()}
    config = _build(values)
    _check_together(cast("Mapping[str, int]", values), sources)
    if check is not None:
        _check_by(check, config, sources)
    return config


def _read_file(file: Path, keys: Mapping[str, Key]) -> dict[str, tuple[object, str]]:
    """Return the settings in a file: values and the file's name, by key path."""
    source = str(file)
    found: dict[str, tuple[object, str]] = {}
    sections = list(dict.fromkeys(key.section for key in keys.values()))
    for section, table in _parse(file).items():
        if section not in sections:
            raise _unknown(source, section, sections)
        if not isinstance(table, dict):
            raise ConfigError(source, section, "must be a table")
        for name, value in cast("dict[str, object]", table).items():
            path = f"{section}.{name}"
            if path not in keys:
                raise _unknown(source, path, keys)
            if keys[path].secret:
                problem = f"is a secret: set {keys[path].variable} in the environment instead"
                raise ConfigError(source, path, problem)
            found[path] = (keys[path].check(value, source), source)
    return found


def _parse(file: Path) -> dict[str, Any]:
    """Read a file as TOML."""
    try:
        # Some editors write a byte order mark.
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise unreadable(file, error) from None
    except UnicodeDecodeError:
        raise ConfigError(str(file), None, "is not UTF-8 text") from None
    except (ValueError, RecursionError) as error:
        # Not only TOMLDecodeError: a number may have too many digits, a list be nested too deeply.
        raise ConfigError(str(file), None, f"is not TOML: {error}") from None


def unreadable(file: Path, error: OSError) -> ConfigError:
    """Make the error for a file that cannot be read, with the folder where it was expected."""
    return ConfigError(str(file.absolute()), None, f"cannot be read: {error.strerror}")


def _resolve(key: Key, value: object, folder: Path) -> object:
    """Resolve a relative path against ``folder``; leave everything else as it is."""
    if key.path_kind is None or not isinstance(value, str) or not value:
        return value
    if key.path_kind == "toml" and "/" not in value and not value.endswith(".toml"):
        return value
    return str(folder / Path(value).expanduser())


def _over(below: object, above: object) -> object:
    """Return the later value; of a table, with the members that only the earlier one has."""
    if isinstance(below, dict) and isinstance(above, dict):
        return cast("dict[str, object]", below) | cast("dict[str, object]", above)
    return above


def _build(values: Mapping[str, object]) -> Config:
    """Put checked values into their sections."""
    sections: dict[str, Any] = {}
    for section in msgspec.structs.fields(Config):
        names = (field.name for field in msgspec.structs.fields(section.type))
        members = {name: values[f"{section.name}.{name}"] for name in names}
        sections[section.name] = section.type(**members)
    return Config(**sections)


def _check_by(
    check: Callable[[Config], object], config: Config, sources: Mapping[str, str]
) -> None:
    """Call ``check``; add the source to its refusal."""
    try:
        check(config)
    except ConfigError as error:
        if error.key is None or error.key not in sources:
            raise
        source = sources[error.key] or "defaults"
        raise ConfigError(source, error.key, error.problem) from None


def _check_together(values: Mapping[str, int], sources: Mapping[str, str]) -> None:
    """Check constraints between keys."""
    together = sum(values[phase] for phase in _PHASES)
    if together > SHUTDOWN_MS_MAX:
        problem = f"the phases add up to {together} ms; at most {SHUTDOWN_MS_MAX} ms are allowed"
        raise ConfigError(_source(sources, *_PHASES), _PHASES[0], problem)
    for path, times, other in _AT_LEAST:
        least = times * values[other]
        if values[path] < least:
            why = other if times == 1 else f"{times} times {other}"
            problem = f"must be at least {least} ({why}), not {values[path]}"
            raise ConfigError(_source(sources, path, other), path, problem)


def _source(sources: Mapping[str, str], *paths: str) -> str:
    """Return where the first of these keys that is not at its default is set."""
    return next((source for path in paths if (source := sources[path])), "defaults")


def _unknown(source: str, path: str, known: Iterable[str]) -> ConfigError:
    """Make the error for an unknown key, with a suggestion."""
    near = get_close_matches(path, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return ConfigError(source, path, f"no such key{hint}")
