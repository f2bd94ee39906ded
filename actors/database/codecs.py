"""How values of PostgreSQL's types come out of asyncpg, where not as it does it by itself."""

from __future__ import annotations

from decimal import Decimal
from typing import Any


async def set_codecs(raw: Any) -> None:
    """Tell a connection of asyncpg's."""
    # The text of a uuid passes through as it is; jsonb is text to asyncpg already.
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
