"""The base of every section of the configuration."""

from __future__ import annotations

from typing import Final

import msgspec

PATH: Final = "always"
"""Marks a key that holds a path; an empty one stays empty."""

PATH_TO_TOML: Final = "toml"
"""Marks a key that holds a name, or a path if it ends in ``.toml`` or contains a ``/``."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table of the file."""
