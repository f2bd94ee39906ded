"""``holdfast prune``: remove old records, so that a database does not grow for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from actors.storage import pruning
from app.cli.database import operator_connection, place
from app.cli.failures import expected_failures
from app.cli.interrupts import run_interruptible
from app.cli.options import config_option, read_config
from app.cli.progress import working

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from actors.storage.pruning import Prunable
    from app.cli.progress import Progress
    from app.config import Config

_DAYS = click.IntRange(min=1, max=100_000)


@click.command()
@click.option(
    "--keys", type=_DAYS, metavar="DAYS", help="Remove keys first used more than DAYS days ago."
)
@click.option(
    "--orders",
    type=_DAYS,
    metavar="DAYS",
    help="Remove orders finished more than DAYS days ago, and cancelled ones placed before that.",
)
@click.option("--dry-run", is_flag=True, help="Only count them; change nothing.")
@config_option
def prune(keys: int | None, orders: int | None, config_file: Path | None, *, dry_run: bool) -> None:
    """Remove old idempotency keys and finished orders, for good.

    Days are counted on the world's clock, which stands still while no server runs. A command sent
    again with a removed key takes effect again: keep keys for longer than any client would wait
    before sending again. Removed orders are no longer shown; what they cost and brought stays in
    the ledger, which is never shortened.

    Works beside a running server, in small batches; Ctrl-C leaves what is not yet removed.
    PostgreSQL reuses the space.
    """
    wanted = [(pruning.KEYS, "idempotency key", keys), (pruning.ORDERS, "order", orders)]
    chosen = [(what, name, days) for what, name, days in wanted if days is not None]
    if not chosen:
        raise click.UsageError("say what to remove: --keys DAYS, --orders DAYS, or both")
    with expected_failures():
        config = read_config(config_file)
        with working("counting" if dry_run else "removing") as progress:
            run_interruptible(lambda: _prune(config, chosen, progress, remove=not dry_run))


async def _prune(
    config: Config,
    chosen: Sequence[tuple[Prunable, str, int]],
    progress: Progress,
    *,
    remove: bool,
) -> None:
    told: list[str] = []
    async with operator_connection(config) as connection:
        for what, name, days in chosen:

            def on_piece(done: int, of: int, name: str = name) -> None:
                progress.step(f"{name}s, {done * 100 // of} %")

            found = await pruning.prune(connection, what, days, remove=remove, on_piece=on_piece)
            told.append(f"{_several(found, name)} more than {_several(days, 'day')} old")
    verb = "removed" if remove else "found"
    progress.tell_done(f"{verb} {' and '.join(told)}, in the {place(config)}")


def _several(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"
