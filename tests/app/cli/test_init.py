"""What ``holdfast init`` promises: it makes what is missing, says so, and changes nothing else."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
from click.testing import CliRunner

from actors.authx import operator
from actors.authx.passwords import Passwords
from actors.authx.settings import AuthxSettings
from actors.database import migrate, upgrade
from actors.database.driver import open_database
from actors.database.migrate import Migration, shipped_migrations
from app.cli import main
from app.config import render_config
from tests.app.cli.support import CHEAP, interrupt_after, run_at_terminal, run_unheard
from tests.broken_line import broken_line
from tests.postgres import quiet_log, reachable_directory

if TYPE_CHECKING:
    from tests.postgres import PostgresServer


PASSWORD = re.compile(r"one-time password (\S+)\n")
"""How the first operator's password is shown."""


def initialise(*options: str, **environ: str) -> tuple[int, str, str]:
    """Run the command here; return its status, output and complaint."""
    result = CliRunner(env={**CHEAP, **environ}).invoke(main, ["init", *options])
    return result.exit_code, result.stdout, result.stderr


def told(output: str) -> dict[str, str]:
    """Return for each thing whether it was made or found."""
    lines = [line for line in output.splitlines() if line[:5] in {"made ", "found"}]
    return {line[9:23].strip(): line[:8].strip() for line in lines}


def test_init_makes_everything_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty folder everything is made; the second time all is found and nothing changes."""
    with reachable_directory() as folder:
        monkeypatch.chdir(folder)
        status, output, complaint = initialise()
        assert (status, complaint) == (0, "")
        for thing in ("configuration", "token key", "database", "admin"):
            assert told(output)[thing] == "made"
        assert len(PASSWORD.findall(output)) == 1
        assert Path("config.toml").read_text() == render_config()
        # As root, PostgreSQL has a user of its own, who must be able to pass: only that user, where
        # the file system has permissions for individual users.
        passages = {0o710, 0o701} if os.geteuid() == 0 else {0o700}
        assert stat.S_IMODE(Path("var").stat().st_mode) in passages
        modes = {"config.toml": 0o600, "var/token.key": 0o600}
        assert {name: stat.S_IMODE(Path(name).stat().st_mode) for name in modes} == modes
        assert "with 'holdfast serve'." in output
        key = Path("var/token.key").read_bytes()

        status, output, complaint = initialise()
        assert (status, complaint) == (0, "")
        for thing in ("configuration", "data directory", "token key", "database", "admin"):
            assert told(output)[thing] == "found"
        assert not PASSWORD.search(output)
        assert Path("var/token.key").read_bytes() == key


def test_init_that_is_interrupted_too_late_shows_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: PostgresServer
) -> None:
    """Ctrl-C after the operator's account has been made does not hide its password."""
    monkeypatch.chdir(tmp_path)
    interrupt_after(monkeypatch, operator, "create_account")
    status, output, _ = initialise(HOLDFAST_DATABASE__DSN=postgres.create_database())
    assert (status, len(PASSWORD.findall(output))) == (130, 1)


def test_init_leaves_a_configuration_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_dsn: str
) -> None:
    """An existing file is used as it is: its database, its place for the key."""
    monkeypatch.chdir(tmp_path)
    text = f'[database]\ndsn = "{database_dsn}"\n[auth]\nkey_file = "keys/mine"\n'
    Path("config.toml").write_text(text)
    status, output, _ = initialise()
    assert status == 0
    assert told(output)["database"] == "found"
    assert Path("config.toml").read_text() == text
    assert Path("keys/mine").exists()


def test_init_tells_the_command_that_starts_what_it_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_dsn: str
) -> None:
    """With --config, the command shown is not one that would make another world."""
    monkeypatch.chdir(tmp_path)
    Path("game").mkdir()
    status, output, _ = initialise(
        "--config", "game/config.toml", HOLDFAST_DATABASE__DSN=database_dsn
    )
    assert status == 0
    assert "start the server with 'holdfast serve --config game/config.toml'." in output


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("HOLDFAST_WORLD__RULESET", "none.toml", "holdfast: none.toml: "),
        ("HOLDFAST_DATABASE__DSN", "postgresql://127.0.0.1:1/none", "holdfast: "),
        ("HOLDFAST_AUTH__KEY", "nonsense", "holdfast: "),
        ("HOLDFAST_STORAGE__DATA_DIR", "config.toml/x", "holdfast: config.toml/x: Not a directory"),
    ],
)
def test_init_tells_in_one_line_what_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, complaint: str
) -> None:
    """Anything that would keep a server from starting is found beforehand."""
    monkeypatch.chdir(tmp_path)
    status, _, said = initialise(**{variable: value})
    assert status == 1
    assert said.startswith(complaint)
    assert said.count("\n") == 1


def test_init_takes_a_key_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_dsn: str
) -> None:
    """With the key in the environment no key file is made, and the key is not shown."""
    monkeypatch.chdir(tmp_path)
    key = "k4.local." + "A" * 43
    status, output, _ = initialise(HOLDFAST_AUTH__KEY=key, HOLDFAST_DATABASE__DSN=database_dsn)
    assert status == 0
    assert "token key      in the environment" in output
    assert key not in output
    assert not Path("var/token.key").exists()


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: PostgresServer) -> str:
    """Work in an empty folder; return the DSN of a database without accounts."""
    monkeypatch.chdir(tmp_path)
    return trio.run(postgres.create_database_async)


