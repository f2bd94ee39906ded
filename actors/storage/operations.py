"""The operations of Storage: create, read, update, delete on declared tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from bus import Reply

Row: TypeAlias = "Mapping[str, Any]"
"""A row as Storage returns it: column name to value; JSON columns are text."""


class Create(msgspec.Struct, frozen=True, gc=False):
    """Insert one row; `Duplicate` if its key exists. A versioned row begins at version 1."""

    table: str
    values: Mapping[str, object]


class Update(msgspec.Struct, frozen=True, gc=False):
    """Change one row by key; `Conflict` if it is absent or not in the expected ``version``."""

    table: str
    key: Mapping[str, object]
    values: Mapping[str, object]
    version: int | None = None


class Delete(msgspec.Struct, frozen=True, gc=False):
    """Remove one row by key; `Conflict` if it is absent or not in the expected ``version``."""

    table: str
    key: Mapping[str, object]
    version: int | None = None


Operation: TypeAlias = Create | Update | Delete


class Read(msgspec.Struct, frozen=True, gc=False):
    """Rows of one table.

    ``where`` compares for equality (None: the column is null), ``within`` for membership,
    ``above`` and ``at_most`` bound one column each (exclusive and inclusive); all must hold.
    Rows come in the order of ``order_by`` (text by code point, nulls last; ``descending``
    reverses it), at most ``limit`` of them, with ``columns``, or all if none is named. JSON
    columns cannot be compared.
    """

    table: str
    columns: tuple[str, ...] = ()
    where: Mapping[str, object] = msgspec.field(default_factory=dict[str, object])
    within: Mapping[str, tuple[object, ...]] = msgspec.field(
        default_factory=dict[str, tuple[object, ...]]
    )
    above: tuple[str, int | str] | None = None
    at_most: tuple[str, int | str] | None = None
    order_by: str | None = None
    descending: bool = False
    limit: int | None = None


class Acknowledged(msgspec.Struct, frozen=True, gc=False):
    """The instant reply: the operations are well formed and have a place in the queue."""


class Write(msgspec.Struct, frozen=True, gc=False):
    """A unit: operations that commit together or not at all; answers None once durable.

    Sent on topic ``task`` with the key ``storage``. ``ack`` carries the instant reply:
    `Acknowledged`, or `Refused` raised. The result goes to the message's own reply, if any.
    """

    operations: tuple[Operation, ...]
    ack: Reply[Acknowledged] | None = None


class Barrier(msgspec.Struct, frozen=True, gc=False):
    """Asks to be answered, with None, once every unit handed over before has its outcome.

    That includes units of an earlier run of Storage: none of them can still take effect.
    """


class Query(msgspec.Struct, frozen=True, gc=False):
    """Reads that are answered together: a list of rows for each, in order.

    A query needs the message's reply to return its values: without one it is refused in the ack.
    """

    reads: tuple[Read, ...]
    ack: Reply[Acknowledged] | None = None
