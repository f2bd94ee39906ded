"""Conversions of PostgreSQL's types that differ from asyncpg's defaults."""

from __future__ import annotations

from decimal import Decimal
from typing import Any


async def set_codecs(raw: Any) -> None:
    """Set them on an asyncpg connection."""
    # The text of a uuid passes through unchanged; jsonb is already text to asyncpg.
    await raw.set_builtin_type_codec("uuid", schema="pg_catalog", codec_name="text", format="text")
    await raw.set_type_codec(
        "numeric", schema="pg_catalog", encoder=str, decoder=_number, format="text"
    )


def _number(text: str) -> int | Decimal:
    """Read a ``numeric``: sums of bigint are integers, and stay so."""
    try:
        return int(text)
    except ValueError:
        return Decimal(text)
