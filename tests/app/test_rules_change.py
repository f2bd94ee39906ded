"""Which rule changes a start allows: those under which every account has its place."""

from __future__ import annotations

from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import LogCapture

from actors.database.driver import open_database
from actors.inventory.engine import Order, State, encode_state, resettle
from actors.inventory.engine.grains import GRAINS_PER_UNIT
from actors.inventory.engine.pending import Pending
from actors.inventory.engine.state import flows_of
from actors.inventory.errors import RulesetMismatch
from app.renaming import judge
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
DAY_MS: Final = 86_400_000
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


def rules(
    assets: Mapping[str, str],
    stocks: Sequence[str] = STOCKS,
    *,
    base_per_hour: Mapping[str, int] = NOTHING,
    produces: Mapping[str, Mapping[str, int]] = NOTHING,
) -> Ruleset:
    """Make rules with these assets, each of its kind, and these resources."""
    text = '[queues.site]\n[defaults.buildings]\nqueue = "site"\n'
    text += '[defaults.technologies]\nqueue = "site"\n[defaults.units]\nqueue = "site"\n'
    text += "[resources.air]\n"
    for name in stocks:
        text += f"[resources.{name}]\nbase_per_hour = {base_per_hour.get(name, 0)}\n"
    for name, kind in assets.items():
        text += f"[{SECTIONS[kind]}.{name}]\ncost = {{air = 1}}\nduration = 1\n"
        for resource, amount in produces.get(name, {}).items():
            text += f"produces.{resource} = {amount}\n"
    return ruleset(text)


OLD: Final = rules(ASSETS)


def owner(number: int, *owned: str, ordered: Sequence[str] = (), under: Ruleset = OLD) -> State:
    """Make the state of an account that has one of each, and some orders costing one wood each."""
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
    """Make a queued order."""
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
    """A past era: its rules, its beginning, and what was renamed."""

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
            "insert into ruleset_archive values ($1, '', $2) on conflict do nothing",
            *(version, past.rules.archive),
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
    log: LogCapture | None = None,
) -> str | None:
    """Return why the start refuses these rules, or None if it allows them."""
    async with connected(dsn) as connection:
        await connection.run(lambda session: store(session, history, states))
        try:
            await check_rules_change(connection, new, renamed, log=quiet_log(log))
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
    """A unit is not a technology, whatever its name; a building may become a technology."""
    new = rules(becomes, [name for name in STOCKS if name not in becomes])
    states = [owner(n, *owned, ordered=ordered) for n in (1, 2)]
    said = await refusal(database_dsn, new, {}, *states)
    assert named in said if said is not None else named is None


LODGE: Final = rules(
    {**{n: k for n, k in ASSETS.items() if n not in {"hut", "mill"}}, "lodge": "level"}
)
TO_LODGE: Final = {"hut": "lodge", "mill": "lodge"}


async def test_change_is_logged_before_all_accounts_are_read(database_dsn: str) -> None:
    """That takes a minute in a large world; the same rules as before need no look."""
    log = LogCapture()
    new = rules({**ASSETS, "inn": "level"})
    assert await refusal(database_dsn, OLD, {}, log=log) is None
    assert log.entries == []
    assert await refusal(database_dsn, new, {}, log=log) is None
    assert [each["event"] for each in log.entries] == ["ruleset_change_checking"]


async def test_new_name_that_the_rules_do_not_have_is_told_by_the_old_one(
    database_dsn: str,
) -> None:
    """Nobody owns a mistyped new name; the refusal gives the old one, which they own."""
    without = rules({name: kind for name, kind in ASSETS.items() if name != "hut"})
    said = await refusal(database_dsn, without, {"hut": "loge"}, owner(1, "hut"))
    assert said is not None
    assert "loge (1), as world.renamed calls hut; " in said
    assert 'renamed = "hut=<its new name>"' in said


async def test_two_levels_of_an_account_never_become_one(database_dsn: str) -> None:
    """Built or on order; the refusal says how many have both."""
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
    """Nobody loses anything; units and resources are added up anyway."""
    states = [owner(1, "hut", ordered=["hut"]), owner(2, "mill", "lore")]
    assert await refusal(database_dsn, LODGE, TO_LODGE, *states) is None
    both = owner(3, "scout", "cart", "wood", "gold")
    renamed = {"scout": "cart", "wood": "gold"}
    fewer = rules({n: k for n, k in ASSETS.items() if n != "scout"}, ["gold"])
    assert await refusal(database_dsn, fewer, renamed, both) is None


