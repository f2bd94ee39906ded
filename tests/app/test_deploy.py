"""What is shipped for deployment: an operator's command runs on the service's world."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "systemd"
UNIT = DEPLOY / "holdfast.service"
WRAPPER = DEPLOY / "holdfast-world"
PROGRAM = '#!/bin/sh\npwd\numask\nenv | grep ^HOLDFAST_ | sort\nprintf "<%s>\\n" "$@"\n'


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine with the service installed, as far as the wrapper looks at it."""

    place: Path

    def install(self, *, user: int = 0) -> None:
        """Write the programs that the wrapper calls, and the wrapper with this place's folders."""
        (self.place / "etc").mkdir()
        self.program("id", f"echo {user}\n")
        # Like the real one except for the change of user, which the test may not be allowed.
        self.program(
            "setpriv", 'echo "$1 $2 $3"\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec "$@"\n'
        )
        self.program("holdfast", PROGRAM)
        text = WRAPPER.read_text().replace("/etc/holdfast", str(self.place / "etc"))
        self.program(
            "wrapper", text.replace("/usr/local/bin/holdfast", str(self.place / "holdfast"))
        )

    def program(self, name: str, text: str) -> None:
        """Write a program."""
        file = self.place / name
        file.write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}")
        file.chmod(0o755)

    def call(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Call the wrapper from another folder."""
        path = f"{self.place}:/usr/bin:/bin"
        return subprocess.run(
            [self.place / "wrapper", *arguments],
            cwd="/",
            env={"PATH": path, **environment},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine of the test's own."""
    return Machine(tmp_path)


def test_wrapper_calls_the_program_as_the_service_does(machine: Machine) -> None:
    """Folder, user, secrets and data are the service's, whoever runs the wrapper from wherever."""
    machine.install()
    (machine.place / "etc" / "secrets.env").write_text(
        "# secrets\n"
        "HOLDFAST_DATABASE__DSN=postgresql://a:$b&c@host/world?x=1&y=`2`\n"
        'HOLDFAST_WORLD__NAME="Two words"\n'
        "\n"
        "HOLDFAST_AUTH__KEY='k4.local.x'"
    )
    done = machine.call("accounts", "create", "a b", HOLDFAST_CONFIG="other.toml")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "--reuid=holdfast --regid=holdfast --init-groups",
        str(machine.place / "etc"),
        "0077",
        "HOLDFAST_AUTH__KEY=k4.local.x",
        "HOLDFAST_DATABASE__DSN=postgresql://a:$b&c@host/world?x=1&y=`2`",
        "HOLDFAST_STORAGE__DATA_DIR=/var/lib/holdfast",
        "HOLDFAST_UNPACK_DIR=/var/cache/holdfast",
        "HOLDFAST_WORLD__NAME=Two words",
        "<accounts>",
        "<create>",
        "<a b>",
    ]


def test_wrapper_refuses_another_world(machine: Machine) -> None:
    """A rehearsal that names its own data directory never touches the served world."""
    machine.install()
    done = machine.call("restore", "x.dump", HOLDFAST_STORAGE__DATA_DIR="/tmp/rehearsal")  # noqa: S108
    assert (done.returncode, done.stdout) == (1, "")
    assert "the service's world alone" in done.stderr
    same = machine.call("version", HOLDFAST_STORAGE__DATA_DIR="/var/lib/holdfast")
    assert same.returncode == 0
    (machine.place / "etc" / "secrets.env").write_text("HOLDFAST_STORAGE__DATA_DIR=/srv/world\n")
    assert machine.call("version").returncode == 1


@pytest.mark.parametrize("secrets", ["", "HOLDFAST_DATABASE__DSN=postgresql://host/live\n"])
@pytest.mark.parametrize("dsn", ["postgresql://host/rehearsal", ""])
def test_wrapper_refuses_another_database(machine: Machine, secrets: str, dsn: str) -> None:
    """A caller's own DSN neither leads elsewhere nor is ignored in favour of the service's."""
    machine.install()
    (machine.place / "etc" / "secrets.env").write_text(secrets)
    done = machine.call("restore", "--force", "x.dump", HOLDFAST_DATABASE__DSN=dsn)
    assert (done.returncode, done.stdout) == (1, "")
    assert "HOLDFAST_DATABASE__DSN" in done.stderr


