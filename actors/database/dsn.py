"""Connection strings: made for a socket directory, described without their password."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit

if TYPE_CHECKING:
    from pathlib import Path


def socket_dsn(socket_dir: Path, *, user: str, database: str, port: int) -> str:
    """Give the DSN of a server that listens on a Unix socket in ``socket_dir``."""
    return f"postgresql://{user}@/{database}?host={quote(str(socket_dir))}&port={port}"


def describe_dsn(dsn: str) -> str:
    """Say which database on which host a DSN means, without user and password."""
    try:
        parts = urlsplit(dsn)
        host = parse_qs(parts.query).get("host", [parts.hostname or "the default host"])[0]
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "malformed DSN"
    name = parts.path.lstrip("/") or "the default database"
    return f"{name} at {host}{port}"
