"""What ``holdfast ledger verify`` proves, and finds, on a real PostgreSQL."""

from __future__ import annotations

import random
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import trio
from click.testing import CliRunner, Result

from actors.database.driver import open_database
from actors.inventory.messages import (
    CancelOrder,
    Freeze,
    GetInventory,
    Grant,
    InventoryMessage,
    ListTransfers,
    PlaceOrder,
    ReceiveTransfer,
    SendTransfer,
    TakeBackTransfer,
)
from actors.inventory.ruleset import load_ruleset
from actors.storage.postgres import PostgresEngine
from actors.storage.schema import declared_tables
from app.cli import ledger as command
from app.cli import main
from app.simulation import Setup, play
from app.simulation.stage import Stage, answer_to, open_stage
from bus import ActorStopped
from tests.app.cli.support import CHEAP
from tests.postgres import quiet_log, run_script

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from actors.database.driver import Database
    from actors.database.session import Session
    from tests.postgres import PostgresServer

IDS = {
    name: f"{number:08x}-0000-7000-8000-000000000000"
    for number, name in enumerate(("ann", "ben", "cat", "eve", "zoe"))
}
HOUR_MS = 3_600_000

MAKE_ACCOUNT = """
insert into accounts (account_id, username, username_key, password_hash, created_at)
values ($1, $2, $2, 'none', now())
"""


def make_engine(database: Database) -> PostgresEngine:
    """Return an engine that keeps the rows in a real database."""
    return PostgresEngine(
        database, declared_tables(), read_connections=1, query_timeout_s=10, log=quiet_log()
    )


async def make_accounts(session: Session, accounts: dict[str, str]) -> None:
    """Make accounts: ids by name."""
    for name, account_id in accounts.items():
        await session.execute(MAKE_ACCOUNT, account_id, name)


class World:
    """A small world on a stage, without a courier: transfers go as far as a test says."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.number = 0

    async def do(self, body: InventoryMessage) -> Any:
        """Ask an Inventory."""
        return await answer_to(self.stage.send(body))

    def key(self) -> str:
        """Return a fresh idempotency key."""
        self.number += 1
        return str(self.number)

    async def order(self, name: str, asset: str, count: int | None = None) -> str:
        """Place an order; return its id."""
        placed = await self.do(PlaceOrder(IDS[name], asset, count, self.key(), b""))
        order_id: str = placed.order.id
        return order_id

    async def grant(self, name: str, **changes: int) -> None:
        """Grant assets."""
        await self.do(Grant(IDS[name], changes, "test", "tester", self.key(), b""))

    async def send(self, sender: str, receiver: str, **resources: int) -> Any:
        """Send a transfer that stays in transit; return its record."""
        with suppress(ActorStopped):
            await self.do(
                SendTransfer(
                    IDS[sender], sender, IDS[receiver], receiver, resources, "", self.key(), b""
                )
            )
        [latest] = (await self.do(ListTransfers(IDS[sender], 1))).transfers
        return latest

    async def deliver(self, sender: str, receiver: str, **resources: int) -> None:
        """Send a transfer and let it arrive."""
        transfer = await self.send(sender, receiver, **resources)
        await self.do(ReceiveTransfer(transfer.receiver_id, transfer))


async def live(world: World) -> None:
    """Do a bit of everything that a ledger can record."""
    for name in ("ann", "ben", "cat", "eve"):
        await world.do(GetInventory(IDS[name]))
        await world.order(name, "cottage")
    world.stage.jump(HOUR_MS // 60)
    await world.order("ann", "woodcutter")
    await world.grant("ann", wood=2_000, stone=500, gold=300, market=1)
    cancelled = await world.order("ann", "quarry")
    await world.do(CancelOrder(IDS["ann"], cancelled))
    await world.order("ann", "scout", 20)
    await world.deliver("ann", "ben", wood=700, gold=5)
    await world.deliver("eve", "ann", wood=3)
    await world.deliver("ann", "eve", wood=10)
    await world.send("eve", "ben", stone=1)
    await world.send("ann", "cat", wood=50)
    returned = await world.send("ben", "ann", wood=20)
    await world.do(TakeBackTransfer(IDS["ben"], returned))
    world.stage.jump(HOUR_MS)
    await world.order("ben", "woodcutter")
    await world.grant("ann", scout=-3)
    await world.do(Freeze(IDS["cat"]))


async def make_world(dsn: str) -> None:
    """Make the world that the tests inspect; Eve is erased at the end, Zoe never begins."""
    async with open_database(dsn, log=quiet_log()) as database:
        connection = await database.connect(name="test")
        await connection.run(lambda session: make_accounts(session, IDS))
        async with open_stage(
            load_ruleset("tutorial"),
            make_engine(database),
            accounts=10,
            rng=random.Random(1),
            log=quiet_log(),
        ) as stage:
            await live(World(stage))
        await connection.run(
            lambda session: session.execute("delete from accounts where username = 'eve'")
        )


@pytest.fixture(scope="module")
def world_dsn(postgres: PostgresServer) -> str:
    """Make the world once."""
    dsn = postgres.create_database()
    trio.run(make_world, dsn)
    tamper(dsn, KEEP)
    return dsn


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Work in an empty folder, with small pages."""
    monkeypatch.chdir(tmp_path)
    for name, value in CHEAP.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(command, "ACCOUNTS_PAGE", 2)
    monkeypatch.setattr(command, "ENTRIES_PAGE", 3)
    return monkeypatch


