"""What ``holdfast accounts`` promises to the operator."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import pytest
import trio
from click.testing import CliRunner, Result

from actors.authx import operator
from actors.database.driver import open_database
from app.cli import accounts as command
from app.cli import main
from tests.app.cli.support import (
    CHEAP,
    environment,
    interrupt_after,
    run,
    run_at_terminal,
    run_unheard,
)
from tests.app.cli.support import command as command_line
from tests.broken_line import broken_line
from tests.postgres import quiet_log
from tests.program import Process

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from actors.authx.messages import Account
    from actors.database.session import Session
    from app.cli.database import May
    from app.config import Config
    from tests.postgres import PostgresServer


PERHAPS = "it may have taken effect all the same: check before you repeat it"
_HOLD = "begin; select from accounts where username = 'wenke' for update"
_WAITING = """
select exists (select from pg_stat_activity
    where application_name = 'holdfast operator' and wait_event_type = 'Lock'
    and datname = current_database())
"""


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_dsn: str) -> None:
    """Work on this module's database, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_DATABASE__DSN", database_dsn)
    for name, value in CHEAP.items():
        monkeypatch.setenv(name, value)


def accounts(*arguments: str, stdin: str | None = None) -> Result:
    """Run a command of the group."""
    return CliRunner().invoke(main, ["accounts", *arguments], input=stdin)


def create(username: str, *options: str) -> Result:
    """Make an account with a fair password."""
    return accounts("create", username, "--password-stdin", *options, stdin="correct horse\n")


def row(username: str) -> list[str]:
    """Return the columns of an account's row in the list."""
    lines = [line.split() for line in accounts("list").output.splitlines()]
    (found,) = [columns for columns in lines if columns and columns[0] == username]
    return found


def test_accounts_create_makes_a_player() -> None:
    """A new account is a player, active, and in the list."""
    assert create("walter").exit_code == 0
    assert row("walter")[1:3] == ["player", "active"]


