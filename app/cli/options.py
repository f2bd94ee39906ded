"""Options that several commands share, and the resulting configuration."""

from __future__ import annotations

import os
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from app.config import Config, ignored_variables, load_config, unreadable
from app.settings import check_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

F = TypeVar("F", bound="Callable[..., Any]")

DEFAULT_FILE: Final = Path("config.toml")
"""The file that is read if none is named and this one exists."""


class Decimals(click.FloatRange):
    """A number within bounds; unlike in click, ``nan`` is within none."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse a number; fails like any type of click's."""
        number: float = super().convert(value, param, ctx)
        if isnan(number):
            self.fail(f"{value!r} is not a valid float.", param, ctx)
        return number


def config_option(function: F) -> F:
    """Add ``--config FILE``, passed on as ``config_file``."""
    return click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="HOLDFAST_CONFIG",
        show_envvar=True,
        help="The configuration file; by default config.toml if it exists, else built-in defaults.",
    )(function)


def read_config(
    config_file: Path | None,
    options: Mapping[str, object | None] | None = None,
    *,
    check: Callable[[Config], object] = check_settings,
) -> Config:
    """Load the configuration that a command line asks for.

    ``options`` are by key path; those that are None were not given. A named file must exist;
    ``config.toml`` need not. ``check`` may refuse what was read; its refusals name the source.

    Raises:
        ConfigError: it cannot be used.
    """
    file = config_file
    if file is None and _is_there(DEFAULT_FILE):
        file = DEFAULT_FILE
    if ignored := ignored_variables(os.environ):
        click.echo(f"holdfast: not a setting, ignored: {', '.join(ignored)}", err=True)
    given = {path: value for path, value in (options or {}).items() if value is not None}
    return load_config(file, environ=os.environ, options=given, check=check)


def _is_there(file: Path) -> bool:
    """Return whether a file exists; raises ConfigError if that cannot be determined."""
    try:
        file.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise unreadable(file, error) from None
    return True