KEEP = """
create table kept_ledger as table ledger;
create table kept_inventories as table inventories;
create table kept_transfers as table transfers;
"""

RESTORE = """
truncate ledger, inventories, transfers;
insert into ledger table kept_ledger;
insert into inventories table kept_inventories;
insert into transfers table kept_transfers;
"""


@pytest.fixture
def fragile_dsn(world_dsn: str, settings: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the DSN of the world for a test that tampers with it."""
    settings.setenv("HOLDFAST_DATABASE__DSN", world_dsn)
    yield world_dsn
    tamper(world_dsn, RESTORE)


def verify(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["ledger", "verify", *arguments])


def tamper(dsn: str, sql: str) -> None:
    """Change the tables behind the server's back; ``:ann`` stands for her id."""
    for name, account_id in IDS.items():
        sql = sql.replace(f":{name}", f"'{account_id}'")

    async def script(session: Session) -> str:
        return await session.execute(sql)

    trio.run(run_script, dsn, script)


def test_verify_proves_a_played_world(world_dsn: str, settings: pytest.MonkeyPatch) -> None:
    """Orders, cancels, units, grants, transfers of every fate, an erased account: all agrees."""
    settings.setenv("HOLDFAST_DATABASE__DSN", world_dsn)
    result = verify()
    assert result.exit_code == 0, result.output
    assert "3 inventories are what" in result.output
    rows = {line.split()[0]: line.split()[1:] for line in result.output.splitlines()[:4]}
    sources, sinks, held, on_the_way = (int(text.replace(",", "")) for text in rows["wood"])
    assert sources - sinks == held + on_the_way
    assert on_the_way == 50
    assert rows["stone"][3] == "1"


def test_verify_shows_its_progress_on_a_terminal(
    world_dsn: str, settings: pytest.MonkeyPatch
) -> None:
    """It shows on standard error how many accounts are done, and of how many."""
    settings.setenv("HOLDFAST_DATABASE__DSN", world_dsn)
    settings.setenv("FORCE_COLOR", "1")
    settings.setenv("TERM", "xterm")
    assert "3/3" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", verify().stderr)


@pytest.mark.parametrize("account", ["ann", "ANN", IDS["ann"]])
def test_verify_proves_one_account(
    world_dsn: str, settings: pytest.MonkeyPatch, account: str
) -> None:
    """The account is named in any spelling, or by its id."""
    settings.setenv("HOLDFAST_DATABASE__DSN", world_dsn)
    result = verify("--account", account)
    assert result.exit_code == 0, result.output
    assert "1 inventory is what" in result.output


def test_verify_takes_an_account_that_has_not_begun(
    world_dsn: str, settings: pytest.MonkeyPatch
) -> None:
    """With no inventory and no ledger, nothing can differ."""
    settings.setenv("HOLDFAST_DATABASE__DSN", world_dsn)
    assert "0 inventories are what 0" in verify("--account", "zoe").output


@pytest.mark.parametrize("account", ["nobody", "x", IDS["ann"][:-1] + "f", "-" * 36])
def test_verify_refuses_an_account_that_is_not_there(
    world_dsn: str, settings: pytest.MonkeyPatch, account: str
) -> None:
    """The refusal is one line that names it."""
    settings.setenv("HOLDFAST_DATABASE__DSN", world_dsn)
    result = verify("--account", account)
    assert result.exit_code == 1
    assert result.stderr == f"holdfast: there is no account {account!r}\n"


LEDGER_ANN = (
    "update ledger set changes = jsonb_set(changes, '{wood,%s}', '%s') "
    "where account_id = :ann and seq = 2"
)
STATE_ANN = "update inventories set state = jsonb_set(state, '%s', '%s') where account_id = :ann"
DELETE_SENT = "delete from transfers where sender_name = 'ann' and state = 'sent'"
UPDATE_SENT = "update transfers set %s = '%s' where sender_name = 'ann' and state = 'sent'"
GONE = "transfer-sent, but the transfer is not on record"


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        (LEDGER_ANN % (0, 7), (":ann", "entry 2", "asset wood", "expected 127, found 80")),
        (LEDGER_ANN % (1, 81), (":ann", "entry 2", "asset wood", "expected 80, found 81")),
        (
            "delete from ledger where account_id = :ben and seq = 3",
            (":ben", "entry 3", "expected 3, found 4"),
        ),
        (
            "delete from ledger where account_id = :ben and cause = 'order-started' and seq > 9",
            (":ben", "the ledger does not end where"),
        ),
        (STATE_ANN % ("{amounts,gold,0}", 999_999), (":ann", "asset gold", "found 999999")),
        (STATE_ANN % ("{levels,cottage}", 9), (":ann", "asset cottage", "expected 1, found 9")),
        (STATE_ANN % ("{units,scout}", 99), (":ann", "asset scout", "expected 17, found 99")),
        (STATE_ANN % ("{held}", '{"wood": [1, 0]}'), (":ann", "asset held:wood", "found 1")),
        (STATE_ANN % ("{amounts}", "[]"), (":ann", "its inventory cannot be read")),
        (
            "update inventories set ledger_seq = 1 where account_id = :ann",
            (":ann", "expected 1, found"),
        ),
        (DELETE_SENT, (":ann", GONE)),
        (
            "delete from transfers where state = 'delivered' and receiver_name = 'ben'",
            (":ann", GONE),
        ),
        (
            UPDATE_SENT % ("resources", '{"wood": 49}'),
            (":ann", "asset wood", "expected -49, found -50"),
        ),
        (UPDATE_SENT % ("state", "delivered"), ("world, asset wood", "expected")),
        (
            "delete from inventories where account_id = :ben",
            (":ben", "entry 1", "a ledger without an inventory"),
        ),
        (
            "update ledger set cause = 'miracle' where account_id = :ann and seq = 2",
            (":ann", "entry 2", "found miracle"),
        ),
    ],
)
def test_verify_names_what_was_tampered_with(
    fragile_dsn: str, sql: str, named: tuple[str, ...]
) -> None:
    """Account, entry, asset, expected and actual value, in one line; status 1."""
    tamper(fragile_dsn, sql)
    result = verify()
    assert result.exit_code == 1
    assert result.stderr.startswith("holdfast: ")
    assert result.stderr.count("\n") == 1
    for part in named:
        assert IDS.get(part.removeprefix(":"), part) in result.stderr


