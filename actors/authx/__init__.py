"""Authx: who is calling, and whether their token is still valid.

Accounts, passwords, sessions and tokens. `actor` is the way in from the bus, with `messages` and
`errors`; `operator` is the way in from the command line; the `*_store` modules hold most SQL.
"""