async def test_each_is_renamed_from_its_own_era_on(database_dsn: str) -> None:
    """Earlier gold was wood in between; gold from after the old rules returned is gold."""
    wooden = rules(ASSETS, ["wood"])
    history = [Past(OLD, 0, {}), Past(wooden, 1500, {"gold": "wood"}), Past(OLD, 2500, {})]
    without = rules({**ASSETS, "palace": "level"}, ["wood"])
    before, after = owner(1, "gold"), owner(3, "gold")
    assert await refusal(database_dsn, without, {}, before, history=history) is None
    said = await refusal(database_dsn, without, {}, before, after, history=history)
    assert said is not None
    assert "gold (1)" in said


async def test_entry_that_was_carried_out_before_is_named_where_it_gives_no_place(
    database_dsn: str,
) -> None:
    """Gold that came again after the entry was applied needs another entry, or stays."""
    wooden = rules(ASSETS, ["wood"])
    history = [Past(OLD, 0, {}), Past(wooden, 1500, {"gold": "wood"}), Past(OLD, 2500, {})]
    new = rules({**ASSETS, "palace": "level"}, ["wood"])
    asked = {"gold": "wood"}
    said = await refusal(database_dsn, new, asked, owner(3, "gold"), history=history)
    assert said is not None
    assert "gold (1), which gold=wood renamed before; map each to a new name" in said


WITHOUT_GOLD: Final = rules(ASSETS, ["wood"])
RICH: Final = rules(ASSETS, base_per_hour={"gold": 1})
MILLING: Final = rules(ASSETS, produces={"mill": {"gold": 1}})


async def test_what_is_produced_counts_though_nobody_has_it_yet(database_dsn: str) -> None:
    """By income for all, by a building for its owners, built or on order; else for nobody."""
    states = [
        owner(1, under=RICH),
        owner(2, under=MILLING),
        owner(3, "mill", under=MILLING),
        owner(4, ordered=["mill"], under=MILLING),
    ]
    for rich, who, count in ((RICH, states[:1], 1), (MILLING, states[1:], 2)):
        said = await refusal(database_dsn, WITHOUT_GOLD, {}, *who, history=[Past(rich, 0, {})])
        assert said is not None
        assert f"gold ({count})" in said
    milling = [Past(MILLING, 0, {})]
    new = WITHOUT_GOLD
    assert await refusal(database_dsn, new, {}, states[1], history=milling) is None
    renamed = {"gold": "wood"}
    assert await refusal(database_dsn, new, renamed, *states[2:], history=milling) is None


async def test_what_was_produced_in_between_counts_for_who_stayed_away(database_dsn: str) -> None:
    """Under rules that came and went since: by their own names."""
    history = [
        Past(OLD, 0, {}),
        Past(rules({"dam": "level"}, produces={"dam": {"gold": 1}}), 5000, {"mill": "dam"}),
    ]
    without = rules({"dam": "level"}, ["wood"])
    said = await refusal(database_dsn, without, {}, owner(1, "mill"), history=history)
    assert said is not None
    assert "gold (1)" in said
    assert await refusal(database_dsn, without, {}, owner(1), history=history) is None
    late = owner(6, under=history[1].rules)
    assert await refusal(database_dsn, without, {}, late, history=history) is None


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


@settings(max_examples=80)
@given(
    st.sampled_from([OLD, OLD, RICH, MILLING]),
    changes(),
    st.lists(st.tuples(OWNED, ORDERED), min_size=1, max_size=3),
)
def test_what_is_let_in_locks_nobody_out(
    database_dsn: str,
    old: Ruleset,
    change: tuple[Ruleset, dict[str, str]],
    accounts: list[tuple[list[str], list[str]]],
) -> None:
    """If nothing is produced, the start refuses exactly what would be refused for an account.

    Pending orders may produce after the rules change: if they would, more is refused. So is
    a nonsensical renaming, whatever is owned.
    """
    new, renamed = change
    renaming = judge(renamed, [{}], old, new)
    unsound = bool(renaming.standing or renaming.unknown) and new.version != old.version
    states = [owner(n, *had, ordered=on, under=old) for n, (had, on) in enumerate(accounts, 1)]
    history = [Past(old, 0, {})]
    refused = trio.run(lambda: refusal(database_dsn, new, renamed, *states, history=history))
    locked_out = any(mismatched(each, old, new, renamed) for each in states)
    assert (locked_out or unsound) <= (refused is not None)
    if old is not MILLING:
        assert (locked_out or unsound) == (refused is not None)


def mismatched(state: State, old: Ruleset, new: Ruleset, renamed: Mapping[str, str]) -> bool:
    """Whether an account has no place under these rules a day later, if they have changed."""
    if new.version == old.version:
        return False
    try:
        resettle(state, old, new, state.at_ms + DAY_MS, renamed=renamed)
    except RulesetMismatch:
        return True
    return False