async def looked_up(dsn: str, username: str, password: str) -> tuple[str, bool, bool]:
    """Return an account's role, whether it must change its password, and whether this one fits."""
    sql = "select role, must_change_password, password_hash from accounts where username_key = $1"
    async with open_database(dsn, log=quiet_log()) as database:
        connection = await database.connect(name="test")
        row = await connection.run(lambda session: session.fetchrow(sql, username))
        await connection.aclose()
    assert row is not None
    with Passwords(AuthxSettings()).reserve() as slot:
        matches = await slot.matches(row["password_hash"], password)
    return row["role"], row["must_change_password"], matches


def test_init_makes_the_first_admin_with_a_one_time_password(fresh: str) -> None:
    """The password shown is the account's and must be changed; a second run keeps it."""
    status, output, complaint = initialise(HOLDFAST_DATABASE__DSN=fresh)
    assert (status, complaint) == (0, "")
    (password,) = PASSWORD.findall(output)
    assert output.count(password) == 1
    assert trio.run(looked_up, fresh, "admin", password) == ("admin", True, True)

    status, again, _ = initialise(HOLDFAST_DATABASE__DSN=fresh)
    assert status == 0
    assert told(again)["admin"] == "found"
    assert password not in again
    assert trio.run(looked_up, fresh, "admin", password) == ("admin", True, True)


def test_init_says_that_the_first_admin_may_have_been_made(fresh: str) -> None:
    """If the line breaks after the commit, the account exists and nobody has seen its password."""
    with broken_line(fresh, b"COMMIT") as dsn:
        status, _, complaint = initialise(HOLDFAST_DATABASE__DSN=dsn)
    assert status == 1
    assert "may have taken effect all the same: check before you repeat it" in complaint
    status, output, _ = initialise(HOLDFAST_DATABASE__DSN=fresh)
    assert (status, told(output)["admin"]) == (0, "found")


def test_init_makes_no_admin_when_told_so(fresh: str) -> None:
    """With --no-admin no admin is made and none is mentioned."""
    status, output, _ = initialise("--no-admin", HOLDFAST_DATABASE__DSN=fresh)
    assert status == 0
    assert "admin" not in told(output)
    assert "password" not in output


def test_init_names_the_admin_as_it_is_told(fresh: str) -> None:
    """--admin chooses the name; if an admin exists, it makes no other."""
    assert initialise("--admin", "Root", HOLDFAST_DATABASE__DSN=fresh)[0] == 0
    status, output, _ = initialise("--admin", "second", HOLDFAST_DATABASE__DSN=fresh)
    assert status == 0
    assert "found    admin          Root\n" in output
    assert "password" not in output


def test_init_does_not_take_a_players_name(fresh: str) -> None:
    """A player called admin stays a player; one line says what to do."""
    made = CliRunner(env={**CHEAP, "HOLDFAST_DATABASE__DSN": fresh}).invoke(
        main, ["accounts", "create", "admin", "--password-stdin"], input="correct horse\n"
    )
    assert made.exit_code == 0
    status, output, complaint = initialise(HOLDFAST_DATABASE__DSN=fresh)
    assert status == 1
    assert "--admin" in complaint
    assert "accounts promote admin" in complaint
    assert complaint.count("\n") == 1
    assert "password" not in output
    assert trio.run(looked_up, fresh, "admin", "correct horse") == ("player", False, True)


def test_init_refuses_a_name_that_nobody_can_have(fresh: str) -> None:
    """The rules for usernames apply to operators."""
    status, _, complaint = initialise("--admin", "no one", HOLDFAST_DATABASE__DSN=fresh)
    assert status == 1
    assert complaint.startswith("holdfast: the username 'no one' ")


def test_init_tells_of_an_upgrade_that_fails_half_way(
    fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was committed stays, and the earlier program no longer starts on it."""
    assert initialise(HOLDFAST_DATABASE__DSN=fresh)[0] == 0
    newest = shipped_migrations()[-1].version
    good = Migration(newest + 1, "good", "create table good (id bigint)")
    bad = Migration(newest + 2, "bad", "select no_such_function()")
    known = *shipped_migrations(), good, bad
    for module in (migrate, upgrade):
        monkeypatch.setattr(module, "shipped_migrations", lambda: known)
    status, output, complaint = initialise(HOLDFAST_DATABASE__DSN=fresh)
    assert status == 1
    told_last = output.splitlines()[-1]
    step = f"{newest} to {newest + 1} of {newest + 2}"
    assert told_last == f"upgraded database       at database.dsn (schema {step})"
    assert complaint.endswith(f"; it failed in migration {newest + 2:04} (bad)\n")


def test_init_tells_at_once_at_a_terminal_and_where_it_cannot_be_written(
    fresh: str, tmp_path: Path
) -> None:
    """Each thing is on a line of its own, and reported even if output cannot be written."""
    settings = {"HOLDFAST_DATABASE__DSN": fresh}
    status, seen = run_at_terminal("init", "--no-admin", cwd=tmp_path, **settings)
    assert (status, told("\n".join(seen))["database"]) == (0, "found")
    with Path("/dev/full").open("w") as full:
        unheard = run_unheard("init", cwd=tmp_path, out=full, **settings)
    assert unheard.status == 1
    assert unheard.complaint == (
        "holdfast: found configuration config.toml, but standard output cannot be written:"
        " No space left on device"
    )