def test_verify_of_one_account_finds_its_difference(fragile_dsn: str) -> None:
    """It ignores those of other accounts."""
    tamper(fragile_dsn, "delete from ledger where account_id = :ann and seq = 2")
    assert verify("--account", "ben").exit_code == 0
    result = verify("--account", "ann")
    assert result.exit_code == 1
    assert IDS["ann"] in result.stderr


async def test_verify_proves_a_world_that_goes_on(postgres: PostgresServer) -> None:
    """Commits during the proof do not move its snapshot: no proof ever finds a difference."""
    dsn = await postgres.create_database_async()
    async with open_database(dsn, log=quiet_log()) as database:
        connection = await database.connect(name="test")
        setup = Setup(6, 0.5, "greedy", 1, visits_per_day=24, samples=2)
        ids = {f"bot{n}": f"{n:08x}-0000-7000-8000-000000000000" for n in range(6)}
        await connection.run(lambda session: make_accounts(session, ids))
        entries: list[int] = []
        async with trio.open_nursery() as nursery:

            async def verify_again_and_again() -> None:
                while True:
                    proof, _ = await command.prove(connection, None, lambda _done, _total: None)
                    entries.append(proof.entries)

            nursery.start_soon(verify_again_and_again)
            await play(
                load_ruleset("tutorial"), setup, log=quiet_log(), engine=make_engine(database)
            )
            nursery.cancel_scope.cancel()
        assert len(entries) > 3
        assert entries == sorted(entries)
        assert entries[-1] > entries[0]
