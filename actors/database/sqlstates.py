"""SQLSTATEs, the five-character codes of PostgreSQL's errors (its manual, appendix A)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from actors.database.errors import (
    CheckViolation,
    ConnectionLost,
    DatabaseError,
    ForeignKeyViolation,
    StatementError,
    TransientError,
    UniqueViolation,
)

CLIENT_DATA_ERROR: Final = "22000"
"""The driver itself found an argument wrong."""

CLIENT_USAGE_ERROR: Final = "XX000"
"""The driver itself found a call wrong."""

DIVISION_BY_ZERO: Final = "22012"

_VIOLATIONS: Final = MappingProxyType(
    {
        "23503": ForeignKeyViolation,
        "23505": UniqueViolation,
        "23514": CheckViolation,
    }
)
_LOST: Final = ("08", "25P03", "25P04", "57P01", "57P02", "57P03", "57P05", "57014")
"""Codes, and a class of codes, that come with the end of the connection, and one (57014: a
statement cancelled from outside) that may come when the work was already done."""

_TRANSIENT: Final = ("25006", "40001", "40P01", "53", "55P03", "58")
"""Codes, and classes of codes, of errors that may not recur: the server is read-only, or cannot
serialize concurrent transactions; a deadlock; no disk or memory is left; others hold a lock; the
system beneath the server fails."""


_NOT_PREPARED_HERE: Final = frozenset({"26000", "42P05"})
"""A prepared statement is missing, or present, contrary to what its session knows."""


def error_of(sqlstate: str, message: str, *, constraint: str | None) -> DatabaseError:
    """Return the error that a code of the server's stands for."""
    if sqlstate.startswith(_LOST):
        return ConnectionLost(message)
    if sqlstate.startswith(_TRANSIENT):
        return TransientError(message, sqlstate=sqlstate)
    violation = _VIOLATIONS.get(sqlstate)
    if violation is not None:
        return violation(message, constraint=constraint or "")
    if sqlstate in _NOT_PREPARED_HERE:
        message = f"{message} (does the DSN lead to a pooler in transaction mode?)"
    return StatementError(message, sqlstate=sqlstate)
