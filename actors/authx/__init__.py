"""Authx: who is speaking, and whether their token still counts.

Accounts, passwords, sessions and tokens. `actor` is the way in from the bus, `messages` and
`errors` are its language, `operator` is the way in from the command line; `store` holds all SQL.
"""
