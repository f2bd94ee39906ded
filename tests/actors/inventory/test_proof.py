"""What the proof of the books finds, on books written by hand."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from actors import inventory
from actors.inventory.eras import Era
from actors.inventory.proof import EFFECTS, LedgerDiffers, Proof, Totals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from actors.storage import Row

ANN, BEN = "ann", "ben"


def entry(
    account: str,
    seq: int,
    cause: str,
    changes: dict[str, Any] | str,
    transfer: Row | None = None,
) -> Row:
    """Return a ledger entry as the snapshot has it."""
    carried = transfer or dict.fromkeys(
        ("transfer_id", "sender", "receiver", "state", "resources", "ruleset", "sent_ms")
    )
    text = changes if isinstance(changes, str) else json.dumps(changes)
    return {"account_id": account, "seq": seq, "cause": cause, "changes": text, **carried}


def transfer(state: str, resources: dict[str, int], *, sender: str = ANN, **here: bool) -> Row:
    """Return a transfer from Ann to Ben."""
    return {
        "transfer_id": "t1",
        "sender": sender,
        "receiver": BEN,
        "state": state,
        "resources": json.dumps(resources),
        "ruleset": "A",
        "sent_ms": 5,
        **here,
    }


def inventory_of(account: str, seq: int, **state: Any) -> Row:
    """Return an inventory's record."""
    stored: dict[str, Any] = {"seq": seq, "amounts": {}, **state}
    return {"account_id": account, "ledger_seq": seq, "state": json.dumps(stored)}


def prove(
    inventories: list[Row], entries: list[Row], transfers: list[Row], eras: Sequence[Era] = ()
) -> list[Totals]:
    """Read in a world of one page."""
    proof = Proof(eras)
    proof.begin(inventories)
    proof.enter(entries)
    proof.close()
    proof.count_transfers(transfers)
    return proof.world()


def difference(
    inventories: list[Row], entries: list[Row], transfers: list[Row] | None = None
) -> LedgerDiffers:
    """Return the difference that is found."""
    with pytest.raises(LedgerDiffers) as caught:
        prove(inventories, entries, transfers or [])
    return caught.value


START = entry(ANN, 1, "start", {"wood": [10, 10]})


def test_proof_follows_an_account_through_everything() -> None:
    """Stocks, held goods, levels and units come out as the inventory has them."""
    entries = [
        START,
        entry(ANN, 2, "production", {"wood": [5, 15], "gold": [2, 2]}),
        entry(ANN, 3, "order-placed", {"wood": [-9, 6]}),
        entry(ANN, 4, "order-started", {}),
        entry(ANN, 5, "order-completed", {"hut": [1, 1]}),
        entry(ANN, 6, "unit-completed", {"scout": [3, 3]}),
        entry(ANN, 7, "grant", {"scout": [-1, 2], "wood": [4, 10]}),
        entry(ANN, 8, "ruleset-changed", {"gold": [-2, 0], "silver": [2, 2]}),
    ]
    owned = inventory_of(
        ANN, 8, amounts={"wood": [10, 7], "silver": [2, 0]}, levels={"hut": 1}, units={"scout": 2}
    )
    assert prove([owned], entries, []) == [
        Totals("wood", 19, 9, 10, 0),
        Totals("silver", 2, 0, 2, 0),
    ]


def test_proof_counts_what_is_on_its_way() -> None:
    """What Ann has sent and Ben has not received is in neither inventory, and not lost."""
    sent = transfer("sent", {"wood": 4}, sender_here=True, receiver_here=True)
    entries = [START, entry(ANN, 2, "transfer-sent", {"wood": [-4, 6]}, sent)]
    owned = inventory_of(ANN, 2, amounts={"wood": [6, 0]})
    assert prove([owned], entries, [sent]) == [Totals("wood", 10, 0, 6, 4)]


def test_proof_follows_a_transfer_into_a_full_store() -> None:
    """Ben takes two in and holds two; the world has as much as before."""
    carried = transfer("delivered", {"wood": 4}, sender_here=True, receiver_here=True)
    entries = [
        START,
        entry(ANN, 2, "transfer-sent", {"wood": [-4, 6]}, carried),
        entry(BEN, 1, "start", {"wood": [10, 10]}),
        entry(BEN, 2, "transfer-received", {"wood": [2, 12], "held:wood": [2, 2]}, carried),
        entry(BEN, 3, "held-released", {"wood": [1, 13], "held:wood": [-1, 1]}),
    ]
    owned = [
        inventory_of(ANN, 2, amounts={"wood": [6, 0]}),
        inventory_of(BEN, 3, amounts={"wood": [13, 0]}, held={"wood": [1, 0]}),
    ]
    assert prove(owned, entries, [carried]) == [Totals("wood", 20, 0, 20, 0)]


