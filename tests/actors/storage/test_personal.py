"""What an account's personal data promise: all that is kept on it, no secret, no one else's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
import trio

from actors.database.driver import open_database
from actors.storage import personal
from actors.storage.personal import PAGE, SINGLE, personal_data
from tests.postgres import quiet_log, run_script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.database.session import Session
    from actors.storage.personal import Json

ANN: Final = "019a5c00-0000-7000-8000-00000000000a"
BOB: Final = "019a5c00-0000-7000-8000-00000000000b"
EVE: Final = "019a5c00-0000-7000-8000-00000000000e"
BEFORE_ANN: Final = "019a5bff-0000-7000-8000-0000000000a1"
BY_ANN: Final = "019a5c01-0000-7000-8000-0000000000a1"
ORDER: Final = "019a5c00-0000-7000-8000-0000000000f1"

OF_NOBODY: Final = {
    "schema_migrations",
    "world",
    "ruleset_archive",
    "ruleset_history",
    "last_commit",
}
"""Tables with no data about a person."""

LEFT_OUT: Final = {
    "accounts": {"username_key", "password_hash"},
    "sessions": {"account_id", "generation", "refresh_hash"},
    "inventories": {"account_id", "version", "next_due_ms", "ledger_seq"},
    "orders": {"account_id", "version"},
    "ledger": {"account_id"},
    "idempotency": {"account_id", "fingerprint"},
    "transfers": {"sender", "receiver", "ruleset", "version"},
    "audit": set[str](),
}
"""Columns that are secrets, repeat other data, or only describe how a row is stored."""

ROWS: Final = f"""
insert into accounts values
    ('{ANN}', 'Ann', 'ann', 'SECRET', 'admin', null, '2026-01-01 12:00+00'),
    ('{BOB}', 'Bob', 'bob', 'SECRET', 'player', now(), now()),
    ('{EVE}', 'Eve', 'eve', 'SECRET', 'player', null, now());
insert into sessions values
    (gen_random_uuid(), '{ANN}', 1, 'SECRET', now(), now(), now()),
    (gen_random_uuid(), '{BOB}', 1, 'SECRET', now(), now(), now());
insert into inventories values
    ('{ANN}', 3, 'rules', 1000, 2000, null, 1, '{{"amounts": {{"gold": [5, 7]}}}}'),
    ('{BOB}', 3, 'rules', 1000, 2000, 999999999999999, 1, '{{}}');
insert into orders values
    ('{ORDER}', '{ANN}', 1, 'hut', 'building', 'q', 1, null, 0, '{{"gold": 3}}', '[1, 2]', 5000,
     'running', 1000, 1500, 6500, 1),
    (gen_random_uuid(), '{BOB}', 1, 'hut', 'building', 'q', 1, null, 0, '{{}}', '[1, 2]', 5,
     'queued', 1, null, null, 1);
insert into ledger values
    ('{ANN}', 1, 1000, 'order-placed', '{ORDER}', null, '{{"gold": [-3, 5]}}'),
    ('{BOB}', 1, 1000, 'start', null, null, '{{}}');
insert into idempotency values
    ('{ANN}', 'key-1', 'SECRET', '{{"order": 1}}', 1000), ('{BOB}', 'key-2', '', '{{}}', 1);
insert into transfers values
    (gen_random_uuid(), '{ANN}', '{BOB}', 'Ann', 'Bob', '{{"gold": 1}}', 'hi', 'sent', 1, null, 1),
    (gen_random_uuid(), '{BOB}', '{ANN}', 'Bob', 'Ann', '{{"gold": 2}}', '', 'delivered', 1, 2, 2),
    (gen_random_uuid(), '{BOB}', '{EVE}', 'Bob', 'Eve', '{{"gold": 9}}', '', 'sent', 1, null, 1);
insert into audit values
    (gen_random_uuid(), now(), 'command line', 'role-set', '{ANN}', 'why', '{{"role": "admin"}}'),
    ('{BY_ANN}', now(), 'Ann', 'account-suspended', '{BOB}', 'cheating', '{{}}'),
    ('{BEFORE_ANN}', now(), 'Ann', 'account-suspended', '{EVE}', 'of one erased', '{{}}'),
    (gen_random_uuid(), now(), 'else', 'account-suspended', '{EVE}', '', '{{}}');
