"""Connection strings: made for a socket directory, described without their password."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, quote, urlsplit

from actors.database.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from pathlib import Path

_SCHEMES: Final = ("postgresql://", "postgres://")
_HOST: Final = r"(\[[^\]]*\]|[^][:,]*)(:[0-9]*)?"
_HOSTS: Final = re.compile(rf"{_HOST}(,{_HOST})*")

_SOCKET_PATH_MAX: Final = 103
"""Bytes of a socket's path: 107 on Linux, 103 on macOS."""
_SOCKET_PATH: Final = re.compile(r"[\w./+~@-]+", re.ASCII)
"""Other characters have a meaning in the server's list of directories or in a DSN."""


def can_be_socket(path: str) -> bool:
    """Whether a socket of that path can be created, and passed to PostgreSQL and its programs."""
    return len(os.fsencode(path)) <= _SOCKET_PATH_MAX and bool(_SOCKET_PATH.fullmatch(path))


def socket_dsn(socket_dir: Path, *, user: str, database: str, port: int) -> str:
    """Return the DSN of a server that listens on a Unix socket in ``socket_dir``."""
    return f"postgresql://{user}@/{database}?host={quote(str(socket_dir))}&port={port}"


def describe_dsn(dsn: str) -> str:
    """Describe which database on which host a DSN means, without user and password."""
    if not is_dsn(dsn):
        return "malformed DSN"
    parts = urlsplit(dsn)
    place = parts.netloc.rpartition("@")[2] or "the default host"
    host = parse_qs(parts.query).get("host", [place])[0]
    name = parts.path.lstrip("/") or "the default database"
    return f"{name} at {host}"


def is_dsn(dsn: str) -> bool:
    """Whether a text can be parsed, so that it is known which part is the password."""
    if not dsn.lower().startswith(_SCHEMES):
        return False
    try:
        parts = urlsplit(dsn)
        parse_qs(parts.query, strict_parsing=bool(parts.query))
    except ValueError:
        return False
    # A "/" or "#" in a password ends the host prematurely: the "@" is then found after it.
    torn = "@" in parts.path or bool(parts.fragment)
    return not torn and _HOSTS.fullmatch(parts.netloc.rpartition("@")[2]) is not None


def check_dsn(dsn: str) -> None:
    """Reject what is not a DSN before anybody quotes it: a password may be anywhere in it.

    Raises:
        DatabaseUnavailable: it is not a DSN.
    """
    if not is_dsn(dsn):
        raise DatabaseUnavailable(
            "database.dsn is malformed: it must look like "
            "postgresql://user:password@host/database, with special characters %-escaped"
        )