@pytest.mark.parametrize(
    ("state", "here", "changes", "totals"),
    [
        ("returned", (True, False), [("transfer-sent", -4, 6), ("transfer-returned", 4, 10)], 10),
        ("delivered", (True, False), [("transfer-sent", -4, 6)], 6),
        ("lost", (True, False), [("transfer-sent", -4, 6)], 6),
        ("lost", (False, False), [], 10),
    ],
)
def test_proof_allows_for_accounts_that_are_gone(
    state: str, here: tuple[bool, bool], changes: list[tuple[str, int, int]], totals: int
) -> None:
    """Goods sent to an account that has since been erased have left the world."""
    carried = transfer(state, {"wood": 4}, sender_here=here[0], receiver_here=here[1])
    entries = [START]
    for seq, (cause, delta, balance) in enumerate(changes, 2):
        entries.append(entry(ANN, seq, cause, {"wood": [delta, balance]}, carried))
    owned = inventory_of(ANN, len(entries), amounts={"wood": [totals, 0]})
    assert prove([owned], entries, [carried])[0].holdings == totals


@pytest.mark.parametrize(("state", "received"), [("delivered", True), ("sent", False)])
def test_proof_allows_for_senders_that_are_gone(state: str, *, received: bool) -> None:
    """Goods sent by an account that has since been erased have come into the world from outside."""
    carried = transfer(state, {"wood": 4}, sender="eve", sender_here=False, receiver_here=True)
    entries = [entry(BEN, 1, "start", {"wood": [10, 10]})]
    if received:
        entries.append(entry(BEN, 2, "transfer-received", {"wood": [4, 14]}, carried))
    wood = 14 if received else 10
    owned = inventory_of(BEN, len(entries), amounts={"wood": [wood, 0]})
    assert prove([owned], entries, [carried]) == [Totals("wood", 14, 0, wood, 14 - wood)]


ERAS = (
    Era("A", 0, {}),
    Era("B", 10, {"iron": "metal", "copper": "metal"}),
    Era("A", 20, {"metal": "steel"}),
)
MINED = entry(ANN, 1, "start", {"iron": [3, 3], "copper": [4, 4]})
MOVED = entry(ANN, 2, "transfer-sent", {"iron": [-3, 0], "copper": [-4, 0]})


def sent_before(
    state: str, *, sender_here: bool = True, receiver_here: bool = True
) -> tuple[Row, list[Row]]:
    """Return a transfer from before the rules changed, and its sender's entries."""
    goods = {"iron": 3, "copper": 4}
    carried = transfer(state, goods, sender_here=sender_here, receiver_here=receiver_here)
    return carried, [MINED, {**MOVED, **carried}]


@pytest.mark.parametrize("name", ["metal", "steel"])
def test_proof_follows_a_transfer_into_other_names(name: str) -> None:
    """Whichever rules it arrived under, the record has the old names, the receiver's entry not."""
    carried, entries = sent_before("delivered")
    entries.append(entry(BEN, 1, "transfer-received", {name: [7, 7]}, carried))
    owned = [inventory_of(ANN, 2), inventory_of(BEN, 1, amounts={name: [7, 0]})]
    assert prove(owned, entries, [carried], ERAS) == [Totals(name, 7, 0, 7, 0)]


def test_proof_follows_a_transfer_back_in_other_names() -> None:
    """The sender gave iron and copper, and has metal."""
    carried, entries = sent_before("returned")
    entries.append(entry(ANN, 3, "transfer-returned", {"metal": [7, 7]}, carried))
    owned = inventory_of(ANN, 3, amounts={"metal": [7, 0], "iron": [0, 0]})
    assert prove([owned], entries, [carried], ERAS) == [
        Totals("metal", 7, 0, 7, 0),
        Totals("iron", 3, 3, 0, 0),
    ]


@pytest.mark.parametrize("sender_here", [True, False])
@pytest.mark.parametrize("receiver_here", [True, False])
def test_proof_allows_for_renamed_goods_of_accounts_that_are_gone(
    *, sender_here: bool, receiver_here: bool
) -> None:
    """Each side's books are complete without the other's."""
    carried, entries = sent_before(
        "delivered", sender_here=sender_here, receiver_here=receiver_here
    )
    received = entry(BEN, 1, "transfer-received", {"metal": [7, 7]}, carried)
    owned = [inventory_of(ANN, 2)] * sender_here
    owned += [inventory_of(BEN, 1, amounts={"metal": [7, 0]})] * receiver_here
    told = entries * sender_here + [received] * receiver_here
    expected = [Totals("metal", 7, 0, 7, 0)] * receiver_here
    assert prove(owned, told, [carried], ERAS) == expected