"""  # noqa: S608 - nobody's input


@pytest.fixture(scope="module", autouse=True)
def _rows(database_dsn: str) -> None:
    """Write something of everything."""

    async def write(session: Session) -> None:
        await session.execute(ROWS)

    trio.run(run_script, database_dsn, write)


async def told_of(dsn: str, key: str, page: int = PAGE) -> dict[str, Any] | None:
    """Collect everything kept on somebody."""
    told: dict[str, Any] = {}

    def take(section: str, rows: Sequence[Json]) -> None:
        assert len(rows) <= page
        if section in SINGLE:
            told[section] = rows[0] if rows else None
        else:
            told.setdefault(section, []).extend(rows)

    async with open_database(dsn, log=quiet_log()) as database:
        connection = await database.connect(name="personal")
        try:
            return told if await personal_data(connection, key, take, page=page) else None
        finally:
            await connection.aclose()


async def test_personal_data_are_complete(database_dsn: str) -> None:
    """Everything about the account is there, in plain data and with its times."""
    told = await told_of(database_dsn, "ann")
    assert told is not None
    plain = msgspec.json.decode(msgspec.json.encode(told))
    assert plain["account"]["username"] == "Ann"
    assert plain["account"]["created_at"] == "2026-01-01T12:00:00Z"
    assert len(plain["sessions"]) == 1
    assert plain["inventory"]["holdings"] == {"amounts": {"gold": [5, 7]}}
    assert plain["inventory"]["at"] == "1970-01-01T00:00:01Z"
    assert plain["inventory"]["frozen_at"] is None
    (order,) = plain["orders"]
    assert (order["cost"], order["refund"], order["duration_ms"]) == ({"gold": 3}, [1, 2], 5000)
    assert order["finishes_at"] == "1970-01-01T00:00:06.500000Z"
    assert [entry["changes"] for entry in plain["ledger"]] == [{"gold": [-3, 5]}]
    assert sorted(each["sender_name"] for each in plain["transfers"]) == ["Ann", "Bob"]
    assert [each["response"] for each in plain["commands"]] == [{"order": 1}]
    assert [each["reason"] for each in plain["audit"]] == ["why"]
    assert [each["reason"] for each in plain["audit_by"]] == ["cheating"]


async def test_personal_data_come_in_pages(database_dsn: str) -> None:
    """However much there is, little of it is in memory; nothing is left out or told twice."""
    whole = await told_of(database_dsn, "ann")
    assert whole is not None
    assert len(whole["transfers"]) == 2
    assert await told_of(database_dsn, "ann", page=1) == whole


async def test_personal_data_hold_nothing_of_who_had_the_name_before(database_dsn: str) -> None:
    """An erased operator's actions are not those of whoever took the name afterwards."""
    told = await told_of(database_dsn, "ann")
    assert told is not None
    assert [each["audit_id"] for each in told["audit_by"]] == [BY_ANN]


@pytest.mark.parametrize("key", ["ann", "bob", "eve"])
async def test_personal_data_hold_no_secret(database_dsn: str, key: str) -> None:
    """Nothing that would let somebody in, and of others nothing but a transfer's name."""
    told = msgspec.json.encode(await told_of(database_dsn, key)).decode()
    assert "SECRET" not in told
    assert b"SECRET".hex() not in told
    others = {"ann": EVE, "bob": EVE, "eve": ANN}
    assert others[key] not in told


async def test_personal_data_of_a_new_account_are_few(database_dsn: str) -> None:
    """A player who has done nothing yet has no inventory; times beyond all calendars are shown."""
    told = await told_of(database_dsn, "eve")
    assert told is not None
    assert told["inventory"] is None
    assert told["orders"] == told["ledger"] == []
    bob = await told_of(database_dsn, "bob")
    assert bob is not None
    assert bob["inventory"]["frozen_at"].year == 9999


async def test_personal_data_of_nobody_are_none(database_dsn: str) -> None:
    """Without an account there is nothing to return."""
    assert await told_of(database_dsn, "nobody") is None


async def test_personal_data_leave_no_column_out(database_dsn: str) -> None:
    """Every column of the schema is exported, or left out for a reason stated here."""

    async def read(session: Session) -> dict[str, set[str]]:
        rows = await session.fetch(
            "select table_name, column_name from information_schema.columns "
            "where table_schema = 'public'"
        )
        columns: dict[str, set[str]] = {}
        for row in rows:
            columns.setdefault(row["table_name"], set()).add(row["column_name"])
        return columns

    columns = await run_script(database_dsn, read)
    assert columns.keys() == LEFT_OUT.keys() | OF_NOBODY
    exported: dict[str, set[str]] = {}
    for sql in (personal._ACCOUNT, personal._AUDIT_BY, *personal._SECTIONS.values()):
        found = re.search(r"select(.*)\bfrom\s+(\w+)", sql, re.DOTALL)
        assert found is not None
        names = {name.split(" as ")[0].strip() for name in found[1].split(",")}
        exported.setdefault(found[2], set()).update(names)
    for table, left_out in LEFT_OUT.items():
        assert exported[table] | left_out == columns[table], table
        assert not exported[table] & left_out, table
