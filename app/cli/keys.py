"""``holdfast keys``: rotate the keys that tokens are made with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from actors.authx.keys import rotate_key_file
from app.cli.failures import Failure, expected_failures
from app.cli.options import config_option, read_config
from app.cli.progress import tell_done

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def keys() -> None:
    """Rotate the keys that tokens are made with."""


@keys.command()
@config_option
def rotate(config_file: Path | None) -> None:
    """Put a new token key above the old ones, which stay.

    The new key makes tokens from the next start of the server on. Tokens of the old keys stay
    valid, so nobody has to log in again; the key file says beside each old key from which day it
    may be removed, if the server is restarted within a day. After a theft that is not enough:
    delete the file instead, and everybody has to log in again.
    """
    with expected_failures():
        config = read_config(config_file)
        if config.auth.key:
            raise Failure(
                "the token key is in the environment: put a new one before it in "
                "HOLDFAST_AUTH__KEY, separated by a comma"
            )
        try:
            removable = rotate_key_file(
                config.key_path, now=datetime.now(UTC), refresh_s=config.auth.refresh_seconds
            )
        except FileNotFoundError:
            raise Failure(
                f"there is no token key {config.key_path} yet: holdfast init creates one"
            ) from None
        tell_done(
            f"made     token key      {config.key_path}",
            "\nRestart the server within a day, so that it makes tokens with the new key. Tokens of"
            f"\nthe old key stay valid; it may be removed from the file from {removable} on."
            "\nA later restart delays that date.",
        )
