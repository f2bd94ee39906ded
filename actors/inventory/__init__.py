"""Inventory: one actor per account, the only writer of what that account owns."""

from actors.inventory.courier import COURIER_KEY, Courier
from actors.inventory.manager import Inventories, InventoriesSettings
from actors.inventory.rulebook import Rulebook

__all__ = ["COURIER_KEY", "Courier", "Inventories", "InventoriesSettings", "Rulebook"]
