"""The stored form of a state: it reads back as written, and nonsense is refused."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.inventory.engine import (
    AMOUNT_MAX,
    GRAINS_PER_UNIT,
    State,
    credit,
    decode_state,
    encode_state,
    place_order,
)
from tests.actors.inventory.engine.plays import Move, enrich, moves, play
from tests.actors.inventory.engine.worlds import COLONY, NOW, SECOND, begin, world


def sample() -> State:
    """Return a state that has something of everything, settled to `NOW`."""
    state = enrich(begin(world()), world())
    state, _ = credit(
        state,
        world(),
        resources={"metal": 5000},
        now_ms=NOW,
        cause="received",
        transfer_id="t",
        overflow="hold",
    )
    for name, asset, count in (("a", "mine", None), ("b", "plant", None), ("c", "scout", 5)):
        state, _ = place_order(state, world(), order_id=name, asset=asset, count=count, now_ms=NOW)
    return state


@given(st.lists(moves(), max_size=8))
@settings(max_examples=40)
def test_decode_gives_back_what_encode_wrote(made: list[Move]) -> None:
    """A state survives its record, together with its pending orders in any sequence."""
    rules = world()
    state = sample()
    for number, move in enumerate(made):
        state, _ = play(state, rules, move, number)
    orders = tuple(reversed(state.orders))
    assert decode_state(encode_state(state), rules, orders) == state
    assert decode_state(encode_state(state).decode(), rules, orders) == state


def test_encode_writes_whole_units_and_grains_within_64_bits() -> None:
    """Amounts are pairs, so that the largest is still a number to any JSON reader."""
    state = begin(world(), amounts={"metal": AMOUNT_MAX * GRAINS_PER_UNIT + 7, "crystal": 0})
    record = json.loads(encode_state(state))
    assert record["amounts"]["metal"] == [AMOUNT_MAX, 7]
    assert "orders" not in record
    assert "flows" not in record


def test_encode_keeps_big_amounts_exactly() -> None:
    """No grain is lost at the bound."""
    amounts = {"metal": AMOUNT_MAX * GRAINS_PER_UNIT - 1, "crystal": 0, "gas": 1}
    state = begin(world(), amounts=amounts)
    assert decode_state(encode_state(state), world(), ()).amounts == amounts


@pytest.mark.parametrize(
    "change",
    [
        {"amounts": {"metal": [1, 0], "crystal": [1, 0]}},
        {"amounts": {"metal": [1, 0], "crystal": [1, 0], "gas": [1, 0], "dust": [1, 0]}},
        {"amounts": {"metal": [-1, 0], "crystal": [1, 0], "gas": [1, 0]}},
        {"amounts": {"metal": [1, GRAINS_PER_UNIT], "crystal": [1, 0], "gas": [1, 0]}},
        {"amounts": {"metal": [1, -1], "crystal": [1, 0], "gas": [1, 0]}},
        {"amounts": {"metal": 1, "crystal": [1, 0], "gas": [1, 0]}},
        {"held": {"dust": [1, 0]}},
        {"levels": {"mine": 0}},
        {"levels": {"scout": 1}},
        {"levels": {"nothing": 1}},
        {"units": {"mine": 1}},
        {"units": {"scout": True}},
        {"at_ms": -1},
        {"at_ms": 10**15},
        {"seq": 1.5},
        {"order_seq": 2},
        {"ruleset": "another"},
        {"account_id": None},
        {"unknown": 1},
    ],
)
def test_decode_refuses_a_record_that_cannot_be(change: dict[str, Any]) -> None:
    """A damaged record is an error, never an inventory."""
    state = sample()
    record = {**json.loads(encode_state(state)), **change}
    with pytest.raises(ValueError, match=r".+"):
        decode_state(json.dumps(record), world(), state.orders)


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"null", b"{", b"\xff", "NaN"])
def test_decode_refuses_what_is_no_record(raw: bytes | str) -> None:
    """A value that is not a JSON object of the right shape is refused as one."""
    with pytest.raises(ValueError, match="not a stored inventory"):
        decode_state(raw, world(), ())


@pytest.mark.parametrize(
    ("order_id", "change"),
    [
        ("a", {"asset": "nothing"}),
        ("a", {"kind": "unit"}),
        ("a", {"queue": "nothing"}),
        ("a", {"seq": 0}),
        ("a", {"seq": 2}),
        ("a", {"seq": 4}),
        ("a", {"piece_ms": 0}),
        ("a", {"level": None}),
        ("a", {"count": 1}),
        ("a", {"starts_ms": None}),
        ("a", {"finishes_ms": None}),
        ("a", {"finishes_ms": NOW}),
        ("a", {"state": "completed"}),
        ("b", {"state": "running"}),
        ("b", {"starts_ms": NOW}),
        ("c", {"count": None}),
        ("c", {"level": 1}),
        ("c", {"delivered": 5}),
        ("c", {"delivered": -1}),
        ("c", {"state": "queued"}),
    ],
)
def test_decode_refuses_an_order_that_cannot_be_pending(
    order_id: str, change: dict[str, Any]
) -> None:
    """Orders are checked against the record and the ruleset."""
    state = sample()
    orders = [
        msgspec.structs.replace(order, **change) if order.id == order_id else order
        for order in state.orders
    ]
    with pytest.raises(ValueError, match=r".+"):
        decode_state(encode_state(state), world(), orders)


def test_decode_refuses_another_ruleset() -> None:
    """A record continues only under the ruleset it was settled under."""
    other = world(COLONY.replace("duration = 20", "duration = 21"))
    with pytest.raises(ValueError, match="stored under ruleset"):
        decode_state(encode_state(begin(world())), other, ())


def test_decode_goes_on_where_encode_stopped() -> None:
    """A batch in the middle of a delivery keeps its place."""
    state = sample()
    raw = encode_state(state)
    later = decode_state(raw, world(), state.orders)
    again, _ = play(later, world(), Move(8 * SECOND, "nothing", None, None), 9)
    assert again.units["scout"] == 1
