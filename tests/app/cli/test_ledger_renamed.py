"""What ``holdfast ledger verify`` makes of goods in transit while the rules change."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from actors.database.driver import open_database
from actors.inventory import Rulebook
from actors.inventory.messages import GetInventory, ReceiveTransfer, TakeBackTransfer
from app.simulation import stage
from tests.actors.inventory.world import TOWN, ruleset
from tests.app.cli.support import CHEAP
from tests.app.cli.test_ledger import IDS, World, make_accounts, make_engine, verify
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

    import pytest

    from actors.database.driver import Database
    from actors.inventory.ruleset import Ruleset
    from tests.postgres import PostgresServer


def with_coins(rules: Ruleset, renamed: Mapping[str, str]) -> Rulebook:
    """Return the rulebook of a world in which gold has become coins."""
    return Rulebook(rules, {**renamed, "gold": "coin"})


@asynccontextmanager
async def a_world(database: Database, rules: Ruleset) -> AsyncGenerator[World]:
    """Run the world under these rules; transfers in transit stay there."""
    async with stage.open_stage(
        rules, make_engine(database), accounts=10, rng=random.Random(1), log=quiet_log()
    ) as opened:
        yield World(opened)


async def change_rules_while_goods_are_on_their_way(dsn: str) -> None:
    """One transfer arrives under the new rules, one goes back, and one stays in transit."""
    async with open_database(dsn, log=quiet_log()) as database:
        connection = await database.connect(name="test")
        await connection.run(lambda session: make_accounts(session, IDS))
        async with a_world(database, ruleset(TOWN)) as world:
            for name in ("ann", "ben", "cat"):
                await world.do(GetInventory(IDS[name]))
            arriving = await world.send("ann", "ben", gold=20, wood=5)
            returning = await world.send("ben", "ann", gold=3)
            await world.send("ann", "ben", gold=1)
        async with a_world(database, ruleset(TOWN.replace("gold", "coin"))) as world:
            await world.do(ReceiveTransfer(IDS["ben"], arriving))
            await world.do(TakeBackTransfer(IDS["ben"], returning))


def test_verify_takes_goods_that_arrive_by_other_names(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cat has not been loaded since and still has gold; Ann and Ben have coins."""
    dsn = postgres.create_database()
    monkeypatch.setattr(stage, "Rulebook", with_coins)
    trio.run(change_rules_while_goods_are_on_their_way, dsn)
    monkeypatch.chdir(tmp_path)
    for name, value in {**CHEAP, "HOLDFAST_DATABASE__DSN": dsn}.items():
        monkeypatch.setenv(name, value)
    result = verify()
    assert result.exit_code == 0, result.output
    rows = {line.split()[0]: line.split()[1:] for line in result.output.splitlines()[:4]}
    # Ann is not loaded under the new rules: her 29 gold are still gold.
    assert rows["coin"] == ["70", "0", "70", "0"]
    assert rows["gold"] == ["150", "70", "79", "1"]
