"""The recount of a benchmark finds every kind of fault, and none where all is right."""

from __future__ import annotations

import dataclasses

import pytest

from bench.recount import GOLD_AT_START, PRICE, Account, account_faults, key_faults

ANSWERED = [("a", "one"), ("a", "two"), ("b", "three")]


def account(name: str, orders: int) -> Account:
    """Return the state of an account after exactly these orders."""
    return Account(
        account=name,
        orders=orders,
        sequences=orders,
        entries=orders + 1,
        last_seq=orders + 1,
        order_entries=orders,
        entered_orders=orders,
        gold_paid=-PRICE * orders,
        ledger_seq=orders + 1,
        gold=GOLD_AT_START - PRICE * orders,
        order_seq=orders,
    )


RIGHT = [account("a", 2), account("b", 1), account("idle", 0)]


def test_recount_of_what_was_answered_finds_nothing() -> None:
    """A database that holds exactly the orders answered has no faults."""
    assert key_faults(ANSWERED, list(reversed(ANSWERED))) == []
    assert account_faults(ANSWERED, RIGHT) == []


@pytest.mark.parametrize(
    ("stored", "fault"),
    [
        (ANSWERED[:2], "answered and not there"),
        ([*ANSWERED, ("b", "four")], "there and not answered"),
        ([("a", "one"), ("b", "two"), ("b", "three")], "answered and not there"),
    ],
)
def test_recount_of_keys_finds_what_is_missing_or_too_much(
    stored: list[tuple[str, str]], fault: str
) -> None:
    """A key that is lost, invented, or under another account is reported."""
    assert any(fault in told for told in key_faults(ANSWERED, stored))


def test_recount_of_keys_finds_a_key_that_was_answered_twice() -> None:
    """Two answers for one key are one order too many."""
    assert key_faults([*ANSWERED, ANSWERED[0]], ANSWERED) == ["1 answered twice: ('a', 'one')"]


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Account)][1:])
@pytest.mark.parametrize("by", [-1, 1])
def test_recount_of_sums_finds_whatever_is_off_by_one(field: str, by: int) -> None:
    """Each number of an account that differs from the orders answered is reported."""
    off = dataclasses.replace(RIGHT[0], **{field: getattr(RIGHT[0], field) + by})
    assert any(told.startswith("a: ") for told in account_faults(ANSWERED, [off, RIGHT[1]]))


def test_recount_of_sums_finds_an_account_that_is_gone() -> None:
    """An account whose orders were answered but that has no inventory is reported."""
    assert account_faults(ANSWERED, RIGHT[:1]) == ["1 without an inventory: b"]
