"""The tables of the game, with the columns of `actors.database.migrations`; a test compares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors.storage.tables import Column, ColumnType, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

_UUID, _TEXT, _BIGINT = ColumnType.UUID, ColumnType.TEXT, ColumnType.BIGINT
_BYTES, _JSON = ColumnType.BYTES, ColumnType.JSON

WORLD: Final = Table(
    "world",
    (
        Column("name", _TEXT),
        Column("world_id", _UUID),
        Column("tick", _BIGINT),
        Column("now_ms", _BIGINT),
        Column("ruleset", _TEXT),
        Column("version", _BIGINT),
    ),
    key=("name",),
    versioned=True,
)

INVENTORIES: Final = Table(
    "inventories",
    (
        Column("account_id", _UUID),
        Column("version", _BIGINT),
        Column("ruleset", _TEXT),
        Column("at_ms", _BIGINT),
        Column("next_due_ms", _BIGINT, nullable=True),
        Column("frozen_ms", _BIGINT, nullable=True),
        Column("ledger_seq", _BIGINT),
        Column("state", _JSON),
    ),
    key=("account_id",),
    versioned=True,
)

ORDERS: Final = Table(
    "orders",
    (
        Column("order_id", _UUID),
        Column("account_id", _UUID),
        Column("seq", _BIGINT),
        Column("asset", _TEXT),
        Column("kind", _TEXT),
        Column("queue", _TEXT),
        Column("level", _BIGINT, nullable=True),
        Column("count", _BIGINT, nullable=True),
        Column("delivered", _BIGINT),
        Column("cost", _JSON),
        Column("refund", _JSON),
        Column("duration_ms", _BIGINT),
        Column("state", _TEXT),
        Column("placed_ms", _BIGINT),
        Column("starts_ms", _BIGINT, nullable=True),
        Column("finishes_ms", _BIGINT, nullable=True),
        Column("version", _BIGINT),
    ),
    key=("order_id",),
    versioned=True,
)

LEDGER: Final = Table(
    "ledger",
    (
        Column("account_id", _UUID),
        Column("seq", _BIGINT),
        Column("at_ms", _BIGINT),
        Column("cause", _TEXT),
        Column("order_id", _UUID, nullable=True),
        Column("transfer_id", _UUID, nullable=True),
        Column("changes", _JSON),
    ),
    key=("account_id", "seq"),
)

IDEMPOTENCY: Final = Table(
    "idempotency",
    (
        Column("account_id", _UUID),
        Column("key", _TEXT),
        Column("fingerprint", _BYTES),
        Column("response", _JSON),
        Column("at_ms", _BIGINT),
    ),
    key=("account_id", "key"),
)

TRANSFERS: Final = Table(
    "transfers",
    (
        Column("transfer_id", _UUID),
        Column("sender", _UUID),
        Column("receiver", _UUID),
        Column("sender_name", _TEXT),
        Column("receiver_name", _TEXT),
        Column("resources", _JSON),
        Column("note", _TEXT),
        Column("state", _TEXT),
        Column("sent_ms", _BIGINT),
        Column("settled_ms", _BIGINT, nullable=True),
        Column("ruleset", _TEXT),
        Column("version", _BIGINT),
    ),
    key=("transfer_id",),
    versioned=True,
)

AUDIT: Final = Table(
    "audit",
    (
        Column("audit_id", _UUID),
        Column("at", ColumnType.TIMESTAMP),
        Column("actor", _TEXT),
        Column("action", _TEXT),
        Column("subject", _TEXT),
        Column("reason", _TEXT),
        Column("detail", _JSON),
    ),
    key=("audit_id",),
)

RULESET_ARCHIVE: Final = Table(
    "ruleset_archive",
    (Column("version", _TEXT), Column("name", _TEXT), Column("content", _TEXT)),
    key=("version",),
)

RULESET_HISTORY: Final = Table(
    "ruleset_history",
    (
        Column("seq", _BIGINT),
        Column("version", _TEXT),
        Column("from_ms", _BIGINT),
        Column("renamed", _JSON),
    ),
    key=("seq",),
)


def declared_tables() -> Mapping[str, Table]:
    """Return every declared table by its name."""
    tables = (
        WORLD,
        INVENTORIES,
        ORDERS,
        LEDGER,
        IDEMPOTENCY,
        TRANSFERS,
        AUDIT,
        RULESET_ARCHIVE,
        RULESET_HISTORY,
    )
    return {table.name: table for table in tables}
