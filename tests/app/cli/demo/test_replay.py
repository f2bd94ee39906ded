"""What replaying a ledger promises: a gap, a wrong sum or a wrong stock is found."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli.demo.promises import BrokenPromise
from app.cli.demo.replay import MS_PER_HOUR, check_replay, grown, replay
from holdfast_client.types import Change, LedgerEntry
from tests.app.cli.demo import samples
from tests.app.cli.demo.samples import NOW, stock

if TYPE_CHECKING:
    from holdfast_client.types import Inventory, Stock


def ledger(*changes: dict[str, int]) -> list[LedgerEntry]:
    """Write a ledger of these deltas, one entry each, all at `NOW`."""
    balances: dict[str, int] = {}
    entries: list[LedgerEntry] = []
    for seq, deltas in enumerate(changes, start=1):
        for asset, delta in deltas.items():
            balances[asset] = balances.get(asset, 0) + delta
        told = {asset: Change(delta, balances[asset]) for asset, delta in deltas.items()}
        entries.append(LedgerEntry(seq, NOW, "cause", told))
    return entries


def inventory(seconds: float, gold: Stock, **buildings: int) -> Inventory:
    """Make an inventory as of some seconds after `NOW`."""
    at = NOW + timedelta(seconds=seconds)
    return samples.inventory(gold, at=at, buildings=buildings)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(-100, 100)), max_size=20))
def test_replay_adds_up_every_change(changes: list[dict[str, int]]) -> None:
    """The balances are the sums of the changes, whatever these are."""
    expected: dict[str, int] = {}
    for deltas in changes:
        for asset, delta in deltas.items():
            expected[asset] = expected.get(asset, 0) + delta
    assert replay(ledger(*changes)) == expected


def test_replay_finds_a_gap() -> None:
    """A missing entry is named."""
    entries = ledger({"gold": 1}, {"gold": 1}, {"gold": 1})
    with pytest.raises(BrokenPromise, match="entry 3 where 2 was expected"):
        replay([entries[0], entries[2]])


def test_replay_finds_a_balance_that_is_not_the_sum() -> None:
    """A balance must equal the sum of the changes."""
    entries = ledger({"gold": 1})
    entries.append(LedgerEntry(2, NOW, "cause", {"gold": Change(1, 3)}))
    with pytest.raises(BrokenPromise, match="gives gold as 3, its changes add up to 2"):
        replay(entries)


def test_check_replay_accepts_what_was_produced_since() -> None:
    """After the last entry a stock grows at its rate."""
    entries = ledger({"gold": 100, "mine": 1})
    check_replay(entries, inventory(10, stock(110, 3600, 1000), mine=1))
    for amount in (110, 111):
        check_replay(entries, inventory(10.5, stock(amount, 3600, 1000), mine=1))


@pytest.mark.parametrize("amount", [99, 100, 109, 111])
def test_check_replay_refuses_another_stock(amount: int) -> None:
    """One unit too many or too few is found."""
    entries = ledger({"gold": 100, "mine": 1})
    with pytest.raises(BrokenPromise, match=f"the inventory has {amount}"):
        check_replay(entries, inventory(10, stock(amount, 3600, 1000), mine=1))


@pytest.mark.parametrize("owned", [{}, {"mine": 2}, {"mine": 1, "tower": 1}])
def test_check_replay_refuses_another_level(owned: dict[str, int]) -> None:
    """Levels and units must be equal."""
    entries = ledger({"gold": 100, "mine": 1})
    with pytest.raises(BrokenPromise, match="the ledger replays to"):
        check_replay(entries, inventory(0, stock(100), **owned))


@given(
    balance=st.integers(0, 10**6),
    per_hour=st.integers(-(10**6), 10**6),
    capacity=st.none() | st.integers(0, 10**6),
    elapsed_ms=st.integers(0, 10**7),
    fraction=st.integers(0, MS_PER_HOUR - 1),
)
def test_grown_has_the_exact_amount(
    balance: int, per_hour: int, capacity: int | None, elapsed_ms: int, fraction: int
) -> None:
    """Whatever fraction of a unit the ledger leaves open, the exact amount is a candidate."""
    whole = balance * MS_PER_HOUR + fraction
    exact = whole + per_hour * elapsed_ms
    if capacity is not None and per_hour > 0:
        exact = min(exact, max(whole, capacity * MS_PER_HOUR))
    amount = max(0, exact) // MS_PER_HOUR
    possible = grown(balance, stock(amount, per_hour, capacity), timedelta(milliseconds=elapsed_ms))
    assert amount in possible
    assert len(possible) <= 2
