"""The command ``holdfast demo``."""

from __future__ import annotations

import ssl
from pathlib import Path

import click
from rich.console import Console

from app.cli.demo.promises import BrokenPromise, kept_promises
from app.cli.demo.show import Narrator
from app.cli.demo.story import Story
from app.cli.failures import Failure, expected_failures
from app.cli.interrupts import run_interruptible
from app.cli.options import Decimals
from holdfast_client import Client, RetryPolicy

TIMEOUT_S = 15.0


@click.command()
@click.option(
    "--url", default="http://127.0.0.1:8470", show_default=True, help="URL of the server."
)
@click.option(
    "--patience",
    "patience_s",
    type=Decimals(min=0, min_open=True),
    default=180.0,
    show_default=True,
    help="Longest wait for an order, in seconds; the demo does not wait for one that takes longer.",
)
@click.option(
    "--cacert",
    "authority",
    type=click.Path(path_type=Path, dir_okay=False),
    help="For https://: the certificate authority to trust, as PEM.",
)
def demo(url: str, patience_s: float, authority: Path | None) -> None:
    """Play against a running server, as a client would.

    Creates two accounts, orders, waits, cancels, tries what must be refused, and checks that each
    ledger replays to what is owned. Anything not as promised ends it with one line and status 1.
    """
    narrator = Narrator(Console())
    with expected_failures():
        try:
            tls = None if authority is None else trusting(authority)
            run_interruptible(lambda: play(url, narrator, patience_s, tls))
        except BrokenPromise as error:
            raise Failure(str(error)) from error


def trusting(authority: Path) -> ssl.SSLContext:
    """Trust only certificates that this authority has signed.

    Raises:
        BrokenPromise: the file holds no certificate.
        OSError: it cannot be read.
    """
    # Anything that is not a file fails here, with its name.
    authority.read_bytes()
    try:
        return ssl.create_default_context(cafile=authority)
    except ssl.SSLError:
        raise BrokenPromise(f"{authority} contains no PEM certificate") from None


async def play(
    url: str, narrator: Narrator, patience_s: float, tls: ssl.SSLContext | None = None
) -> None:
    """Play the story against ``url`` and report its end; raises `BrokenPromise`."""
    try:
        # Every answer counts: a failure is reported, not retried.
        client = Client(url, timeout_s=TIMEOUT_S, retries=RetryPolicy(attempts_max=1), tls=tls)
    except ValueError as error:
        raise BrokenPromise(str(error)) from None
    with kept_promises(url):
        async with client:
            await Story(client, narrator, patience_s=patience_s).play()
    narrator.scene("All as promised.")
