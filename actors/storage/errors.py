"""Storage's answers when it does not do what was asked.

::

    StorageError
    ├── Refused      malformed: (where, message) for each fault, before any I/O
    ├── Conflict     the row is not there in the expected version; the unit changed nothing
    ├── Duplicate    a row with this key already exists; the unit changed nothing
    └── Rejected     the database refuses the unit (a check, a right); it changed nothing
        └── Orphaned     because a row refers to one that does not exist

A database that is away is `bus.Overloaded`: try again later.
"""

from __future__ import annotations


class StorageError(Exception):
    """Base class of Storage's answers other than a result."""


class Refused(StorageError):
    """The operation is malformed; ``faults`` names each place and what is wrong there."""

    def __init__(self, faults: tuple[tuple[str, str], ...]) -> None:
        super().__init__("; ".join(f"{where}: {message}" for where, message in faults))
        self.faults = faults


class Conflict(StorageError):
    """A row to be updated or deleted is absent or has another version."""

    def __init__(self, table: str) -> None:
        super().__init__(f"a row of {table} is not there in the expected version")
        self.table = table


class Duplicate(StorageError):
    """A row to be created already exists."""

    def __init__(self, table: str) -> None:
        super().__init__(f"a row of {table} with this key exists already")
        self.table = table


class Rejected(StorageError):
    """The database itself refuses the unit."""


class Orphaned(Rejected):
    """The database refuses the unit because a row refers to one that does not exist."""
