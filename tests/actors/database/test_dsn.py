"""Connection strings."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from actors.database.dsn import describe_dsn, socket_dsn


def test_socket_dsn_describes_itself() -> None:
    """A DSN made for a socket directory tells where it leads."""
    dsn = socket_dsn(Path("/srv/world/run"), user="postgres", database="game", port=5432)
    assert dsn == "postgresql://postgres@/game?host=/srv/world/run&port=5432"
    assert describe_dsn(dsn) == "game at /srv/world/run"


def test_describe_dsn_with_defaults() -> None:
    """What a DSN leaves out is called the default."""
    assert describe_dsn("postgresql://") == "the default database at the default host"
    assert describe_dsn("postgresql://db:6543/game") == "game at db:6543"


@given(st.text(min_size=6), st.text())
def test_describe_dsn_never_tells_the_password(password: str, rest: str) -> None:
    """However a DSN is made or garbled, its password stays out of its description."""
    secret = f"S3CRET{quote(password, safe='')}"
    assert "S3CRET" not in describe_dsn(f"postgresql://user:{secret}@host/name")
    assert "S3CRET" not in describe_dsn(f"postgresql://user:{secret}@[{quote(rest)}")
