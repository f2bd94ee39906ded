"""The ids of the API as answers have them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Id = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
"""The id of an account, session, order, transfer or entry, in the form that paths take it in."""
