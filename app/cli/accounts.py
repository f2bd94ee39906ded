"""``holdfast accounts``: manage accounts, with or without a running server."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import click
from rich.cells import cell_len

from actors.authx import operator
from actors.authx.errors import InvalidPassword, InvalidUsername, UnknownAccount, UsernameTaken
from actors.authx.passwords import Passwords
from actors.storage.snapshot import NIL_ID
from app.cli.database import May, operator_connection
from app.cli.failures import Failure, expected_failures, perhaps_done
from app.cli.interrupts import run_interruptible
from app.cli.one_time import one_time_password, password_lost
from app.cli.options import config_option, read_config
from app.cli.progress import Progress, working
from app.settings import authx_settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from pathlib import Path
    from typing import Literal

    from actors.authx.messages import Account
    from actors.database.driver import Connection
    from app.config import Config

T = TypeVar("T")

_PAGE = 1_000
_WAITS = "holdfast: another account is being erased: waiting for that to finish"


@click.group()
def accounts() -> None:
    """Create, promote, suspend, erase and list accounts, and reset their passwords.

    Works with or without a running server, which learns of each change at once.
    """


@accounts.command()
@click.argument("username")
@click.option("--admin", is_flag=True, help="Give it the role admin instead of player.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option(
    "--one-time",
    is_flag=True,
    help="Generate a password and show it; it must be changed at the first login.",
)
@config_option
def create(
    username: str,
    config_file: Path | None,
    *,
    admin: bool,
    password_stdin: bool,
    one_time: bool,
) -> None:
    """Create an account; prompts for its password, or reads a line if there is no terminal."""
    if one_time and password_stdin:
        raise click.UsageError("--one-time generates a password: do not give one")
    given = "" if one_time else _read_password(from_stdin=password_stdin)
    role: Literal["player", "admin"] = "admin" if admin else "player"
    with expected_failures():
        config = read_config(config_file)
        settings = authx_settings(config)
        passwords = Passwords(settings)
        password = one_time_password(settings) if one_time else given

        async def work(connection: Connection, progress: Progress) -> None:
            with perhaps_done():
                account = await operator.create_account(
                    connection,
                    passwords,
                    username,
                    password,
                    role=role,
                    one_time=one_time,
                    now=datetime.now(UTC),
                )
            made = f"made {account.username} ({account.role}, {account.account_id})"
            if one_time:
                _tell_password(progress, made, account, password)
            else:
                progress.tell_done(made)

        _run(config, username, work, May.MAKE)


@accounts.command()
@click.argument("username")
@config_option
def promote(username: str, config_file: Path | None) -> None:
    """Give an account the role admin."""
    _set_role(username, "admin", config_file)


@accounts.command()
@click.argument("username")
@config_option
def demote(username: str, config_file: Path | None) -> None:
    """Give an account the role player."""
    _set_role(username, "player", config_file)


@accounts.command()
@click.argument("username")
@config_option
def reset_password(username: str, config_file: Path | None) -> None:
    """Replace a forgotten password with a one-time password, and end the account's sessions.

    It is shown here and nowhere else, and must be changed at the next login.
    """
    with expected_failures():
        config = read_config(config_file)
        settings = authx_settings(config)
        passwords = Passwords(settings)
        password = one_time_password(settings)

        async def work(connection: Connection, progress: Progress) -> None:
            with perhaps_done():
                account = await operator.reset_password(
                    connection, passwords, username, password, now=datetime.now(UTC)
                )
            done = f"{account.username} has a new password and is logged out everywhere"
            _tell_password(progress, done, account, password)

        _run(config, username, work)


@accounts.command()
@click.argument("username")
@config_option
def suspend(username: str, config_file: Path | None) -> None:
    """End the sessions of an account and refuse its logins."""
    _set_suspended(username, config_file, suspended=True)


@accounts.command()
@click.argument("username")
@config_option
def resume(username: str, config_file: Path | None) -> None:
    """Let a suspended account log in again."""
    _set_suspended(username, config_file, suspended=False)


@accounts.command()
@click.argument("username")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@config_option
def erase(username: str, config_file: Path | None, *, yes: bool) -> None:
    """Erase an account and everything it owns, for good.

    Only a backup can bring it back. `holdfast export --account` saves its data first.
    """

    async def find(connection: Connection, progress: Progress) -> Account:
        account = await operator.find_account(connection, username)
        admins = await operator.find_admins(connection)
        if [admin.account_id for admin in admins] == [account.account_id]:
            progress.note(f"holdfast: {account.username} is the last admin who can log in")
        return account

    def ask(account: Account) -> Account:
        what = f"{account.username} ({account.role}, {account.account_id})"
        question = f"Erase {what} and everything it owns, for good?"
        click.confirm(question, abort=True, err=True)
        return account

    with expected_failures():
        config = read_config(config_file)
        # No connection is held while waiting for the answer.
        meant = None if yes else ask(_run(config, username, find))

        async def work(connection: Connection, progress: Progress) -> None:
            account_id = (meant or await find(connection, progress)).account_id
            with perhaps_done():
                gone = await operator.erase_account(
                    connection,
                    account_id,
                    now=datetime.now(UTC),
                    waiting=lambda: progress.note(_WAITS),
                )
            progress.tell_done(f"{gone.username} is erased ({gone.account_id})")

        _run(config, username, work, doing="erasing the account")


@accounts.command(name="list")
@config_option
def list_(config_file: Path | None) -> None:
    """List every account, the oldest first."""
    with expected_failures():
        _run(read_config(config_file), "", _list)


async def _list(connection: Connection, progress: Progress) -> None:
    """Write the accounts page by page: a table of all would take minutes and gigabytes."""
    rows: list[tuple[str, ...]] = [("username", "role", "state", "made", "account_id")]
    after = NIL_ID
    while True:
        page = await operator.list_accounts(connection, after, _PAGE)
        rows += map(_row, page)
        progress.stop()
        if rows:
            click.echo("\n".join(_aligned(rows)))
        if len(page) < _PAGE:
            return
        rows, after = [], page[-1].account_id


def _row(account: Account) -> tuple[str, ...]:
    state = "suspended" if account.suspended else "active"
    made = account.created_at.strftime("%Y-%m-%d %H:%M")
    return account.username, account.role, state, made, account.account_id


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield each row as a line; the columns are as wide as these rows need."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, widths, strict=True)
        yield "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in cells).rstrip()


def _set_role(username: str, role: Literal["player", "admin"], config_file: Path | None) -> None:
    """Give an account a role and report it."""

    async def work(connection: Connection, progress: Progress) -> None:
        with perhaps_done():
            account = await operator.set_role(connection, username, role, now=datetime.now(UTC))
        progress.tell_done(f"{account.username} is {account.role} now")

    with expected_failures():
        _run(read_config(config_file), username, work)


def _set_suspended(username: str, config_file: Path | None, *, suspended: bool) -> None:
    """Suspend or resume an account and report it."""

    async def work(connection: Connection, progress: Progress) -> None:
        with perhaps_done():
            account = await operator.set_suspended(
                connection, username, suspended=suspended, now=datetime.now(UTC)
            )
        progress.tell_done(f"{account.username} is {'suspended' if suspended else 'active'} now")

    with expected_failures():
        _run(read_config(config_file), username, work)


def _tell_password(progress: Progress, done: str, account: Account, password: str) -> None:
    """Report what was done, and show the one-time password, this once."""
    shown = f"one-time password: {password}"
    progress.tell_done(done, shown, lost=password_lost(account.username))


def _run(
    config: Config,
    username: str,
    work: Callable[[Connection, Progress], Awaitable[T]],
    may: May = May.USE,
    doing: str = "reaching the database",
) -> T:
    """Do ``work`` on the configured database; it reports what it has done.

    Raises:
        Failure: the account does not permit it; the message names ``username``.
        DatabaseError: the database cannot be reached.
    """

    async def connected(progress: Progress) -> T:
        async with operator_connection(config, may) as connection:
            return await work(connection, progress)

    try:
        with working(doing) as progress:
            return run_interruptible(lambda: connected(progress))
    except UnknownAccount:
        raise Failure(f"there is no account {username!r}") from None
    except UsernameTaken:
        raise Failure(f"the username {username!r} is taken") from None
    except InvalidUsername as error:
        raise Failure(f"the username {username!r} {error}") from None
    except InvalidPassword as error:
        raise Failure(f"the password {error}") from None


def _read_password(*, from_stdin: bool) -> str:
    """Ask for a password twice without showing it, or read one line of standard input.

    Without a terminal it never asks.

    Raises:
        Failure: standard input holds no text.
    """
    if from_stdin or not _at_terminal():
        return _read_line()
    entered: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return entered


def _read_line() -> str:
    try:
        line = sys.stdin.readline()
    except UnicodeDecodeError:
        encoding = sys.stdin.encoding
        raise Failure(f"the password on standard input is not {encoding} text") from None
    # Input from Windows may begin with a byte order mark, and its lines end with two characters.
    return line.removeprefix("\ufeff").removesuffix("\n").removesuffix("\r")


def _at_terminal() -> bool:
    return sys.stdin.isatty()
