"""Inventory: one actor per account, the one writer of what that account owns."""

from actors.inventory.manager import Inventories, InventoriesSettings

__all__ = ["Inventories", "InventoriesSettings"]
