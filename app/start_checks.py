"""Checks made before anything is created or changed: whether the server can be reached at all.

They load the TLS files and listen on the address for a moment, so that a start that must fail does
so before the database is opened. Nothing listens until the world is ready: the system refuses
earlier connections, so a client knows at once that it has to retry.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from actors.database.dsn import check_dsn
from app.config import ConfigError
from app.http.listeners import open_listeners
from app.settings import check_settings

if TYPE_CHECKING:
    from app.config import Config


def check_serving(config: Config) -> None:
    """Reject a configuration that no server could be built with.

    Raises:
        ConfigError: a value has the wrong form for its key, or the TLS files are unusable.
        DatabaseUnavailable: ``database.dsn`` is malformed.
    """
    check_settings(config)
    if config.database.dsn:
        check_dsn(config.database.dsn)
    if config.http.tls_certificate:
        _check_tls(Path(config.http.tls_certificate), Path(config.http.tls_key))


async def check_address(config: Config) -> None:
    """Listen on the server's address, and stop at once.

    Raises:
        HttpBindError: the address cannot be listened on.
    """
    http = config.http
    listeners, _ = await open_listeners(http.host, http.port, http.backlog)
    for listener in listeners:
        listener.socket.close()


def _check_tls(certificate: Path, key: Path) -> None:
    for name, file in (("http.tls_certificate", certificate), ("http.tls_key", key)):
        try:
            file.read_bytes()
        except OSError as error:
            problem = f"{file.absolute()} cannot be read: {error.strerror}"
            raise _refusal(name, problem) from None

    # Called only for a key with a passphrase; without it OpenSSL would prompt on the terminal.
    def refuse_passphrase() -> str:
        problem = f"{key} has a passphrase: remove it with openssl pkey"
        raise _refusal("http.tls_key", problem)

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, refuse_passphrase)
    except ssl.SSLError as error:
        problem = f"cannot use the certificate {certificate} with {key}: {_reason(error)}"
        raise _refusal("http.tls_certificate", problem) from None


def _reason(error: ssl.SSLError) -> str:
    match error.reason:
        case "KEY_VALUES_MISMATCH" | "NO_CERTIFICATE_ASSIGNED":
            return "the two do not belong together"
        case str(reason) if reason:
            return reason.replace("_", " ").lower()
        case _:
            return "both must be PEM files"


def _refusal(key: str, problem: str) -> ConfigError:
    return ConfigError("the configuration", key, problem)