def test_wrapper_reads_secrets_past_blanks_as_systemd_does(machine: Machine) -> None:
    """Blanks around a line and foreign line endings are not part of a value."""
    machine.install()
    (machine.place / "etc" / "secrets.env").write_bytes(
        b'  HOLDFAST_WORLD__NAME=Two words \t\r\n\tHOLDFAST_LOG__LEVEL="info"  \n'
        b"HOLDFAST_AUTH__KEY='a\\b'\r\n; HOLDFAST_HTTP__PORT=1\n"
    )
    done = machine.call("version")
    assert (done.returncode, done.stderr) == (0, "")
    told = [line for line in done.stdout.splitlines() if line.startswith("HOLDFAST_")]
    assert [line for line in told if "STORAGE" not in line and "UNPACK" not in line] == [
        "HOLDFAST_AUTH__KEY=a\\b",
        "HOLDFAST_LOG__LEVEL=info",
        "HOLDFAST_WORLD__NAME=Two words",
    ]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("HOLDFAST_WORLD__NAME=a='b'", "a='b'"),
        ('HOLDFAST_WORLD__NAME=a="b"', 'a="b"'),
        ("HOLDFAST_WORLD__NAME=it's", "it's"),
        ("HOLDFAST_WORLD__NAME= a b", "a b"),
        ('HOLDFAST_WORLD__NAME =\t"a b"', "a b"),
        ("HOLDFAST_WORLD__NAME='say \"a\"'", 'say "a"'),
        ('HOLDFAST_WORLD__NAME="it\'s"', "it's"),
        ("HOLDFAST_WORLD__NAME=' a '", " a "),
        ("HOLDFAST_WORLD__NAME=''", ""),
        ("HOLDFAST_WORLD__NAME=", ""),
    ],
)
def test_wrapper_takes_quotes_and_blanks_where_systemd_does(
    machine: Machine, line: str, value: str
) -> None:
    """Around a whole value they are not part of it; within one they are."""
    machine.install()
    (machine.place / "etc" / "secrets.env").write_text(f"{line}\n")
    done = machine.call("version")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"HOLDFAST_WORLD__NAME={value}" in done.stdout.splitlines()


@pytest.mark.parametrize(
    "value",
    ["host\\=a", '"a\\b"', '"a', "'a", "'a'b", "'a' 'b'", '"a" "b"', "'", '"a"b"'],
)
def test_wrapper_refuses_secrets_that_it_cannot_read_as_systemd_does(
    machine: Machine, value: str
) -> None:
    """How systemd reads a backslash, or quotes around part of a value, is not guessed."""
    machine.install()
    (machine.place / "etc" / "secrets.env").write_text(f"HOLDFAST_DATABASE__DSN={value}\nb'\n")
    done = machine.call("version")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("holdfast-world: secrets.env: HOLDFAST_DATABASE__DSN: put ")
    assert done.stderr.count("\n") == 1


def test_wrapper_needs_no_secrets(machine: Machine) -> None:
    """The file exists only if it has something to hold."""
    machine.install()
    assert machine.call("version").returncode == 0


def test_wrapper_is_for_root(machine: Machine) -> None:
    """Nobody else can become the service's user; the line says what to type."""
    machine.install(user=1000)
    done = machine.call("version")
    assert (done.returncode, done.stdout) == (1, "")
    assert "sudo holdfast-world" in done.stderr


def test_wrapper_and_unit_agree() -> None:
    """Both name the same user, program, folders and secrets."""
    unit = dict(re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE))
    wrapper = WRAPPER.read_text()
    assert f"--reuid={unit['User']} --regid={unit['Group']} " in wrapper
    assert f"-- {unit['ExecStart'].removesuffix(' serve')} " in wrapper
    assert f"cd {unit['WorkingDirectory']}\n" in wrapper
    assert unit["EnvironmentFile"] == f"-{unit['WorkingDirectory']}/secrets.env"
    assert f" {unit['Environment']}\n" in wrapper
    assert f"=/var/cache/{unit['CacheDirectory']}\n" in wrapper
    assert f"umask {unit['UMask']}\n" in wrapper
