"""The tables of a Chest, as its migration creates them."""

from __future__ import annotations

from typing import Final

from actors.storage.tables import Column, ColumnType, Table

# --8<-- [start:tables]
CHEST: Final = Table(
    "chest",
    (
        Column("name", ColumnType.TEXT),
        Column("holdings", ColumnType.JSON),
        Column("version", ColumnType.BIGINT),
    ),
    key=("name",),
    versioned=True,
)

CHEST_PAYMENTS: Final = Table(
    "chest_payments",
    (
        Column("account_id", ColumnType.UUID),
        Column("key", ColumnType.TEXT),
        Column("payment_id", ColumnType.UUID),
        Column("fingerprint", ColumnType.BYTES),
        Column("resources", ColumnType.JSON),
        Column("state", ColumnType.TEXT),
        Column("version", ColumnType.BIGINT),
    ),
    key=("account_id", "key"),
    versioned=True,
)
# --8<-- [end:tables]
