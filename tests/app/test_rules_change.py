"""Which changes of rules the start lets in: those under which every account has its place."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.database.driver import open_database
from actors.inventory.engine import Order, State, encode_state, resettle
from actors.inventory.engine.grains import GRAINS_PER_UNIT
from actors.inventory.engine.pending import Pending
from actors.inventory.engine.state import flows_of
from actors.inventory.errors import RulesetMismatch
from app.rules_change import RulesChangeRefused, check_rules_change
from tests.actors.inventory.world import account, ruleset
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from actors.database.driver import Connection
    from actors.database.session import Session
    from actors.inventory.ruleset import Ruleset

SECTIONS: Final = {"level": "buildings", "lore": "technologies", "unit": "units"}
ASSETS: Final = {"hut": "level", "mill": "level", "lore": "lore", "cart": "unit", "scout": "unit"}
STOCKS: Final = ("wood", "gold")


def rules(assets: Mapping[str, str], stocks: Sequence[str] = STOCKS) -> Ruleset:
    """Make rules with these assets, each of its kind, and these resources."""
    text = '[queues.site]\n[defaults.buildings]\nqueue = "site"\n'
    text += '[defaults.technologies]\nqueue = "site"\n[defaults.units]\nqueue = "site"\n'
    text += "[resources.air]\n" + "".join(f"[resources.{name}]\n" for name in stocks)
    for name, kind in assets.items():
        text += f"[{SECTIONS[kind]}.{name}]\ncost = {{air = 1}}\nduration = 1\n"
    return ruleset(text)


OLD: Final = rules(ASSETS)


def owner(number: int, *owned: str, ordered: Sequence[str] = (), under: Ruleset = OLD) -> State:
    """Make the state of an account that has one of each, and has ordered some for a wood each."""
    levels = {name: 1 for name in owned if ASSETS.get(name) in {"level", "lore"}}
    units = {name: 1 for name in owned if ASSETS.get(name) == "unit"}
    amounts = {name: GRAINS_PER_UNIT if name in owned else 0 for name in under.resources}
    return State(
        account_id=account(number),
        at_ms=1000 * number,
        seq=0,
        order_seq=len(ordered),
        ruleset=under.version,
        amounts=amounts,
        levels=levels,
        units=units,
        held={},
        pending=Pending.of(tuple(order(number, seq, name) for seq, name in enumerate(ordered, 1))),
        flows=flows_of(under, levels, units),
    )


def order(number: int, seq: int, name: str) -> Order:
    """Make an order that waits."""
    kind = {"level": "building", "lore": "technology", "unit": "unit"}[ASSETS[name]]
    return Order(
        id=account(1000 * number + seq),
        seq=seq,
        asset=name,
        kind=kind,
        queue="site",
        level=None if kind == "unit" else 1,
        count=1 if kind == "unit" else None,
        delivered=0,
        cost={"wood": 1},
        refund=(1, 1),
        piece_ms=1000,
        state="queued",
        placed_ms=0,
        starts_ms=None,
        finishes_ms=None,
    )


class Past(NamedTuple):
    """An era of the past: rules, from when on, and what was renamed."""

    rules: Ruleset
    from_ms: int
    renamed: Mapping[str, str]


@asynccontextmanager
async def connected(dsn: str) -> AsyncGenerator[Connection]:
    """Connect to the database."""
    async with open_database(dsn, log=quiet_log()) as database:
        connection = await database.connect(name="test")
        yield connection
        await connection.aclose()


async def store(session: Session, history: Sequence[Past], states: Sequence[State]) -> None:
    """Write a world as the server would have left it."""
    await session.execute("truncate accounts, orders, ruleset_archive cascade")
    for seq, past in enumerate(history, 1):
        version, renamed = past.rules.version, msgspec.json.encode(past.renamed).decode()
        await session.execute(
            "insert into ruleset_archive values ($1, '', '') on conflict do nothing", version
        )
        values = (seq, version, past.from_ms, renamed)
        await session.execute("insert into ruleset_history values ($1, $2, $3, $4)", *values)
    for state in states:
        await store_account(session, state)


async def store_account(session: Session, state: State) -> None:
    """Write one account."""
    who = state.account_id
    await session.execute(
        "insert into accounts (account_id, username, username_key, password_hash, created_at)"
        " values ($1, $1::uuid::text, $1::uuid::text, '', now())",
        who,
    )
    await session.execute(
        "insert into inventories (account_id, version, ruleset, at_ms, ledger_seq, state)"
        " values ($1, 1, $2, $3, 0, $4)",
        *(who, state.ruleset, state.at_ms, encode_state(state).decode()),
    )
    for each in state.orders:
        await session.execute(
            "insert into orders (order_id, account_id, seq, asset, kind, queue, level, count, cost,"
            " refund, duration_ms, state, placed_ms, version)"
            " values ($1, $2, $3, $4, $5, 'site', $6, $7, '{\"wood\": 1}', '[1, 1]', 1000,"
            " 'queued', 0, 1)",
            *(each.id, who, each.seq, each.asset, each.kind, each.level, each.count),
        )


async def refusal(
    dsn: str,
    new: Ruleset,
    renamed: Mapping[str, str],
    *states: State,
    history: Sequence[Past] = (Past(OLD, 0, {}),),
) -> str | None:
    """Say why the start refuses these rules, None where it lets them in."""
    async with connected(dsn) as connection:
        await connection.run(lambda session: store(session, history, states))
        try:
            await check_rules_change(connection, new, renamed)
        except RulesChangeRefused as refused:
            return str(refused)
        return None


@pytest.mark.parametrize(
    ("becomes", "owned", "ordered", "named"),
    [
        ({**ASSETS, "scout": "lore"}, ["scout"], [], "scout (2), now a level"),
        ({**ASSETS, "scout": "lore"}, [], ["scout"], "scout (2), now a level"),
        ({**ASSETS, "hut": "unit"}, ["hut"], [], "hut (2), now a unit"),
        ({**ASSETS, "hut": "unit"}, [], ["hut"], "hut (2), now a unit"),
        ({**ASSETS, "gold": "unit"}, ["gold"], [], "gold (2), now a unit"),
        ({**ASSETS, "hut": "lore"}, ["hut"], ["hut"], None),
        ({**ASSETS, "scout": "lore"}, ["cart"], ["cart"], None),
    ],
)
async def test_what_has_become_of_another_kind_has_no_place(
    database_dsn: str, becomes: dict[str, str], owned: list[str], ordered: list[str], named: str
) -> None:
    """A unit is no technology, however it is called; a building may become a technology."""
    new = rules(becomes, [name for name in STOCKS if name not in becomes])
    states = [owner(n, *owned, ordered=ordered) for n in (1, 2)]
    said = await refusal(database_dsn, new, {}, *states)
    assert named in said if said is not None else named is None


LODGE: Final = rules(
    {**{n: k for n, k in ASSETS.items() if n not in {"hut", "mill"}}, "lodge": "level"}
)
TO_LODGE: Final = {"hut": "lodge", "mill": "lodge"}


async def test_two_levels_of_an_account_never_become_one(database_dsn: str) -> None:
    """Built or on order; how many have both is said."""
    states = [
        owner(1, "hut", "mill"),
        owner(2, "hut", ordered=["mill"]),
        owner(3, "hut"),
        owner(4, "mill"),
    ]
    said = await refusal(database_dsn, LODGE, TO_LODGE, *states)
    assert said is not None
    assert "hut and mill would become lodge (2)" in said
    assert "world.renamed" in said


async def test_levels_of_two_accounts_may_become_one(database_dsn: str) -> None:
    """Nobody loses anything; of units and resources everything is added up anyway."""
    states = [owner(1, "hut", ordered=["hut"]), owner(2, "mill", "lore")]
    assert await refusal(database_dsn, LODGE, TO_LODGE, *states) is None
    both = owner(3, "scout", "cart", "wood", "gold")
    renamed = {"scout": "cart", "wood": "gold"}
    fewer = rules({n: k for n, k in ASSETS.items() if n != "scout"}, ["gold"])
    assert await refusal(database_dsn, fewer, renamed, both) is None


async def test_each_is_renamed_from_its_own_era_on(database_dsn: str) -> None:
    """Gold of before was wood in between; gold of after the old rules came back is gold."""
    wooden = rules(ASSETS, ["wood"])
    history = [Past(OLD, 0, {}), Past(wooden, 1500, {"gold": "wood"}), Past(OLD, 2500, {})]
    without = rules({**ASSETS, "palace": "level"}, ["wood"])
    before, after = owner(1, "gold"), owner(3, "gold")
    assert await refusal(database_dsn, without, {}, before, history=history) is None
    said = await refusal(database_dsn, without, {}, before, after, history=history)
    assert said is not None
    assert "gold (1)" in said


@st.composite
def changes(draw: st.DrawFn) -> tuple[Ruleset, dict[str, str]]:
    """Draw other rules, with other names and kinds, and a renaming to them."""
    names = [*ASSETS, *STOCKS, "new"]
    kinds = st.sampled_from(["level", "lore", "unit", "stock", "none", "same", "same", "same"])
    drawn = {name: draw(kinds) for name in names}
    before = {**ASSETS, **dict.fromkeys(STOCKS, "stock"), "new": "level"}
    kept = {name: before[name] if kind == "same" else kind for name, kind in drawn.items()}
    assets = {name: kind for name, kind in kept.items() if kind in SECTIONS}
    stocks = [name for name, kind in kept.items() if kind == "stock"]
    renamed = draw(st.dictionaries(st.sampled_from(names), st.sampled_from(names), max_size=3))
    return rules(assets, stocks), renamed


OWNED: Final = st.lists(st.sampled_from([*ASSETS, *STOCKS]), max_size=3)
ORDERED: Final = st.lists(st.sampled_from([*ASSETS]), max_size=1)


@settings(max_examples=60)
@given(changes(), st.lists(st.tuples(OWNED, ORDERED), min_size=1, max_size=3))
def test_what_is_let_in_locks_nobody_out(
    database_dsn: str,
    change: tuple[Ruleset, dict[str, str]],
    accounts: list[tuple[list[str], list[str]]],
) -> None:
    """The start refuses exactly what an account would be refused for."""
    new, renamed = change
    states = [owner(n, *owned, ordered=on) for n, (owned, on) in enumerate(accounts, 1)]
    refused = trio.run(refusal, database_dsn, new, renamed, *states)
    assert (refused is not None) == any(mismatched(each, new, renamed) for each in states)


def mismatched(state: State, new: Ruleset, renamed: Mapping[str, str]) -> bool:
    """Whether the account has no place under these rules, where they are others at all."""
    if new.version == state.ruleset:
        return False
    try:
        resettle(state, OLD, new, state.at_ms, renamed=renamed)
    except RulesetMismatch:
        return True
    return False
