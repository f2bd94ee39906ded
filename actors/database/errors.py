"""The errors of the database: everything that leaves this package is one of these.

::

    DatabaseError
    ├── DatabaseUnavailable      cannot connect
    ├── ConnectionLost           the connection went away (started: whether in the middle of work)
    │   ├── DatabaseTimeout      no answer in time; the connection was given up
    │   └── TransientError       the server cannot do it now (sqlstate); the same
    ├── UniqueViolation          (constraint)
    ├── ForeignKeyViolation      (constraint)
    ├── CheckViolation           (constraint)
    ├── StatementError           any other refusal of the server (sqlstate)
    ├── SchemaTooNew             the database was written by a newer program
    ├── SchemaTooOld             the database was written by an older program, and is not upgraded
    ├── SchemaElsewhere          the database has a world in a schema where none is looked for
    ├── SchemaMismatch           a migration in the database is not the one of this program
    ├── AlreadyServed            another server holds this database or data directory
    ├── BackupError              a backup cannot be made, read or restored; the message says why
    │   └── DatabaseInUse        a backup would replace a world that is there
    └── EmbeddedPostgresError    the embedded PostgreSQL cannot be run; the message says why
        ├── DataDirectoryError   (path)
        └── EmbeddedPostgresDied (status)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class DatabaseError(Exception):
    """Whatever goes wrong with the database.

    ``place`` says which one it was (name and host, nothing secret), where a connection to it was
    at work; it is not in the message.
    """

    place: str | None = None


class DatabaseUnavailable(DatabaseError):
    """No connection can be had; the message is one line that says where and why."""


class ConnectionLost(DatabaseError):
    """The connection went away.

    Where ``started`` is false nothing was sent; otherwise the work may or may not have been done,
    and a commit that was under way has an unknown outcome.
    """

    def __init__(self, message: str, *, started: bool = True) -> None:
        super().__init__(message)
        self.started = started


class DatabaseTimeout(ConnectionLost):
    """The work took too long.

    Work that had ``started`` lost its connection. Work that was still waiting for its turn did
    not: `Connection.closed` tells.
    """


class TransientError(ConnectionLost):
    """The server cannot do this now: it is read-only or full, or others were in the way.

    Nothing of the statement, nor of the transaction that it was in, was done. The connection is
    given up when the script ends, for another one may lead to another server: after a failover the
    one that was the first can only be read. ``sqlstate`` as of `StatementError`.
    """

    def __init__(self, message: str, *, sqlstate: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class _ConstraintViolation(DatabaseError):
    """The server refused a row for the sake of ``constraint``, named as in the schema."""

    def __init__(self, message: str, *, constraint: str) -> None:
        super().__init__(message)
        self.constraint = constraint


class UniqueViolation(_ConstraintViolation):
    """A row with this key is there already."""


class ForeignKeyViolation(_ConstraintViolation):
    """The row refers to one that is not there, or is referred to."""


class CheckViolation(_ConstraintViolation):
    """A value is outside what the schema allows."""


class StatementError(DatabaseError):
    """The server, or the driver before it, refused a statement.

    ``sqlstate`` is the five-character code of PostgreSQL (its manual, appendix A).
    """

    def __init__(self, message: str, *, sqlstate: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class SchemaTooNew(DatabaseError):
    """A newer program has migrated this database; this one must not touch it."""


class SchemaTooOld(DatabaseError):
    """An older program has left this database, and who asks must not migrate it."""


class SchemaElsewhere(DatabaseError):
    """The database has Holdfast's tables in a schema where none are looked for; it is named."""


class SchemaMismatch(DatabaseError):
    """A migration that the database has seen differs from this program's of the same number."""


class AlreadyServed(DatabaseError):
    """Another server is at work on this database or data directory; the message names it."""


class BackupError(DatabaseError):
    """A backup cannot be made, read or restored; the message says why."""


class DatabaseInUse(BackupError):
    """A backup would replace what is there; the message says what that is."""


class EmbeddedPostgresError(DatabaseError):
    """The embedded PostgreSQL cannot be installed, started or stopped; the message says why."""


class DataDirectoryError(EmbeddedPostgresError):
    """The data directory at ``path`` cannot be used; the message says why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"cannot use the data directory {path}: {reason}")
        self.path = path


class EmbeddedPostgresDied(EmbeddedPostgresError):
    """The server process ended on its own; ``status`` as of a child process (-9: SIGKILL)."""

    def __init__(self, status: int, log_path: Path) -> None:
        super().__init__(f"PostgreSQL ended with status {status}; {log_path} may say why")
        self.status = status