def test_proof_shows_what_is_on_its_way_by_its_old_name() -> None:
    """Nobody has any of it, and it is not lost."""
    carried, entries = sent_before("sent")
    owned = inventory_of(ANN, 2, amounts={"metal": [0, 0]})
    assert prove([owned], entries, [carried], ERAS) == [
        Totals("metal", 0, 0, 0, 0),
        Totals("iron", 3, 0, 0, 3),
        Totals("copper", 4, 0, 0, 4),
    ]


@pytest.mark.parametrize(
    ("changes", "where", "found"),
    [
        ({"metal": [6, 6]}, "iron", 0),
        ({"iron": [3, 3], "metal": [4, 4]}, "copper", 0),
        ({"gold": [7, 7]}, "iron", 0),
    ],
)
def test_proof_takes_no_other_name_or_amount(
    changes: dict[str, Any], where: str, found: int
) -> None:
    """Only the names that later rules gave it, and all of it."""
    carried, entries = sent_before("delivered")
    entries.append(entry(BEN, 1, "transfer-received", changes, carried))
    with pytest.raises(LedgerDiffers) as caught:
        prove([inventory_of(ANN, 2), inventory_of(BEN, 1)], entries, [carried], ERAS)
    assert (caught.value.account_id, caught.value.asset) == (BEN, where)
    assert caught.value.found == found


ONE = inventory_of(ANN, 1, amounts={"wood": [10, 0]})
TWO = inventory_of(ANN, 2, amounts={"wood": [12, 0]})


@pytest.mark.parametrize(
    ("owned", "entries", "where", "expected", "found"),
    [
        (TWO, [START, entry(ANN, 3, "production", {})], (2, None), 2, 3),
        (TWO, [entry(ANN, 2, "production", {})], (1, None), 1, 2),
        (TWO, [START, START], (2, None), 2, 1),
        (TWO, [START, entry(ANN, 2, "production", {"wood": [3, 12]})], (2, "wood"), 13, 12),
        (TWO, [START, entry(ANN, 2, "production", {"wood": [2, 13]})], (2, "wood"), 12, 13),
        (TWO, [START], (1, None), 2, 1),
        (ONE, [], (0, None), 1, 0),
        (ONE, [entry(ANN, 1, "start", {"wood": [9, 9]})], (1, "wood"), 9, 10),
        (ONE, [entry(ANN, 1, "start", {"wood": [10, 10], "hut": [1, 1]})], (1, "hut"), 1, 0),
    ],
)  # fmt: skip
def test_proof_names_the_first_difference(
    owned: Row, entries: list[Row], where: tuple[int, str | None], expected: object, found: object
) -> None:
    """Account, entry, asset, the expected and the actual value."""
    error = difference([owned], entries)
    assert (error.account_id, error.seq, error.asset) == (ANN, *where)
    assert (error.expected, error.found) == (expected, found)
    assert f"expected {expected}, found {found}" in str(error)


def test_proof_reads_entries_that_filled_a_stock() -> None:
    """That an entry filled a stock says nothing about amounts."""
    prove([TWO], [START, entry(ANN, 2, "production", {"wood": [2, 12, 1]})], [])


@pytest.mark.parametrize("cause", ["order-placed", "spilled", "order-started"])
def test_proof_refuses_a_cause_that_makes_what_it_cannot_make(cause: str) -> None:
    """An order that brings its owner wood is wrong, even if everything else agrees with it."""
    error = difference([TWO], [START, entry(ANN, 2, cause, {"wood": [2, 12]})])
    assert (error.seq, error.asset, error.expected, error.found) == (2, "wood", "0 or less", 2)


@pytest.mark.parametrize("cause", ["order-completed", "order-cancelled", "start"])
def test_proof_refuses_a_cause_that_uses_what_it_cannot_use(cause: str) -> None:
    """A completion that takes wood away is wrong, likewise."""
    owned = inventory_of(ANN, 2, amounts={"wood": [8, 0]})
    error = difference([owned], [START, entry(ANN, 2, cause, {"wood": [-2, 8]})])
    assert (error.seq, error.asset, error.expected, error.found) == (2, "wood", "0 or more", -2)


