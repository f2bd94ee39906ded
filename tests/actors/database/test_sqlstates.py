"""The error that each of the server's codes becomes."""

from __future__ import annotations

import pytest

from actors.database.errors import (
    CheckViolation,
    ConnectionLost,
    DatabaseError,
    ForeignKeyViolation,
    StatementError,
    TransientError,
    UniqueViolation,
)
from actors.database.sqlstates import error_of


@pytest.mark.parametrize(
    ("sqlstate", "kind"),
    [
        ("08006", ConnectionLost),
        ("57P01", ConnectionLost),
        ("25P04", ConnectionLost),
        ("57014", ConnectionLost),
        ("25006", TransientError),
        ("40001", TransientError),
        ("40P01", TransientError),
        ("53100", TransientError),
        ("55P03", TransientError),
        ("58030", TransientError),
        ("23503", ForeignKeyViolation),
        ("23505", UniqueViolation),
        ("23514", CheckViolation),
        ("23502", StatementError),
    ],
)
def test_error_of_code(sqlstate: str, kind: type[DatabaseError]) -> None:
    """A code gives the error of its kind, with its details."""
    error = error_of(sqlstate, "why", constraint="name")
    assert type(error) is kind
    assert str(error) == "why"
    if isinstance(error, UniqueViolation | ForeignKeyViolation | CheckViolation):
        assert error.constraint == "name"
    if isinstance(error, StatementError | TransientError):
        assert error.sqlstate == sqlstate


def test_error_of_nameless_constraint() -> None:
    """A violation without a name has an empty one."""
    error = error_of("23505", "why", constraint=None)
    assert isinstance(error, UniqueViolation)
    assert error.constraint == ""
