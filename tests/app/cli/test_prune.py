"""What ``holdfast prune`` promises: it keeps what it must, and reports what it removed."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio
from click.testing import CliRunner, Result

from actors.database.driver import open_database
from actors.inventory.messages import Freeze, Grant, PlaceOrder
from actors.inventory.ruleset import load_ruleset
from actors.storage.postgres import PostgresEngine
from actors.storage.pruning import DAY_MS
from actors.storage.schema import declared_tables
from app.cli import main
from app.simulation.stage import answer_to, open_stage
from tests.app.cli.support import CHEAP
from tests.postgres import quiet_log, run_script

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from actors.database.session import Session
    from app.simulation.stage import Stage
    from tests.postgres import PostgresServer

ANN: Final = "00000001-0000-7000-8000-000000000000"
MAKE_ANN: Final = """
insert into accounts (account_id, username, username_key, password_hash, created_at)
values ($1, 'ann', 'ann', 'none', now())
"""
SET_CLOCK: Final = """
insert into world (name, world_id, tick, now_ms, ruleset, version)
values ('w', gen_random_uuid(), 1, $1::bigint, 'r', 1)
"""
NOW_MS: Final = 50 * DAY_MS


@asynccontextmanager
async def stage_at(dsn: str, now_ms: int) -> AsyncGenerator[Stage]:
    """Run Ann's world, which remembers only what is stored."""
    async with open_database(dsn, log=quiet_log()) as database:
        engine = PostgresEngine(
            database, declared_tables(), read_connections=1, query_timeout_s=10, log=quiet_log()
        )
        async with open_stage(
            load_ruleset("tutorial"), engine, accounts=2, rng=random.Random(1), log=quiet_log()
        ) as stage:
            stage.jump(now_ms)
            yield stage


async def order(stage: Stage, key: str, asset: str) -> Any:
    """Place an order for Ann; return what was placed."""
    return await answer_to(stage.send(PlaceOrder(ANN, asset, None, key, b"")))


async def make_world(dsn: str) -> None:
    """Place one order for Ann long ago, and another just now."""

    async def ann(session: Session) -> None:
        await session.execute(MAKE_ANN, ANN)
        await session.execute(SET_CLOCK, NOW_MS)

    await run_script(dsn, ann)
    async with stage_at(dsn, 0) as stage:
        await order(stage, "old", "cottage")
        stage.jump(NOW_MS)
        await order(stage, "young", "woodcutter")


@pytest.fixture
def dsn(postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the DSN of a world of fifty days, with its settings in place."""
    dsn = postgres.create_database()
    trio.run(make_world, dsn)
    monkeypatch.chdir(tmp_path)
    for name, value in {**CHEAP, "HOLDFAST_DATABASE__DSN": dsn}.items():
        monkeypatch.setenv(name, value)
    return dsn


def prune(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["prune", *arguments])


async def counted(dsn: str) -> tuple[int, int]:
    """Count the stored keys and orders."""

    async def script(session: Session) -> tuple[int, int]:
        sql = "select (select count(*) from idempotency), (select count(*) from orders)"
        [row] = await session.fetch(sql)
        return row[0], row[1]

    return await run_script(dsn, script)


def test_what_is_old_goes_and_the_rest_holds(dsn: str) -> None:
    """A young key gives its first answer, an old one is a new command; the ledger is right."""
    result = prune("--keys", "30", "--orders", "30")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(
        "removed 1 idempotency key more than 30 days old and 1 order more than 30 days old,"
    )
    assert trio.run(counted, dsn) == (1, 1)

    async def again() -> tuple[Any, Any]:
        async with stage_at(dsn, NOW_MS + 3_600_000) as stage:
            young = await order(stage, "young", "woodcutter")
            return young, await order(stage, "old", "cottage")

    young, old = trio.run(again)
    assert (young.replayed, young.order.level) == (True, 1)
    assert (old.replayed, old.order.level) == (False, 2)
    assert CliRunner().invoke(main, ["ledger", "verify"]).exit_code == 0


def test_a_grant_to_an_account_that_stands_still_is_as_young_as_it_is(dsn: str) -> None:
    """Its key stays: it dates from the grant, not from the suspension long ago."""
    grant = Grant(ANN, {"wood": 5}, "a gift", "operator", "gift", b"f")

    async def granted() -> Any:
        async with stage_at(dsn, NOW_MS) as stage:
            await answer_to(stage.send(Freeze(ANN)))
        async with stage_at(dsn, NOW_MS + 40 * DAY_MS) as stage:
            return await answer_to(stage.send(grant))

    async def move_on(session: Session) -> None:
        await session.execute("update world set now_ms = now_ms + $1", 40 * DAY_MS)

    async def used(session: Session) -> Any:
        return await session.fetchval("select at_ms from idempotency where key = 'gift'")

    trio.run(granted)
    assert trio.run(run_script, dsn, used) == NOW_MS + 40 * DAY_MS
    trio.run(run_script, dsn, move_on)
    assert prune("--keys", "30").exit_code == 0
    assert trio.run(counted, dsn) == (1, 2)
    assert trio.run(granted).replayed


def test_each_of_both_goes_alone(dsn: str) -> None:
    """Whatever is not named stays."""
    assert "removed 1 order more than 1 day old, in" in prune("--orders", "1").stdout
    assert trio.run(counted, dsn) == (2, 1)
    assert "removed 1 idempotency key more than 49 days old, in" in prune("--keys", "49").stdout
    assert trio.run(counted, dsn) == (1, 1)


def test_a_dry_run_counts(dsn: str) -> None:
    """It counts what there is, and removes nothing."""
    result = prune("--keys", "30", "--dry-run")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("found 1 idempotency key more than 30 days old, in")
    assert trio.run(counted, dsn) == (2, 2)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "say what to remove: --keys DAYS, --orders DAYS, or both"),
        (("--keys", "0"), "0 is not in the range 1<=x<=100000"),
        (("--orders", "-1"), "-1 is not in the range"),
        (("--keys", "x"), "'x' is not a valid integer"),
    ],
)
def test_wrong_usage_is_told(arguments: tuple[str, ...], complaint: str) -> None:
    """Status 2, before anything is read."""
    result = prune(*arguments)
    assert result.exit_code == 2
    assert complaint in result.stderr
