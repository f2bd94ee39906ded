"""What a start checks before it makes anything: the TLS files, and the address."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from app.config import Config, ConfigError, load_config
from app.http.errors import HttpBindError
from app.start_checks import check_address, check_serving
from tests.app.cli.support import run

if TYPE_CHECKING:
    from pathlib import Path

PASSPHRASE = serialization.BestAvailableEncryption(b"hush-hush")


@pytest.fixture(scope="module")
def issued() -> trustme.LeafCert:
    """Return a certificate with its key."""
    return trustme.CA().issue_cert("localhost", key_type=trustme.KeyType.ECDSA)


@pytest.fixture
def place(tmp_path: Path, issued: trustme.LeafCert) -> Path:
    """Return a folder with a configuration that serves HTTPS."""
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    text = '[http]\nport = 0\ntls_certificate = "cert.pem"\ntls_key = "key.pem"\n'
    (tmp_path / "config.toml").write_text(text)
    return tmp_path


def load(place: Path) -> Config:
    """Load as ``serve`` does."""
    return load_config(place / "config.toml", check=check_serving)


def test_certificate_and_key_that_fit_pass(place: Path) -> None:
    """No message if nothing is wrong."""
    assert load(place).http.tls_key == str(place / "key.pem")


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("cert.pem", None, "http.tls_certificate: {place}/cert.pem cannot be read: No such file"),
        ("key.pem", None, "http.tls_key: {place}/key.pem cannot be read: No such file"),
        ("cert.pem", "nonsense", "http.tls_certificate: cannot use the certificate {place}/cert"),
        ("key.pem", "nonsense", "http.tls_certificate: cannot use the certificate {place}/cert"),
    ],
)
def test_certificate_of_no_use_names_file_and_key(
    place: Path, file: str, content: str | None, told: str
) -> None:
    """A missing or non-PEM file is one line that names the source, the key and the file."""
    (place / file).unlink()
    if content is not None:
        (place / file).write_text(content)
    with pytest.raises(ConfigError) as caught:
        load(place)
    assert str(caught.value).startswith(f"{place}/config.toml: {told.format(place=place)}")


def test_key_of_another_certificate_is_refused(place: Path) -> None:
    """A half-copied renewal is found before players meet it."""
    other = trustme.CA().issue_cert("localhost", key_type=trustme.KeyType.ECDSA)
    (place / "key.pem").write_bytes(other.private_key_pem.bytes())
    with pytest.raises(ConfigError, match="the two do not belong together"):
        load(place)


def test_key_with_a_passphrase_is_refused_and_nobody_asked(
    place: Path, issued: trustme.LeafCert
) -> None:
    """Nobody is there to type it: the line says what to do instead."""
    plain = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    encoding, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (place / "key.pem").write_bytes(plain.private_bytes(encoding, kind, PASSPHRASE))
    done = run("serve", cwd=place)
    assert done.complaint == (
        "holdfast: config.toml: http.tls_key: key.pem has a passphrase: remove it with openssl pkey"
    )
    assert sorted(path.name for path in place.iterdir()) == ["cert.pem", "config.toml", "key.pem"]


async def test_address_is_free_again_after_the_check() -> None:
    """The check releases the address, so that the server itself can have it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = load_config(environ={"HOLDFAST_HTTP__PORT": str(port)})
        with pytest.raises(HttpBindError, match=f"127.0.0.1:{port}: Address already in use"):
            await check_address(config)
    await check_address(config)
    socket.create_server(("127.0.0.1", port)).close()


def test_address_is_tried_before_anything_is_made(tmp_path: Path) -> None:
    """A port in use or an unknown host is found before a world is made."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("serve", "--port", str(taken.getsockname()[1]), cwd=tmp_path)
    assert done.complaint.endswith("Address already in use")
    done = run("serve", "--host", "no.such.host.invalid", cwd=tmp_path)
    assert "cannot listen on no.such.host.invalid:8470" in done.complaint
    assert list(tmp_path.iterdir()) == []
    assert '"event"' not in done.stderr
