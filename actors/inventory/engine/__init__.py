"""The rules of an inventory: pure functions ``(state, ruleset, command, now) -> (state, events)``.

No await, no clock, no input or output. See ``docs/economy.md`` for their guarantees.
"""

from __future__ import annotations

from actors.inventory.engine.codec import decode_state, encode_state
from actors.inventory.engine.commands import cancel_order, new_state, place_order
from actors.inventory.engine.freeze import thaw
from actors.inventory.engine.grains import AMOUNT_MAX, GRAINS_PER_UNIT
from actors.inventory.engine.grants import grant
from actors.inventory.engine.orders import Order, order_view
from actors.inventory.engine.project import forecast, view
from actors.inventory.engine.quotes import Quote, quote
from actors.inventory.engine.resettle import resettle
from actors.inventory.engine.settle import advance, is_shifting, next_due_ms
from actors.inventory.engine.state import Events, State
from actors.inventory.engine.transfers import credit, debit, give_back, held_units
from actors.inventory.ruleset.counts import COUNT_MAX

__all__ = [
    "AMOUNT_MAX",
    "COUNT_MAX",
    "GRAINS_PER_UNIT",
    "Events",
    "Order",
    "Quote",
    "State",
    "advance",
    "cancel_order",
    "credit",
    "debit",
    "decode_state",
    "encode_state",
    "forecast",
    "give_back",
    "grant",
    "held_units",
    "is_shifting",
    "new_state",
    "next_due_ms",
    "order_view",
    "place_order",
    "quote",
    "resettle",
    "thaw",
    "view",
]
