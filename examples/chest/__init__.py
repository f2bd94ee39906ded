"""A chest that all players pay into: assets move from an account to a table of the actor's own."""
