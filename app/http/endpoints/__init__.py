"""The table of endpoints: everything that the API offers, one row each.

A new endpoint is a row in its subject's module; its route and ``/openapi.json`` follow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.http.endpoints.accounts import ACCOUNTS
from app.http.endpoints.admin import ADMIN
from app.http.endpoints.economy import ECONOMY
from app.http.endpoints.inventory import INVENTORY
from app.http.endpoints.operations import OPERATIONS
from app.http.endpoints.oversight import OVERSIGHT
from app.http.endpoints.sessions import SESSIONS
from app.http.endpoints.system import SYSTEM

if TYPE_CHECKING:
    from app.http.endpoint import Endpoint

ENDPOINTS: tuple[Endpoint, ...] = (
    *SYSTEM,
    *ACCOUNTS,
    *SESSIONS,
    *INVENTORY,
    *ECONOMY,
    *ADMIN,
    *OVERSIGHT,
    *OPERATIONS,
)
"""Every endpoint but ``/openapi.json``, which describes these."""
