"""The server's answers, as typed and immutable values; unknown members are ignored.

Amounts are whole units; times are in UTC, and world time unless stated otherwise.
"""

from holdfast_client.types.accounts import (
    Account,
    LiveSession,
    RegisteredAccount,
    SessionTokens,
)
from holdfast_client.types.admin import AccountOverview, AccountRecord, AuditEntry, GrantRecord
from holdfast_client.types.economy import Prerequisite, Quote, Transfer
from holdfast_client.types.events import Event, EventData
from holdfast_client.types.inventory import (
    Balance,
    CancelledOrder,
    Change,
    Inventory,
    LedgerEntry,
    Order,
    Stock,
)
from holdfast_client.types.world import (
    Level,
    Queue,
    Readiness,
    Ruleset,
    RulesetName,
    Tiered,
    Unit,
    World,
)

__all__ = [
    "Account",
    "AccountOverview",
    "AccountRecord",
    "AuditEntry",
    "Balance",
    "CancelledOrder",
    "Change",
    "Event",
    "EventData",
    "GrantRecord",
    "Inventory",
    "LedgerEntry",
    "Level",
    "LiveSession",
    "Order",
    "Prerequisite",
    "Queue",
    "Quote",
    "Readiness",
    "RegisteredAccount",
    "Ruleset",
    "RulesetName",
    "SessionTokens",
    "Stock",
    "Tiered",
    "Transfer",
    "Unit",
    "World",
]
