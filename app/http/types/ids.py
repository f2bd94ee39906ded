"""The form of ids in answers."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Id = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
"""The id of an account, session, order, transfer or entry, in the form that paths accept."""
