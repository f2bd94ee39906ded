"""Connection strings."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.database.dsn import check_dsn, describe_dsn, socket_dsn
from actors.database.errors import DatabaseUnavailable
from actors.database.tools import Target


def test_socket_dsn_describes_itself() -> None:
    """A DSN made for a socket directory shows where it leads."""
    dsn = socket_dsn(Path("/srv/world/run"), user="postgres", database="game", port=5432)
    assert dsn == "postgresql://postgres@/game?host=/srv/world/run&port=5432"
    assert describe_dsn(dsn) == "game at /srv/world/run"


def test_describe_dsn_with_defaults() -> None:
    """Parts left out of a DSN are described as the default."""
    assert describe_dsn("postgresql://") == "the default database at the default host"
    assert describe_dsn("postgresql://db:6543/game") == "game at db:6543"


def test_describe_dsn_of_several_hosts() -> None:
    """All hosts are shown, and an IPv6 address as it stands."""
    dsn = "postgres://user:secret@[::1]:5433,db.example/game?sslmode=require"
    check_dsn(dsn)
    assert describe_dsn(dsn) == "game at [::1]:5433,db.example"


@pytest.mark.parametrize(
    "dsn",
    [
        "host=127.0.0.1 port=1 password=S3CRET dbname=x",
        "holdfast:S3CRET@127.0.0.1:1/db",
        "S3CRET:holdfast@127.0.0.1/db",
        "http://holdfast:S3CRET@127.0.0.1/db",
        "postgresql:S3CRET",
        "postgresql://holdfast:1/S3CRET@127.0.0.1/db",
        "postgresql://holdfast:S3CRET#1@127.0.0.1/db",
        "postgresql://holdfast:S3CRET?1@127.0.0.1/db",
        "postgresql://holdfast@127.0.0.1:S3CRET/db",
        "S3CRET",
    ],
)
def test_check_dsn_quotes_nothing_of_what_is_none(dsn: str) -> None:
    """A malformed DSN is named by its key, and no part of it is quoted, not even for a program."""
    assert describe_dsn(dsn) == "malformed DSN"
    for check in (check_dsn, Target.of):
        with pytest.raises(DatabaseUnavailable, match=r"^database\.dsn is malformed") as refused:
            check(dsn)
        assert "S3CRET" not in str(refused.value)


@given(st.text(min_size=6), st.text())
def test_describe_dsn_never_tells_the_password(password: str, rest: str) -> None:
    """However a DSN is made or garbled, its description never contains the password."""
    secret = f"S3CRET{quote(password, safe='')}"
    assert "S3CRET" not in describe_dsn(f"postgresql://user:{secret}@host/name")
    assert "S3CRET" not in describe_dsn(f"postgresql://user:{secret}@[{quote(rest)}")
