"""A chest that all players pay into: assets that leave an account for a table of an actor's own."""
