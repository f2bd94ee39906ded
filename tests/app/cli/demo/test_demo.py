"""What ``holdfast demo`` promises: it plays against a real server, and notices if there is none."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest
import trustme
from click.testing import CliRunner

from app.cli import main
from tests.app.cli.support import run, running_server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres import PostgresServer


def test_demo_plays_to_the_end(tmp_path: Path, postgres: PostgresServer) -> None:
    """Against a server with the shipped rules, sped up, everything is as promised."""
    settings = {
        "HOLDFAST_DATABASE__DSN": postgres.create_database(),
        "HOLDFAST_WORLD__SPEED": "3",
        "HOLDFAST_WORLD__TICK_MS": "50",
    }
    with running_server(tmp_path, **settings) as server:
        done = run("demo", "--url", server.url, cwd=tmp_path)
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.endswith("All as promised.\n")
    for told in ("insufficient-resources", "came back", "completed", "replay to exactly"):
        assert told in done.stdout


def test_demo_plays_by_any_rules(tmp_path: Path, postgres: PostgresServer) -> None:
    """It copes with another game's rules, and does not wait for what takes too long."""
    settings = {
        "HOLDFAST_DATABASE__DSN": postgres.create_database(),
        "HOLDFAST_WORLD__RULESET": "ogame",
    }
    with running_server(tmp_path, **settings) as server:
        done = run("demo", "--url", server.url, "--patience", "0.5", cwd=tmp_path)
    assert (done.status, done.stderr) == (0, "")
    assert "not waiting for it" in done.stdout
    assert done.stdout.endswith("All as promised.\n")


def test_demo_finds_what_is_too_dear_for_whoever_starts_rich(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    """If one of everything is affordable, it orders a crowd of the unit with the lowest limit.

    Such a unit raises a capacity: every delivery of it must be walked.
    """
    (tmp_path / "rich.toml").write_text(
        """
        title = "Rich"
        [resources.gold]
        start = 1000
        base_capacity = 1000
        [queues.yard]
        slots = 2
        length = 4
        [buildings.hut]
        queue = "yard"
        cost = { gold = 10 }
        duration = 3
        max_level = 5
        [units.bag]
        queue = "yard"
        cost = { gold = 1 }
        duration = 3
        capacity = { gold = 10 }
        """
    )
    settings = {
        "HOLDFAST_DATABASE__DSN": postgres.create_database(),
        "HOLDFAST_WORLD__RULESET": "rich.toml",
        "HOLDFAST_WORLD__TICK_MS": "50",
    }
    with running_server(tmp_path, **settings) as server:
        done = run("demo", "--url", server.url, cwd=tmp_path)
    assert (done.status, done.stderr) == (0, "")
    assert "bag, which is too expensive" in done.stdout
    assert done.stdout.endswith("All as promised.\n")


def test_demo_tells_of_a_server_that_is_not_there(tmp_path: Path) -> None:
    """Without a server it says so in one line, and how to start one."""
    done = run("demo", "--url", "http://127.0.0.1:1", cwd=tmp_path)
    assert done.status == 1
    assert done.complaint.startswith("holdfast: no server answers at http://127.0.0.1:1: ")
    assert done.complaint.endswith("; start one with 'holdfast serve'")


def test_demo_believes_whom_it_is_told_to(tmp_path: Path, postgres: PostgresServer) -> None:
    """A certificate of a private authority is refused with the reason, until that is named."""
    authority, stranger = trustme.CA(), trustme.CA()
    issued = authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA)
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    stranger.cert_pem.write_to_path(tmp_path / "stranger.pem")
    settings = {
        "HOLDFAST_DATABASE__DSN": postgres.create_database(),
        "HOLDFAST_WORLD__SPEED": "3",
        "HOLDFAST_WORLD__TICK_MS": "50",
        "HOLDFAST_HTTP__TLS_CERTIFICATE": "cert.pem",
        "HOLDFAST_HTTP__TLS_KEY": "key.pem",
    }
    with running_server(tmp_path, **settings) as server:
        for trust in ((), ("--cacert", "stranger.pem")):
            done = run("demo", "--url", server.url, *trust, cwd=tmp_path)
            assert "CERTIFICATE_VERIFY_FAILED" in done.complaint
            assert done.complaint.endswith("with --cacert FILE")
        done = run("demo", "--url", server.url, "--cacert", "authority.pem", cwd=tmp_path)
        assert (done.status, done.stderr) == (0, "")
        assert done.stdout.endswith("All as promised.\n")


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff"])
def test_demo_refuses_an_authority_that_is_none(tmp_path: Path, content: bytes) -> None:
    """A file without a certificate is named before any request is sent."""
    file = tmp_path / "authority.pem"
    file.write_bytes(content)
    result = CliRunner().invoke(main, ["demo", "--cacert", str(file)])
    assert result.stderr == f"holdfast: {file} contains no PEM certificate\n"


def test_demo_tells_of_http_where_https_was_asked_for() -> None:
    """The reason is shown, and no second server is suggested."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            server.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        url = f"https://127.0.0.1:{server.getsockname()[1]}"
        result = CliRunner().invoke(main, ["demo", "--url", url])
        thread.join()
    assert result.stderr.startswith(f"holdfast: no server answers at {url}: ")
    assert result.stderr.endswith("; does it serve HTTPS there?\n")


@pytest.mark.parametrize(
    "url", ["nonsense", "ftp://127.0.0.1", "http://", "http://[::1", "http://127.0.0..1"]
)
def test_demo_tells_of_an_address_that_is_none(url: str) -> None:
    """An invalid address is refused in one line that repeats it."""
    result = CliRunner().invoke(main, ["demo", "--url", url])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"holdfast: {url!r} is not a URL")


def test_demo_tells_of_another_program_at_the_address(tmp_path: Path) -> None:
    """An answer from anything but a Holdfast server is reported in one line."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer_once() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

        thread = threading.Thread(target=answer_once)
        thread.start()
        done = run("demo", "--url", f"http://127.0.0.1:{port}", cwd=tmp_path)
        thread.join()
    assert done.status == 1
    assert "GET /v1/world was answered in an unexpected shape" in done.complaint
