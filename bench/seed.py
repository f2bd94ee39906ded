"""Fills a database with accounts for a server, as many as in a large world.

    .venv/bin/python bench/seed.py --data-dir DIRECTORY --accounts 1000000 [--sessions 1000]

Everything goes through ``COPY`` into the real schema: an account, its inventory as the ruleset
begins it, and the first entry of its ledger. The accounts share one password (`PASSWORD`) and its
hash. The first ``--sessions`` of them are logged in: their access tokens, made with the server's
own key, are written to ``tokens.txt`` in the data directory, one line "account token" each. The
server must not run meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import argon2
import asyncpg  # type: ignore[import-untyped]
import structlog
import trio

from actors.authx.keys import load_or_create_keyring
from actors.authx.settings import AuthxSettings
from actors.authx.tokens import AccessTokens
from actors.database.driver import open_database
from actors.database.embedded import embedded_postgres
from actors.database.upgrade import upgrade
from actors.inventory import records
from actors.inventory.engine import new_state, place_order
from actors.inventory.ruleset import load_ruleset
from actors.storage import Create

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from structlog.typing import FilteringBoundLogger

    from actors.authx.keys import KeyRing
    from actors.inventory.ruleset import Ruleset

MARKET = Path(__file__).with_name("market.toml")
PASSWORD = "correct horse battery"  # noqa: S105 - nobody's
ACCOUNTS_MAX = 1_000_000
TOKEN_SECONDS = 86_400
DUE_ASSET = "cart1"
"""The asset of the orders that come due."""

_ID_BASE_MS = 1_700_000_000_000
_CHUNK = 5_000
_NULL = "\\N"


@dataclass(frozen=True, slots=True)
class Seeded:
    """The result: how many accounts, how long it took, and the sessions."""

    accounts: int
    seconds: float
    tokens: tuple[tuple[str, str], ...]
    """Pairs of account and access token."""


def account_id(number: int) -> str:
    """Return the id of a numbered account: a UUIDv7 that increases with the number."""
    return _uuid7(number, 0xACC)


def session_id(number: int) -> str:
    """Return the id of a numbered account's session."""
    return _uuid7(number, 0x5E5)


def _order_id(number: int) -> str:
    return _uuid7(number, 0x0DE)


def username(number: int) -> str:
    """Return the name of a numbered account."""
    return f"player-{number:07d}"


def _uuid7(number: int, kind: int) -> str:
    moment = f"{_ID_BASE_MS + number:012x}"
    return f"{moment[:8]}-{moment[8:]}-7{kind:03x}-8000-{number:012x}"


async def seed(
    dsn: str,
    ruleset: Ruleset,
    keyring: KeyRing,
    *,
    accounts: int,
    sessions: int,
    due_at: datetime | None = None,
) -> Seeded:
    """Put accounts into an empty, migrated database; for asyncio.

    The first ``sessions`` of them are logged in for `TOKEN_SECONDS`. With ``due_at`` every account
    has an order that finishes at that moment (`DUE_ASSET`).
    """
    began = time.perf_counter()
    connection: Any = await asyncpg.connect(dsn)
    try:
        for table, columns, line in _plans(ruleset, sessions, due_at):
            count = sessions if table == "sessions" else accounts
            await connection.copy_to_table(
                table, source=_chunks(line, count), columns=columns, format="text"
            )
        for table in ("accounts", "inventories", "orders", "ledger", "sessions"):
            await connection.execute(f"vacuum (analyze) {table}")
        await connection.execute("checkpoint")
    finally:
        await connection.close()
    return Seeded(accounts, time.perf_counter() - began, issue_tokens(keyring, sessions))


def issue_tokens(keyring: KeyRing, sessions: int) -> tuple[tuple[str, str], ...]:
    """Make an access token for each of the first accounts."""
    settings = AuthxSettings(token_seconds=TOKEN_SECONDS)
    tokens = AccessTokens(keyring, settings, wall_clock=lambda: datetime.now(UTC))
    return tuple(
        (
            account_id(number),
            tokens.issue(
                account_id=account_id(number), session_id=session_id(number), role="player"
            ),
        )
        for number in range(sessions)
    )


def _plans(
    ruleset: Ruleset, sessions: int, due_at: datetime | None
) -> Iterator[tuple[str, list[str], Callable[[int], str]]]:
    """Yield each table with its columns, and a function that makes a numbered account's line."""
    now = datetime.now(UTC)
    hashed = argon2.PasswordHasher(memory_cost=8, time_cost=1, parallelism=1).hash(PASSWORD)
    moment = now.isoformat()
    later = (now + timedelta(days=30)).isoformat()
    yield (
        "accounts",
        ["account_id", "username", "username_key", "password_hash", "created_at"],
        lambda n: f"{account_id(n)}\t{username(n)}\t{username(n)}\t{hashed}\t{moment}\n",
    )
    for table, values in _first_rows(ruleset, now, due_at):
        yield table, list(values), _line_of(values)
    if sessions:
        columns = ["session_id", "account_id", "refresh_hash"]
        yield (
            "sessions",
            [*columns, "created_at", "refreshed_at", "expires_at"],
            lambda n: f"{session_id(n)}\t{account_id(n)}\t\\\\x00\t{moment}\t{moment}\t{later}\n",
        )


