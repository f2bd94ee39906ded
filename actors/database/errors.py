"""The errors of the database: everything that leaves this package is one of these.

::

    DatabaseError
    ├── DatabaseUnavailable      cannot connect
    ├── ConnectionLost           the connection went away (started: whether work had begun)
    │   ├── DatabaseTimeout      no answer in time; the connection was terminated
    │   └── TransientError       the server cannot do it now (sqlstate); likewise
    ├── UniqueViolation          (constraint)
    ├── ForeignKeyViolation      (constraint)
    ├── CheckViolation           (constraint)
    ├── StatementError           any other refusal of the server (sqlstate)
    ├── SchemaTooNew             the database was written by a newer program
    ├── SchemaTooOld             the database was written by an older program, and is not upgraded
    ├── SchemaElsewhere          the database has a world in a schema that is not searched
    ├── SchemaMismatch           a migration in the database differs from this program's
    ├── AlreadyServed            another server holds this database or data directory
    ├── BackupError              a backup cannot be made, read or restored; the message says why
    │   └── DatabaseInUse        a backup would replace an existing world
    └── EmbeddedPostgresError    the embedded PostgreSQL cannot be run; the message says why
        ├── DataDirectoryError   (path)
        └── EmbeddedPostgresDied (status)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class DatabaseError(Exception):
    """Base class of whatever goes wrong with the database.

    ``place`` names the database (name and host, nothing secret) if a connection to it was in use;
    it is not in the message.
    """

    place: str | None = None


class DatabaseUnavailable(DatabaseError):
    """No connection is possible; the message is one line that says where and why."""


class ConnectionLost(DatabaseError):
    """The connection went away.

    If ``started`` is false nothing was sent; otherwise the work may or may not have been done,
    and a commit in flight has an unknown outcome.
    """

    def __init__(self, message: str, *, started: bool = True) -> None:
        super().__init__(message)
        self.started = started


class DatabaseTimeout(ConnectionLost):
    """The work took too long.

    Work that had ``started`` lost its connection. Work still waiting for its turn did not:
    `Connection.closed` says so.
    """


class TransientError(ConnectionLost):
    """The server cannot do this now: it is read-only or full, or others were in the way.

    Nothing of the statement, nor of its transaction, was done. The connection is terminated when
    the script ends, since another one may lead to another server: after a failover the former
    primary is read-only. ``sqlstate`` as in `StatementError`.
    """

    def __init__(self, message: str, *, sqlstate: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class _ConstraintViolation(DatabaseError):
    """The server refused a row because of ``constraint``, named as in the schema."""

    def __init__(self, message: str, *, constraint: str) -> None:
        super().__init__(message)
        self.constraint = constraint


class UniqueViolation(_ConstraintViolation):
    """A row with this key already exists."""


class ForeignKeyViolation(_ConstraintViolation):
    """The row refers to one that does not exist, or is referred to."""


class CheckViolation(_ConstraintViolation):
    """A value is outside what the schema allows."""


class StatementError(DatabaseError):
    """The server, or the driver before it, refused a statement.

    ``sqlstate`` is PostgreSQL's five-character code (its manual, appendix A).
    """

    def __init__(self, message: str, *, sqlstate: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class SchemaTooNew(DatabaseError):
    """A newer program has migrated this database; this one must not touch it."""


class SchemaTooOld(DatabaseError):
    """An older program left this database, and the caller must not migrate it."""


class SchemaElsewhere(DatabaseError):
    """The database has Holdfast's tables in a schema that is not searched; the message names it."""


class SchemaMismatch(DatabaseError):
    """A migration applied to the database differs from this program's of the same number."""


class AlreadyServed(DatabaseError):
    """Another server is using this database or data directory; the message names it."""


class BackupError(DatabaseError):
    """A backup cannot be made, read or restored; the message says why."""


class DatabaseInUse(BackupError):
    """A backup would replace existing data; the message says what that is."""


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
