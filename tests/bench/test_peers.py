"""The peers do Holdfast's work on Holdfast's rows, and install from a lock alone."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from actors.authx.keys import KeyRing, TokenKey
from actors.inventory.engine import decode_state, encode_state, new_state, view
from actors.inventory.engine import place_order as place
from actors.inventory.ruleset import load_ruleset
from bench import seed
from bench.peers import market

RULESET = load_ruleset(str(seed.MARKET), parameters={})
BEGAN_MS = 1_700_000_000_000
LATER_MS = BEGAN_MS + 7_654_321
NODE = Path(__file__).parents[2] / "bench" / "peers" / "node"


def test_peers_apply_an_order_as_the_engine_does() -> None:
    """The same order on the same row leaves the same amounts, sequences and time."""
    state, _ = new_state(seed.account_id(0), RULESET, BEGAN_MS)
    row = json.loads(encode_state(state))
    order = market.place(row, seed.account_id(1), "cart3", 2, LATER_MS)
    own, events = place(
        state, RULESET, order_id=seed.account_id(1), asset="cart3", count=2, now_ms=LATER_MS
    )
    theirs = decode_state(json.dumps(row), RULESET, [])
    assert theirs.amounts == own.amounts
    assert (theirs.order_seq, theirs.at_ms) == (own.order_seq, own.at_ms)
    [placed] = events.orders
    shown = {"id": placed.id, "asset": placed.asset, "kind": placed.kind, "count": placed.count}
    assert shown.items() <= order.shown.items()
    assert order.shown["cost"] == placed.cost


def test_peers_show_an_inventory_as_holdfast_does() -> None:
    """The same row is shown with the same resources."""
    state, _ = new_state(seed.account_id(0), RULESET, BEGAN_MS)
    shown = json.loads(market.inventory(json.loads(encode_state(state)), 1, [], LATER_MS))
    own = view(state, RULESET, LATER_MS, version=1, tick=1)
    assert shown["account_id"] == own.account_id
    for name, stock in own.resources.items():
        told = shown["resources"][name]
        assert (told["amount"], told["per_hour"]) == (stock.amount, stock.per_hour)
        assert told["capacity"] == stock.capacity
        full_at = None if stock.full_at_ms is None else market.moment(stock.full_at_ms)
        assert told["full_at"] == full_at


def test_peers_refuse_what_cannot_be_paid() -> None:
    """An order is conditional: too little gold, or an unknown asset, changes nothing."""
    state, _ = new_state(seed.account_id(0), RULESET, BEGAN_MS)
    row = json.loads(encode_state(state))
    before = msgspec.json.encode(row)
    for asset, count in (("cart1", 10**9), ("castle", 1)):
        with pytest.raises(market.Refused):
            market.place(row, seed.account_id(1), asset, count, BEGAN_MS)
    assert msgspec.json.encode(row) == before


def test_peers_take_holdfasts_tokens_and_no_others() -> None:
    """A token is accepted under the server's own key, and refused under another."""
    key = TokenKey.from_bytes(bytes(32))
    [(account, token)] = seed.issue_tokens(KeyRing((key,)), 1)
    paserk = key.local.to_paserk()
    tokens = market.Tokens(paserk)
    assert tokens.verify(token) == tokens.verify(token) == account
    for wrong in (token[:-2], token.replace("v4.local.", "v4.local.A"), "", "v4.local.x"):
        with pytest.raises(market.Refused):
            tokens.verify(wrong)


def test_peers_node_lock_has_hashes_and_no_addresses() -> None:
    """The Node peer's packages are pinned by their content, wherever they come from."""
    lock = json.loads((NODE / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: each for name, each in lock["packages"].items() if name}
    assert len(packages) > 20
    assert [name for name, each in packages.items() if "integrity" not in each] == []
    assert [name for name, each in packages.items() if "resolved" in each] == []
