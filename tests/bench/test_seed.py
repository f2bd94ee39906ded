"""Seeded rows are rows that the server itself could have written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from actors.inventory.engine import decode_state
from actors.inventory.records import order_from_row
from actors.inventory.ruleset import load_ruleset
from bench import seed

RULESET = load_ruleset(str(seed.MARKET), parameters={})
COUNT = 1_000


def rows(due_at: datetime | None, number: int) -> dict[str, list[dict[str, str | None]]]:
    """Return the rows of an account as COPY would read them, by table."""
    found: dict[str, list[dict[str, str | None]]] = {}
    for table, columns, line in seed._plans(RULESET, 1, due_at):
        cells = line(number).removesuffix("\n").split("\t")
        values = [None if c == "\\N" else c.replace("\\\\", "\\") for c in cells]
        found.setdefault(table, []).append(dict(zip(columns, values, strict=True)))
    return found


def test_seed_ids_are_uuids_of_version_7_in_order() -> None:
    """Every number has its own id, canonical and later than the one before."""
    ids = [seed.account_id(number) for number in range(COUNT)]
    assert all(str(UUID(each)) == each and UUID(each).version == 7 for each in ids)
    assert sorted(set(ids)) == ids
    assert not {seed.session_id(number) for number in range(COUNT)} & set(ids)


def test_seed_inventory_can_be_activated() -> None:
    """An inventory decodes under the ruleset, for its own account; one ledger entry starts it."""
    found = rows(None, 7)
    [inventory] = found["inventories"]
    state = decode_state(inventory["state"] or "", RULESET, [])
    assert state.account_id == inventory["account_id"] == seed.account_id(7)
    [entry] = found["ledger"]
    assert (entry["account_id"], entry["seq"], entry["cause"]) == (seed.account_id(7), "1", "start")
    assert str(state.seq) == inventory["ledger_seq"] == "1"
    assert "orders" not in found


def test_seed_order_is_due_when_it_is_said_to_be() -> None:
    """Given a time, each account has one running order that finishes then."""
    due_at = datetime.now(UTC) + timedelta(seconds=10)
    found = rows(due_at, 9)
    [row], [inventory] = found["orders"], found["inventories"]
    assert row["finishes_ms"] == inventory["next_due_ms"] == str(int(due_at.timestamp() * 1000))
    numbers = {"seq", "count", "delivered", "duration_ms", "placed_ms", "starts_ms", "finishes_ms"}
    typed = {k: int(v) if k in numbers and v is not None else v for k, v in row.items()}
    state = decode_state(inventory["state"] or "", RULESET, [order_from_row(typed)])
    assert [order.id for order in state.orders] == [row["order_id"]]
    assert state.orders[0].state == "running"
    assert len({entry["seq"] for entry in found["ledger"]}) == state.seq
    assert seed._order_id(9) == row["order_id"]


def test_seed_accounts_differ() -> None:
    """Two accounts share nothing that must be unique."""
    one, other = rows(None, 1)["accounts"][0], rows(None, 2)["accounts"][0]
    assert one["password_hash"] == other["password_hash"] or one["password_hash"]
    for name in ("account_id", "username", "username_key"):
        assert one[name] != other[name]
    assert msgspec.json.decode(rows(None, 1)["ledger"][0]["changes"] or "")