def test_proof_refuses_a_negative_balance() -> None:
    """No balance can be negative, however the books were made to agree."""
    entries = [START, entry(ANN, 2, "order-placed", {"wood": [-12, -2]})]
    error = difference([inventory_of(ANN, 2)], entries)
    assert (error.asset, error.found) == ("wood", -2)


def test_proof_refuses_a_cause_that_it_does_not_know() -> None:
    """A new cause has to declare what it does."""
    error = difference([TWO], [START, entry(ANN, 2, "miracle", {"wood": [2, 12]})])
    assert error.found == "miracle"


@pytest.mark.parametrize(
    "changes",
    ["[]", '{"wood": 1}', '{"wood": [1.5, 1]}', '{"wood": [1]}', '{"wood": [1, 1, 1, 1]}', "{"],
)
def test_proof_refuses_rows_that_it_cannot_read(changes: str) -> None:
    """Rows that the server would never write are a difference, not a crash."""
    error = difference([ONE], [entry(ANN, 1, "start", changes)])
    assert (error.account_id, error.seq) == (ANN, 1)


def test_proof_refuses_an_inventory_that_it_cannot_read() -> None:
    """A state that the server would never write is a difference, not a crash."""
    owned = {"account_id": ANN, "ledger_seq": 1, "state": "[]"}
    assert "its inventory cannot be read" in str(difference([owned], [START]))


def test_proof_refuses_a_state_of_another_moment() -> None:
    """The record's own count and the one inside the state are one."""
    owned = {**ONE, "ledger_seq": 2}
    assert "the inventory's record" in str(difference([owned], [START]))
    inner = {**TWO, "ledger_seq": 1}
    assert "the inventory's state" in str(difference([inner], [START]))


def test_proof_refuses_a_ledger_without_an_inventory() -> None:
    """Entries of an account that has none are named."""
    error = difference([ONE], [START, entry(BEN, 1, "start", {})])
    assert (error.account_id, error.seq) == (BEN, 1)


@pytest.mark.parametrize(
    ("cause", "delta", "record", "found"),
    [
        ("transfer-sent", -4, None, "none"),
        ("transfer-sent", -4, transfer("sent", {"wood": 4}, sender="eve"), "eve"),
        ("transfer-received", 4, transfer("delivered", {"wood": 4}), BEN),
        ("transfer-returned", 4, transfer("sent", {"wood": 4}), "sent"),
        ("transfer-sent", -4, transfer("sent", {"wood": 5}), -4),
        ("transfer-sent", -4, transfer("sent", {"wood": 4, "gold": 1}), 0),
        ("transfer-returned", 3, transfer("returned", {"wood": 4}), 3),
    ],
)
def test_proof_compares_entries_with_transfers(
    cause: str, delta: int, record: Row | None, found: object
) -> None:
    """Both sides, the state and the goods of a transfer match the entries about it."""
    entries = [START, entry(ANN, 2, cause, {"wood": [delta, 10 + delta]}, record)]
    error = difference([inventory_of(ANN, 2, amounts={"wood": [10 + delta, 0]})], entries)
    assert (error.account_id, error.seq, error.found) == (ANN, 2, found)


def test_proof_finds_what_the_world_has_lost() -> None:
    """A transfer recorded as delivered, of which the receiver knows nothing."""
    carried = transfer("delivered", {"wood": 4}, sender_here=True, receiver_here=True)
    entries = [START, entry(ANN, 2, "transfer-sent", {"wood": [-4, 6]}, carried)]
    error = difference([inventory_of(ANN, 2, amounts={"wood": [6, 0]})], entries, [carried])
    assert (error.account_id, error.asset) == (None, "wood")
    assert (error.expected, error.found) == (10, 6)
    assert str(error).startswith("world, asset wood: ")


def causes() -> Iterator[str]:
    """Yield every cause that the product enters in a ledger."""
    for path in Path(inventory.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="enter" | "enter_amounts"),
                    args=[ast.Constant(value=str(cause)), *_],
                ):
                    yield cause
                case ast.keyword(arg="cause", value=ast.Constant(value=str(cause))):
                    yield cause
                case (
                    ast.AnnAssign(
                        target=ast.Name(id="_CAUSE"), value=ast.Constant(value=str(cause))
                    )
                    | ast.Assign(
                        targets=[ast.Name(id="_CAUSE")], value=ast.Constant(value=str(cause))
                    )
                ):
                    yield cause
                case _:
                    pass


def test_proof_knows_every_cause() -> None:
    """Every cause the engine enters is classified, and nothing else is."""
    assert set(causes()) == set(EFFECTS)
