"""The actors: supervision, database, Storage, Authx, Inventory, Ticker."""