def test_accounts_create_makes_a_player_where_nobody_may_register(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The operator can create accounts while registration is closed."""
    monkeypatch.setenv("HOLDFAST_AUTH__REGISTRATION", "closed")
    assert create("invited").exit_code == 0
    assert row("invited")[1:3] == ["player", "active"]


def test_accounts_create_makes_an_admin_on_request() -> None:
    """With --admin it has the role from the start."""
    assert create("wanda", "--admin").exit_code == 0
    assert row("wanda")[1] == "admin"


def test_accounts_create_makes_up_a_password_on_request() -> None:
    """With --one-time there is no prompt: the password is generated and shown once."""
    result = accounts("create", "wilma", "--admin", "--one-time")
    assert result.exit_code == 0
    made, password = result.output.splitlines()
    assert made.startswith("made wilma (admin, ")
    assert len(password.removeprefix("one-time password: ")) == 24
    assert row("wilma")[1] == "admin"


def test_accounts_that_are_interrupted_too_late_show_the_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C after the password has been generated still shows it."""
    for name in ("create_account", "reset_password"):
        interrupt_after(monkeypatch, operator, name)
    for arguments in (("create", "wim", "--one-time"), ("reset-password", "wim")):
        result = accounts(*arguments)
        assert result.exit_code == 130
        assert re.search(r"^one-time password: \S{24}$", result.output, re.MULTILINE)


def test_accounts_tell_at_a_terminal_on_a_line_of_its_own(tmp_path: Path) -> None:
    """The progress indicator is gone when the result is printed."""
    dsn = os.environ["HOLDFAST_DATABASE__DSN"]

    def at_terminal(*arguments: str) -> tuple[int, list[str]]:
        return run_at_terminal("accounts", *arguments, cwd=tmp_path, HOLDFAST_DATABASE__DSN=dsn)

    status, (made, password, end) = at_terminal("create", "wigand", "--one-time")
    assert (status, end) == (0, "")
    assert made.startswith("made wigand (player, ")
    assert password.startswith("one-time password: ")
    assert at_terminal("suspend", "wigand") == (0, ["wigand is suspended now", ""])
    refused = "holdfast: there is no account 'wiglaf'"
    assert at_terminal("suspend", "wiglaf") == (1, [refused, ""])


def test_accounts_say_what_is_done_where_it_cannot_be_told(tmp_path: Path) -> None:
    """An unwritable standard output is not reported as if the change had failed."""
    dsn = os.environ["HOLDFAST_DATABASE__DSN"]
    create("wulf", "--admin")  # Erasing the last one prints a warning.

    def unheard(*arguments: str) -> str:
        with Path("/dev/full").open("w") as full:
            told = run_unheard(
                "accounts", *arguments, cwd=tmp_path, out=full, HOLDFAST_DATABASE__DSN=dsn
            )
        assert told.status == 1
        return told.complaint

    why = ", but standard output cannot be written: No space left on device"
    lost = "; the one-time password is lost: holdfast accounts reset-password wunibald"
    lost += " generates another"
    made = unheard("create", "wunibald", "--one-time")
    account_id = row("wunibald")[-1]
    assert made == f"holdfast: made wunibald (player, {account_id}){why}{lost}"
    assert unheard("promote", "wunibald") == f"holdfast: wunibald is admin now{why}"
    assert row("wunibald")[1] == "admin"
    assert (
        unheard("erase", "wunibald", "--yes") == f"holdfast: wunibald is erased ({account_id}){why}"
    )


def test_accounts_say_what_is_done_where_nobody_reads_it(tmp_path: Path) -> None:
    """A pipe without a reader is treated like a full disk."""
    create("willibald")
    dsn = os.environ["HOLDFAST_DATABASE__DSN"]
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe:
        told = run_unheard(
            "accounts", "suspend", "willibald", cwd=tmp_path, out=pipe, HOLDFAST_DATABASE__DSN=dsn
        )
    assert (told.status, told.complaint) == (
        1,
        "holdfast: willibald is suspended now, but standard output cannot be written: Broken pipe",
    )
    assert row("willibald")[2] == "suspended"


def test_accounts_create_takes_no_password_where_it_makes_one_up() -> None:
    """--password-stdin together with --one-time is wrong usage, and creates nothing."""
    result = create("wilgard", "--one-time")
    assert result.exit_code == 2
    assert "--one-time" in result.stderr
    assert "wilgard" not in accounts("list").output


def test_accounts_create_asks_for_the_password_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal the password is asked for twice and never shown."""
    monkeypatch.setattr(command, "_at_terminal", lambda: True)
    result = accounts("create", "willow", stdin="correct horse\ncorrect horse\n")
    assert result.exit_code == 0
    assert "correct horse" not in result.output
    differing = accounts("create", "willa", stdin="correct horse\nbattery staple\n")
    assert (differing.exit_code, "willa" in accounts("list").output) == (1, False)


def test_accounts_create_reads_a_line_where_there_is_no_terminal(tmp_path: Path) -> None:
    """A password on a pipe is read as it is, once, without comment."""
    dsn = os.environ["HOLDFAST_DATABASE__DSN"]
    arguments = ("accounts", "create", "wotan")
    done = run(*arguments, cwd=tmp_path, stdin="correct horse\n", HOLDFAST_DATABASE__DSN=dsn)
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.startswith("made wotan (player, ")
    done = run("accounts", "create", "odin", cwd=tmp_path, HOLDFAST_DATABASE__DSN=dsn)
    assert done.complaint.startswith("holdfast: the password must")


def test_accounts_create_leaves_out_what_windows_adds_to_a_password(tmp_path: Path) -> None:
    """A byte order mark before it and the line ending after it are not part of the password."""
    dsn = os.environ["HOLDFAST_DATABASE__DSN"]
    arguments = ("accounts", "create", "wally", "--password-stdin")
    for given, complaint in (
        ("\ufeff1234567\r\n", "holdfast: the password must have at least 8 characters\n"),
        ("\ufeff12345678\r\n", ""),
    ):
        done = run(*arguments, cwd=tmp_path, stdin=given, HOLDFAST_DATABASE__DSN=dsn)
        assert done.stderr == complaint


def test_accounts_create_says_that_a_password_is_no_text(tmp_path: Path) -> None:
    """Bytes in another encoding are refused in one line that names the expected one."""
    given = tmp_path / "password"
    given.write_bytes("corréct horse\n".encode("latin-1"))
    with given.open() as password:
        done = subprocess.run(
            command_line("accounts", "create", "wanda", "--password-stdin"),
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            stdin=password,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "holdfast: the password on standard input is not utf-8 text\n"


def test_accounts_promote_and_demote_change_the_role() -> None:
    """A role can be granted and revoked."""
    create("wilma")
    assert "wilma is admin now" in accounts("promote", "wilma").output
    assert row("wilma")[1] == "admin"
    assert "wilma is player now" in accounts("demote", "WILMA").output
    assert row("wilma")[1] == "player"


def test_accounts_suspend_and_resume_change_the_state() -> None:
    """A suspended account is shown as such until it is resumed."""
    create("wendy")
    assert "wendy is suspended now" in accounts("suspend", "wendy").output
    assert row("wendy")[2] == "suspended"
    assert "wendy is active now" in accounts("resume", "wendy").output
    assert row("wendy")[2] == "active"


def test_accounts_reset_password_shows_another_once() -> None:
    """A password is generated as for a new account; nothing else about the account changes."""
    create("walda", "--admin")
    result = accounts("reset-password", "WALDA")
    assert result.exit_code == 0
    said, password = result.output.splitlines()
    assert said == "walda has a new password and is logged out everywhere"
    assert len(password.removeprefix("one-time password: ")) == 24
    assert row("walda")[1:3] == ["admin", "active"]


@pytest.mark.parametrize("change", [("create", "winona", "--one-time"), ("promote", "willa")])
def test_accounts_say_that_a_change_may_have_been_made(
    monkeypatch: pytest.MonkeyPatch, database_dsn: str, change: tuple[str, ...]
) -> None:
    """If the line breaks after the commit, the outcome is unknown: do not repeat it blindly."""
    create("willa")
    with broken_line(database_dsn, b"COMMIT") as dsn, monkeypatch.context() as patch:
        patch.setenv("HOLDFAST_DATABASE__DSN", dsn)
        result = accounts(*change)
    complaint = [line for line in result.stderr.splitlines() if line.startswith("holdfast: ")]
    assert result.exit_code == 1
    assert complaint[0].endswith(f"; {PERHAPS}")
    assert row(change[1])[1] == ("admin" if change[0] == "promote" else "player")


@pytest.mark.parametrize(
    ("command", "at"),
    [
        (("list",), b"from accounts"),
        (("erase", "wolf", "--yes"), b"from accounts"),
        (("erase", "wolf", "--yes"), b"select version from inventories"),
    ],
)
def test_accounts_cannot_have_been_changed_before_the_commit(
    monkeypatch: pytest.MonkeyPatch, database_dsn: str, command: tuple[str, ...], at: bytes
) -> None:
    """A command that only reads, or that breaks off earlier, leaves no doubt."""
    create("wolf")
    with broken_line(database_dsn, at) as dsn, monkeypatch.context() as patch:
        patch.setenv("HOLDFAST_DATABASE__DSN", dsn)
        result = accounts(*command)
    assert result.exit_code == 1
    assert "may have been" not in result.stderr
    assert row("wolf")[2] == "active"


async def test_accounts_that_wait_for_nothing_more_say_that_a_change_may_have_been_made(
    database_dsn: str, tmp_path: Path
) -> None:
    """A second Ctrl-C does not wait for the answer, so the outcome is unknown."""
    await trio.to_thread.run_sync(create, "wenke")
    chosen = environment({"HOLDFAST_DATABASE__DSN": database_dsn})
    async with open_database(database_dsn, log=quiet_log()) as database:
        holding, looking = [await database.connect(name="test") for _ in range(2)]
        await holding.run(lambda session: session.execute(_HOLD))
        with TemporaryFile("w+") as said:
            promote = "accounts", "promote", "wenke"
            with Process(*promote, cwd=tmp_path, env=chosen, stderr=said) as process:
                deadline = trio.current_time() + 20
                while not await looking.run(lambda session: session.fetchval(_WAITING)):
                    assert trio.current_time() < deadline
                process.send_signal(signal.SIGINT)
                # Two at once would count as one.
                await trio.sleep(0.1)
                process.send_signal(signal.SIGINT)
            said.seek(0)
            assert (process.returncode, said.read()) == (130, f"holdfast: interrupted; {PERHAPS}\n")


def test_accounts_erase_asks_first() -> None:
    """Nothing changes unless the answer is yes."""
    create("wenzel")
    account_id = row("wenzel")[-1]
    for answer in ("n\n", ""):
        refused = accounts("erase", "wenzel", stdin=answer)
        assert refused.exit_code == 1
        question = f"Erase wenzel (player, {account_id}) and everything it owns, for good?"
        assert question in refused.stderr
    assert row("wenzel")[2] == "active"
    erased = accounts("erase", "WENZEL", stdin="y\n")
    assert question in erased.stderr
    assert erased.stdout == f"wenzel is erased ({account_id})\n"
    assert "wenzel" not in accounts("list").output


@pytest.mark.parametrize(("options", "connections"), [(("--yes",), 1), ((), 2)])
def test_accounts_erase_holds_no_database_while_it_asks(
    monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], connections: int
) -> None:
    """Without a question, one start of an embedded PostgreSQL is enough."""
    create("wiebke")
    original = command.operator_connection
    opened: list[May] = []

    def counted(config: Config, may: May) -> AbstractAsyncContextManager[Any]:
        opened.append(may)
        return original(config, may)

    monkeypatch.setattr(command, "operator_connection", counted)
    assert accounts("erase", "wiebke", *options, stdin="y\n").exit_code == 0
    assert len(opened) == connections


def test_accounts_erase_says_that_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another erasure may take minutes, during which nothing else is shown."""
    create("wulf")
    original = operator.erase_account

    async def second(*arguments: Any, waiting: Callable[[], None], **options: Any) -> Account:
        waiting()
        return await original(*arguments, waiting=waiting, **options)

    monkeypatch.setattr(operator, "erase_account", second)
    erased = accounts("erase", "wulf", "--yes")
    assert (
        erased.stderr == "holdfast: another account is being erased: waiting for that to finish\n"
    )
    assert erased.stdout.startswith("wulf is erased (")


def test_accounts_erase_warns_of_the_last_admin(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It warns even without asking, then erases; not if another admin remains."""
    monkeypatch.setenv("HOLDFAST_DATABASE__DSN", postgres.create_database())
    create("adam", "--admin")
    create("bert", "--admin")
    assert accounts("erase", "adam", "--yes").stderr == ""
    erased = accounts("erase", "bert", "--yes")
    assert erased.stderr == "holdfast: bert is the last admin who can log in\n"
    assert (erased.exit_code, erased.stdout[:14]) == (0, "bert is erased")


def test_accounts_erase_warns_at_a_terminal_on_a_line_of_its_own(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The progress indicator continues below it."""
    dsn = postgres.create_database()
    monkeypatch.setenv("HOLDFAST_DATABASE__DSN", dsn)
    create("carl", "--admin")
    account_id = row("carl")[-1]
    erase = ("accounts", "erase", "carl", "--yes")
    assert run_at_terminal(*erase, cwd=tmp_path, HOLDFAST_DATABASE__DSN=dsn) == (
        0,
        [
            "holdfast: carl is the last admin who can log in",
            f"carl is erased ({account_id})",
            "",
        ],
    )


def test_accounts_erase_is_for_a_suspended_account_too() -> None:
    """With --yes there is no question; the name is free again."""
    create("werner")
    accounts("suspend", "werner")
    result = accounts("erase", "werner", "--yes")
    assert result.output.startswith("werner is erased (")
    assert create("werner").exit_code == 0


def test_accounts_list_of_a_large_world_is_written_page_by_page(
    monkeypatch: pytest.MonkeyPatch, postgres: PostgresServer
) -> None:
    """Of any number there is a headed line for each account, the oldest first."""
    dsn = postgres.create_database()
    monkeypatch.setenv("HOLDFAST_DATABASE__DSN", dsn)
    trio.run(_fill, dsn)
    heading, *lines = (line.split() for line in accounts("list").output.splitlines())
    assert heading == ["username", "role", "state", "made", "account_id"]
    assert [len(columns) for columns in lines] == [6] * 5_000
    assert [columns[0] for columns in lines] == [f"many-{each}" for each in range(5_000)]


async def _fill(dsn: str) -> None:
    async def script(session: Session) -> None:
        await session.execute(
            "insert into accounts (account_id, username, username_key, password_hash, created_at) "
            "select lpad(to_hex(n), 32, '0')::uuid, 'many-' || n - 1, 'many-' || n - 1, '', now() "
            "from generate_series(1, 5000) as n"
        )

    async with open_database(dsn, log=quiet_log()) as database:
        connection = await database.connect(name="test")
        await connection.run(script)
        await connection.aclose()


def test_accounts_list_does_without_a_standard_output() -> None:
    """If standard output is closed, the list goes nowhere and nothing fails."""
    listing = ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *command_line("accounts", "list")]
    settings = {"HOLDFAST_DATABASE__DSN": os.environ["HOLDFAST_DATABASE__DSN"]}
    done = subprocess.run(listing, env=environment(settings), stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("arguments", "stdin", "complaint"),
    [
        (("erase", "nobody", "--yes"), None, "holdfast: there is no account 'nobody'"),
        (("erase", "nobody"), "y\n", "holdfast: there is no account 'nobody'"),
        (("reset-password", "nobody"), None, "holdfast: there is no account 'nobody'"),
        (("promote", "nobody"), None, "holdfast: there is no account 'nobody'"),
        (("suspend", "nobody"), None, "holdfast: there is no account 'nobody'"),
        (("create", "x", "--password-stdin"), "correct horse\n", "holdfast: the username 'x' must"),
        (("create", "xavier", "--password-stdin"), "short\n", "holdfast: the password must"),
    ],
)
def test_accounts_refuse_in_one_line(
    arguments: tuple[str, ...], stdin: str | None, complaint: str
) -> None:
    """A refusal is one line that names the account or the fault of the password."""
    result = accounts(*arguments, stdin=stdin)
    assert result.exit_code == 1
    assert result.stderr.startswith(complaint)
    assert result.stderr.count("\n") == 1


def test_accounts_create_refuses_a_name_that_is_taken() -> None:
    """The same name in another spelling is the same name."""
    create("winston")
    result = create("WINSTON")
    assert result.exit_code == 1
    assert result.stderr == "holdfast: the username 'WINSTON' is taken\n"
