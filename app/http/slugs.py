"""The problems that an endpoint can answer with, as far as its row determines them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from app.http.catalogue import PROBLEM_KINDS
from app.http.endpoint import ACTORS, Auth, Key
from app.http.types.admin import GrantDetails
from app.http.types.economy import QuoteDetails, TransferDetails, TransferList
from app.http.types.inventory import (
    CancelledOrder,
    InventoryDetails,
    LedgerPageDetails,
    OrderDetails,
    OrderList,
)

if TYPE_CHECKING:
    from app.http.endpoint import Endpoint

OF_ANY_CALL: Final = (
    "malformed-request",
    "method-not-allowed",
    "request-timeout",
    "payload-too-large",
    "target-too-long",
    "invalid-request",
    "headers-too-large",
    "internal-error",
    "not-implemented",
    "overloaded",
    "http-version-not-supported",
)
"""The problems of any request, whatever its route: a GET may have a body, or a query."""

_BY_AUTH = MappingProxyType(
    {
        Auth.NONE: (),
        Auth.PLAYER: ("invalid-token", *ACTORS),
        Auth.ADMIN: ("invalid-token", "forbidden", *ACTORS),
    }
)
_WITH_BODY = ("malformed-json", "unsupported-media-type")
_IDEMPOTENT = ("idempotency-key-required", "idempotency-key-reused")
_OF_INVENTORIES = frozenset(
    {
        CancelledOrder,
        GrantDetails,
        InventoryDetails,
        LedgerPageDetails,
        OrderDetails,
        OrderList,
        QuoteDetails,
        TransferDetails,
        TransferList,
    }
)
"""Answers that only an account's Inventory can give: such an endpoint has it loaded."""


def slugs(endpoint: Endpoint) -> tuple[str, ...]:
    """Return every problem that an endpoint can answer with, in the catalogue's order."""
    possible = {*OF_ANY_CALL, *_BY_AUTH[endpoint.auth], *endpoint.errors}
    if endpoint.request is not None:
        possible.update(_WITH_BODY)
    if endpoint.key is Key.REQUIRED:
        possible.update(_IDEMPOTENT)
    if endpoint.limited:
        possible.add("too-many-requests")
    if endpoint.response in _OF_INVENTORIES:
        possible.add("ruleset-mismatch")
    if endpoint.parameters():
        # A parameter that contains a slash or is empty makes another path.
        possible.update({endpoint.absent, "not-found"})
    if endpoint.auth is not Auth.NONE and not endpoint.before_password_change:
        possible.add("password-change-required")
    return tuple(slug for slug in PROBLEM_KINDS if slug in possible)