def _first_rows(
    ruleset: Ruleset, now: datetime, due_at: datetime | None
) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yield the game's rows of the first account, of which all others are copies."""
    now_ms = int(now.timestamp() * 1000)
    state, events = new_state(account_id(0), ruleset, now_ms)
    happened = list(records.event_operations(state.account_id, events, frozenset()))
    if due_at is not None:
        began_ms = int(due_at.timestamp() * 1000) - ruleset.duration_ms(DUE_ASSET, 1, {})
        state, begun = new_state(account_id(0), ruleset, began_ms)
        state, events = place_order(
            state, ruleset, order_id=_order_id(0), asset=DUE_ASSET, count=1, now_ms=began_ms
        )
        new = frozenset({_order_id(0)})
        happened = [
            *records.event_operations(state.account_id, begun, frozenset()),
            *records.event_operations(state.account_id, events, new),
        ]
    inventory = records.new_inventory(state, ruleset)
    for operation in (inventory, *happened):
        if not isinstance(operation, Create):
            raise TypeError(operation)
        versioned = operation.table in {"inventories", "orders"}
        yield operation.table, {**operation.values, **({"version": 1} if versioned else {})}


def _line_of(values: Mapping[str, object]) -> Callable[[int], str]:
    """Return a function that makes any account's line of COPY text from that of the first."""
    cells = [_NULL if value is None else str(value) for value in values.values()]
    first = "\t".join(cell if cell == _NULL else cell.replace("\\", "\\\\") for cell in cells)
    parts = [part.split(_order_id(0)) for part in f"{first}\n".split(account_id(0))]
    if all(len(part) == 1 for part in parts):
        whole = [part[0] for part in parts]
        return lambda number: account_id(number).join(whole)
    return lambda number: account_id(number).join(_order_id(number).join(part) for part in parts)


async def _chunks(line: Callable[[int], str], count: int) -> AsyncIterator[bytes]:
    for start in range(0, count, _CHUNK):
        end = min(count, start + _CHUNK)
        yield "".join(map(line, range(start, end))).encode()


def quiet_log() -> FilteringBoundLogger:
    """Return a logger for warnings and errors only."""
    wrapper = structlog.make_filtering_bound_logger(logging.WARNING)
    log: FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(), wrapper_class=wrapper
    )
    return log


@contextmanager
def scratch(purpose: str) -> Iterator[Path]:
    """Yield a temporary directory that PostgreSQL's own user may traverse."""
    with tempfile.TemporaryDirectory(prefix=f"holdfast-{purpose}-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        yield directory


def _keyring(data_dir: Path) -> KeyRing:
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return load_or_create_keyring(data_dir / "token.key")


async def seed_data_dir(
    data_dir: Path,
    *,
    accounts: int,
    sessions: int,
    ruleset: str = str(MARKET),
    due_at: datetime | None = None,
) -> Seeded:
    """Make a data directory with a database of accounts in it; for Trio."""
    log = quiet_log()
    keyring = _keyring(data_dir)
    rules = load_ruleset(ruleset, parameters={})
    async with embedded_postgres(data_dir, log=log) as dsn:
        async with open_database(dsn, connect_timeout_s=5, log=log) as database:
            connection = await database.connect(name="seed")
            await upgrade(connection, None, now=datetime.now(UTC), log=log)
            await connection.aclose()
        seeded = await trio.to_thread.run_sync(
            lambda: asyncio.run(
                seed(dsn, rules, keyring, accounts=accounts, sessions=sessions, due_at=due_at)
            )
        )
    lines = (f"{account} {token}\n" for account, token in seeded.tokens)
    (data_dir / "tokens.txt").write_text("".join(lines), encoding="ascii")
    return seeded


def main() -> None:
    """Run it as a command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--accounts", type=int, default=1_000)
    parser.add_argument("--sessions", type=int, default=1_000)
    parser.add_argument("--ruleset", default=str(MARKET), help="a shipped name or a TOML file")
    options = parser.parse_args()
    accounts = min(options.accounts, ACCOUNTS_MAX)
    sessions = min(options.sessions, accounts)

    async def run() -> Seeded:
        return await seed_data_dir(
            options.data_dir, accounts=accounts, sessions=sessions, ruleset=options.ruleset
        )

    seeded = trio.run(run)
    told = {"accounts": seeded.accounts, "sessions": sessions, "seconds": round(seeded.seconds, 1)}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
