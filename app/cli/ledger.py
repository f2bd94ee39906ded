"""``holdfast ledger``: prove that the books of a world are right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from actors.authx import account_store
from actors.authx.errors import InvalidUsername, UnknownAccount
from actors.authx.usernames import parse_username
from actors.inventory.eras import Era
from actors.inventory.proof import LedgerDiffers, Proof
from actors.storage.snapshot import LAST_ID, NIL_ID, open_snapshot
from app.cli.database import operator_connection, place
from app.cli.failures import Failure, expected_failures
from app.cli.interrupts import run_interruptible
from app.cli.options import config_option, read_config

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from actors.database.driver import Connection
    from actors.inventory.proof import Totals
    from actors.storage.snapshot import Snapshot
    from app.config import Config

ACCOUNTS_PAGE: Final = 256
ENTRIES_PAGE: Final = 5_000

_SEQ_MAX: Final = 2**63 - 1
_ID_LENGTH: Final = 36


@click.group()
def ledger() -> None:
    """Inspect the ledger, which records every change of every asset."""


@ledger.command()
@click.option("--account", "wanted", metavar="NAME_OR_ID", help="Verify one account only.")
@config_option
def verify(wanted: str | None, config_file: Path | None) -> None:
    """Prove that every inventory is what its ledger adds up to.

    For each account: the ledger has no gap, each balance follows from the one before, and the
    last balances are those of the inventory. For the world: sources minus sinks equal what
    accounts hold plus what is in transit between them. Works beside a running server, on the
    world as of one moment, and changes nothing.

    Exit status: 0 when everything matches, 1 at the first difference, which is reported.
    """
    with expected_failures(LedgerDiffers):
        config = read_config(config_file)
        proof, totals = _prove(config, wanted)
    _report(proof, totals, place(config))


def _prove(config: Config, wanted: str | None) -> tuple[Proof, list[Totals]]:
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("reaching the database", total=None)

        def on_progress(accounts: int, total: int) -> None:
            progress.update(task, description="accounts", completed=accounts, total=total)

        async def connected() -> tuple[Proof, list[Totals]]:
            async with operator_connection(config) as connection:
                account_id = None if wanted is None else await _account_id(connection, wanted)
                return await prove(connection, account_id, on_progress)

        return run_interruptible(connected)


async def _account_id(connection: Connection, name_or_id: str) -> str:
    """Find an account by its name, or by its id, which is longer than any name."""
    try:
        if len(name_or_id) == _ID_LENGTH:
            script = account_store.get_account(str(UUID(name_or_id)))
        else:
            script = account_store.find_account(parse_username(name_or_id).key)
        return (await connection.run(script)).account_id
    except (UnknownAccount, InvalidUsername, ValueError):
        raise Failure(f"there is no account {name_or_id!r}") from None


async def prove(
    connection: Connection,
    account_id: str | None,
    on_progress: Callable[[int, int], None],
) -> tuple[Proof, list[Totals]]:
    """Prove one account, or all of them and the world; return the proof and the world's totals.

    ``on_progress`` is called with how many accounts are done, and of how many.

    Raises:
        LedgerDiffers: at the first difference.
        DatabaseError: the database is unavailable or fails.
    """
    async with open_snapshot(connection) as snapshot:
        proof = Proof([Era.of(row) for row in await snapshot.history()])
        if account_id is not None:
            await _prove_account(snapshot, proof, account_id)
            on_progress(1, 1)
            return proof, []
        total = await snapshot.count()
        await _prove_accounts(snapshot, proof, lambda: on_progress(proof.accounts, total))
        await _count_transfers(snapshot, proof)
        return proof, proof.world()


async def _prove_account(snapshot: Snapshot, proof: Proof, account_id: str) -> None:
    proof.begin(await snapshot.inventory(account_id))
    await _replay(snapshot, proof, (account_id, 0), account_id)
    proof.close()


async def _prove_accounts(snapshot: Snapshot, proof: Proof, on_page: Callable[[], None]) -> None:
    after: str | None = NIL_ID
    while after is not None:
        page = await snapshot.inventories(after, ACCOUNTS_PAGE)
        # The last page reaches to the end, so that no ledger is left out.
        last = page[-1]["account_id"] if len(page) == ACCOUNTS_PAGE else None
        proof.begin(page)
        await _replay(snapshot, proof, (after, _SEQ_MAX), last or LAST_ID)
        proof.close()
        on_page()
        after = last


async def _replay(snapshot: Snapshot, proof: Proof, after: tuple[str, int], upto: str) -> None:
    while True:
        entries = await snapshot.entries(after, upto, ENTRIES_PAGE)
        proof.enter(entries)
        if len(entries) < ENTRIES_PAGE:
            return
        after = entries[-1]["account_id"], entries[-1]["seq"]


async def _count_transfers(snapshot: Snapshot, proof: Proof) -> None:
    after = NIL_ID
    while True:
        transfers = await snapshot.transfers(after, ENTRIES_PAGE)
        proof.count_transfers(transfers)
        if len(transfers) < ENTRIES_PAGE:
            return
        after = transfers[-1]["transfer_id"]


def _report(proof: Proof, totals: Sequence[Totals], where: str) -> None:
    if totals:
        table = Table("resource", box=None)
        for heading in ("sources", "sinks", "held", "on the way"):
            table.add_column(heading, justify="right")
        for each in totals:
            numbers = (each.sources, each.sinks, each.holdings, each.on_the_way)
            table.add_row(escape(each.name), *[f"{number:,}" for number in numbers])
        Console(highlight=False).print(table)
    accounts = f"{proof.accounts:,} {'inventory is' if proof.accounts == 1 else 'inventories are'}"
    entries = f"{proof.entries:,} ledger {'entry comes' if proof.entries == 1 else 'entries come'}"
    click.echo(f"{accounts} what {entries} to, in the {where}")
