"""The database: driver, embedded PostgreSQL, migrations, locks.

``driver`` alone imports asyncpg and trio-asyncio; ``embedded`` runs PostgreSQL as a child process;
``migrate`` brings a database to this program's schema; ``locks`` keep one server per database.
"""
