"""``holdfast export``: all data stored about a person, for that person to read and keep."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Final

import click
import msgspec

from actors.authx.errors import InvalidUsername
from actors.authx.usernames import parse_username
from actors.storage.personal import SINGLE, personal_data
from app.cli.database import operator_connection
from app.cli.failures import Failure, expected_failures
from app.cli.interrupts import run_interruptible
from app.cli.options import config_option, read_config
from app.cli.progress import working

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from actors.storage.personal import Json
    from app.config import Config

_PART_BYTES: Final = 1_048_576


@click.command()
@click.option(
    "--account", "username", metavar="NAME", required=True, help="Account whose data to write."
)
@config_option
def export(username: str, config_file: Path | None) -> None:
    """Write everything stored about an account to standard output, as JSON.

    That is the account, its sessions without their secrets, its inventory, orders, ledger,
    transfers and the answers to its commands, and what the audit log says about it, all as of one
    moment. Works beside a running server. To erase the account, use `holdfast accounts erase`;
    its owner calls DELETE /v1/accounts/me.
    """
    with expected_failures(), tempfile.TemporaryFile() as collected:
        config = read_config(config_file)
        with working(f"collecting what is stored about {username}"):
            run_interruptible(lambda: _collect(config, username, _Json(collected)))
        collected.seek(0)
        # As bytes: JSON is UTF-8 (RFC 8259, section 8.1), whatever the terminal's encoding.
        while part := collected.read(_PART_BYTES):
            click.echo(part, nl=False)
        click.echo()


async def _collect(config: Config, username: str, told: _Json) -> None:
    try:
        key = parse_username(username).key
    except InvalidUsername as error:
        raise Failure(f"the username {username!r} {error}") from None
    told.member("exported_at", datetime.now(UTC))
    told.member("world", config.world.name)
    async with operator_connection(config) as connection:
        if not await personal_data(connection, key, told.take):
            raise Failure(f"there is no account {username!r}")
    told.end()


class _Json:
    """Writes one JSON object to a file as its parts come: an account may have gigabytes of them."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._section: str | None = None
        self._separator = b"{"

    def member(self, name: str, value: object) -> None:
        """Write a member with its value."""
        self._leave()
        self._write(b"%b: %b" % (_text(name), _text(value)), depth=1)

    def take(self, section: str, rows: Sequence[Json]) -> None:
        """Write rows: those of a section, as they come, as a list."""
        if section in SINGLE:
            self.member(section, rows[0] if rows else None)
            return
        if section != self._section:
            self._leave()
            self._write(b"%b: " % _text(section), depth=1)
            self._section, self._separator = section, b"["
        for row in rows:
            self._write(_text(row), depth=2)

    def end(self) -> None:
        """Write the end of the object."""
        self._leave()
        self._file.write(b"\n}")

    def _leave(self) -> None:
        """End the list being written, if any."""
        if self._section is not None:
            self._file.write(b"[]" if self._separator == b"[" else b"\n  ]")
        self._section = None
        self._separator = b"," if self._file.tell() else b"{"

    def _write(self, text: bytes, *, depth: int) -> None:
        indent = b"\n" + b"  " * depth
        self._file.write(self._separator + indent + text.replace(b"\n", indent))
        self._separator = b","


def _text(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2)
