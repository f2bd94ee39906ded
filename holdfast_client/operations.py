"""Every call of the API that the client makes: method, path, request and answer.

A test compares the whole table with ``/openapi.json``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar
from urllib.parse import quote

import msgspec

from holdfast_client import requests, types
from holdfast_client.errors import InvalidArgument
from holdfast_client.retry import Repeat
from holdfast_client.types.accounts import SessionList
from holdfast_client.types.admin import AccountOverview, AccountPage, AuditPage, EndedSessions
from holdfast_client.types.economy import TransferList
from holdfast_client.types.inventory import LedgerPage, OrderList

T = TypeVar("T")

OK: Final = 200
CREATED: Final = 201
NO_CONTENT: Final = 204


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[T]):
    """One call; ``path`` is a template, ``status`` that of the first usual answer.

    ``body`` and ``query`` are the types of what is sent, None if nothing is.
    """

    method: str
    path: str
    answer: type[T]
    status: int = OK
    also: tuple[int, ...] = ()
    repeat: Repeat = Repeat.SAFE
    body: type[requests.Sent] | None = None
    query: type[requests.Sent] | None = None

    def target(self, *values: str) -> str:
        """Return the path with its parameters filled in.

        Raises:
            InvalidArgument: a value would lead to another path (empty, ``.``, ``..``).
        """
        parts = iter(values)
        steps = (
            _step(next(parts)) if step.startswith("{") else step for step in self.path.split("/")
        )
        return "/".join(steps)


def _step(value: str) -> str:
    # Dots cannot be escaped: anything that reads the path resolves them.
    if value in {"", ".", ".."}:
        raise InvalidArgument(f"cannot build a URL from {value!r}")
    return quote(value, safe="")


class Nothing(msgspec.Struct, frozen=True):
    """The answer of a call that has none."""


def query_string(query: requests.Sent | None) -> dict[str, str]:
    """Return the members of a query that are set."""
    members = {} if query is None else msgspec.structs.asdict(query)
    return {name: str(value) for name, value in members.items() if value not in {None, ""}}


# --- public calls ----------------------------------------------------------------------------

READINESS = Operation(method="GET", path="/readyz", answer=types.Readiness, also=(503,))
WORLD = Operation(method="GET", path="/v1/world", answer=types.World)
RULESET = Operation(method="GET", path="/v1/ruleset", answer=types.Ruleset)

# --- accounts and sessions -------------------------------------------------------------------

REGISTER = Operation(
    method="POST",
    path="/v1/accounts",
    body=requests.Credentials,
    answer=types.RegisteredAccount,
    status=CREATED,
    repeat=Repeat.ONCE,
)
LOG_IN = Operation(
    method="POST",
    path="/v1/sessions",
    body=requests.Credentials,
    answer=types.SessionTokens,
    status=CREATED,
    repeat=Repeat.ONCE,
)
REFRESH = Operation(
    method="POST",
    path="/v1/sessions/refresh",
    body=requests.RefreshBody,
    answer=types.SessionTokens,
    repeat=Repeat.KEYED,
)
SESSIONS = Operation(method="GET", path="/v1/sessions", answer=SessionList)
END_SESSION = Operation(
    method="DELETE",
    path="/v1/sessions/{session_id}",
    answer=Nothing,
    status=NO_CONTENT,
    repeat=Repeat.ONCE,
)
LOG_OUT = Operation(
    method="DELETE",
    path="/v1/sessions/current",
    answer=Nothing,
    status=NO_CONTENT,
    repeat=Repeat.ONCE,
)
LOG_OUT_EVERYWHERE = Operation(
    method="DELETE",
    path="/v1/sessions",
    answer=Nothing,
    status=NO_CONTENT,
    repeat=Repeat.ONCE,
)
ACCOUNT = Operation(method="GET", path="/v1/accounts/me", answer=types.Account)
CHANGE_PASSWORD = Operation(
    method="PUT",
    path="/v1/accounts/me/password",
    body=requests.PasswordChangeBody,
    answer=Nothing,
    status=NO_CONTENT,
    repeat=Repeat.ONCE,
)
ERASE_ACCOUNT = Operation(
    method="DELETE",
    path="/v1/accounts/me",
    body=requests.PasswordBody,
    answer=Nothing,
    status=NO_CONTENT,
    repeat=Repeat.ONCE,
)

# --- the inventory ---------------------------------------------------------------------------

INVENTORY = Operation(method="GET", path="/v1/inventory", answer=types.Inventory)
FORECAST = Operation(
    method="GET",
    path="/v1/inventory/forecast",
    query=requests.ForecastQuery,
    answer=types.Inventory,
)
QUOTE = Operation(
    method="GET",
    path="/v1/inventory/quotes/{asset}",
    query=requests.QuoteQuery,
    answer=types.Quote,
)
PLACE_ORDER = Operation(
    method="POST",
    path="/v1/inventory/orders",
    body=requests.OrderBody,
    answer=types.Order,
    status=CREATED,
    also=(OK,),
    repeat=Repeat.KEYED,
)
ORDERS = Operation(method="GET", path="/v1/inventory/orders", answer=OrderList)
ORDER = Operation(method="GET", path="/v1/inventory/orders/{order_id}", answer=types.Order)
CANCEL_ORDER = Operation(
    method="DELETE",
    path="/v1/inventory/orders/{order_id}",
    answer=types.CancelledOrder,
    repeat=Repeat.ONCE,
)
LEDGER = Operation(
    method="GET", path="/v1/inventory/ledger", query=requests.LedgerQuery, answer=LedgerPage
)

EVENTS = Operation(method="GET", path="/v1/events", answer=types.EventData)
"""The stream; resumed with the header ``Last-Event-ID``."""

# --- transfers -------------------------------------------------------------------------------

SEND = Operation(
    method="POST",
    path="/v1/transfers",
    body=requests.TransferBody,
    answer=types.Transfer,
    status=CREATED,
    also=(OK,),
    repeat=Repeat.KEYED,
)
TRANSFERS = Operation(
    method="GET", path="/v1/transfers", query=requests.TransfersQuery, answer=TransferList
)
TRANSFER = Operation(method="GET", path="/v1/transfers/{transfer_id}", answer=types.Transfer)

# --- operators -------------------------------------------------------------------------------

SEARCH_ACCOUNTS = Operation(
    method="GET", path="/v1/admin/accounts", query=requests.AccountsQuery, answer=AccountPage
)
ANY_INVENTORY = Operation(
    method="GET", path="/v1/admin/accounts/{account_id}/inventory", answer=types.Inventory
)
GRANT = Operation(
    method="POST",
    path="/v1/admin/accounts/{account_id}/grants",
    body=requests.GrantBody,
    answer=types.GrantRecord,
    status=CREATED,
    also=(OK,),
    repeat=Repeat.KEYED,
)
SUSPEND = Operation(
    method="POST",
    path="/v1/admin/accounts/{account_id}/suspend",
    body=requests.ReasonBody,
    answer=types.AccountRecord,
    repeat=Repeat.ONCE,
)
RESUME = Operation(
    method="POST",
    path="/v1/admin/accounts/{account_id}/resume",
    body=requests.ReasonBody,
    answer=types.AccountRecord,
    repeat=Repeat.ONCE,
)
ANY_ACCOUNT = Operation(
    method="GET", path="/v1/admin/accounts/{account_id}", answer=AccountOverview
)
ANY_LEDGER = Operation(
    method="GET",
    path="/v1/admin/accounts/{account_id}/ledger",
    query=requests.LedgerQuery,
    answer=LedgerPage,
)
ANY_SESSIONS = Operation(
    method="GET", path="/v1/admin/accounts/{account_id}/sessions", answer=SessionList
)
END_ANY_SESSIONS = Operation(
    method="DELETE",
    path="/v1/admin/accounts/{account_id}/sessions",
    body=requests.ReasonBody,
    answer=EndedSessions,
    repeat=Repeat.ONCE,
)
END_ANY_SESSION = Operation(
    method="DELETE",
    path="/v1/admin/accounts/{account_id}/sessions/{session_id}",
    body=requests.ReasonBody,
    answer=EndedSessions,
    repeat=Repeat.ONCE,
)
AUDIT = Operation(method="GET", path="/v1/admin/audit", query=requests.AuditQuery, answer=AuditPage)
