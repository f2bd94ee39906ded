"""Fills each part's settings from the configuration; the two meet only here."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from actors.authx.keys import KeyRing, KeyRingError
from actors.authx.settings import AuthxSettings
from actors.inventory import InventoriesSettings
from actors.storage import StorageSettings
from actors.supervisor import RestartLimits
from app.config import ConfigError
from app.http.addresses import Addresses
from app.http.settings import HttpSettings
from app.http.streams import StreamSettings

if TYPE_CHECKING:
    from app.config import Config


_ORIGIN: Final = re.compile(
    r"\*|null|(?!http://.*:80\Z|https://.*:443\Z)"
    r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?"
)
"""An origin as browsers send it: a scheme, a host, and a port unless it is the default one."""

_CONNECTIONS_BESIDE: Final = 36
"""Connections for the rest of the server, for commands run beside it, and for lost ones."""


def check_settings(config: Config) -> None:
    """Reject values that a part could not be built with, before any part is built.

    Raises:
        ConfigError: a text value does not have the form that its key needs.
    """
    http_settings(config)
    renamed(config)
    _check_speed(config)
    _check_keys(config)
    _check_tracing(config)


def http_settings(config: Config) -> HttpSettings:
    """Fill the settings of the HTTP front.

    Raises:
        ConfigError: ``http.exempt_addresses`` or ``http.trusted_proxies`` are not addresses,
            ``http.cors_origins`` are not sites, or only one of certificate and key is set.
    """
    http = config.http
    return HttpSettings(
        host=http.host,
        port=http.port,
        fast_lane=http.fast_lane,
        tls=_tls(config),
        security_headers=http.security_headers,
        cors_origins=_origins(http.cors_origins),
        reply_timeout_ms=http.reply_timeout_ms,
        max_body_bytes=http.max_body_bytes,
        max_header_bytes=http.max_header_bytes,
        max_target_bytes=http.max_target_bytes,
        headers_max=http.headers_max,
        pipelined_max=http.pipelined_max,
        backlog=http.backlog,
        connections_max=http.connections_max,
        connections_per_address_max=http.connections_per_address_max,
        exempt_addresses=_addresses("http.exempt_addresses", http.exempt_addresses),
        trusted_proxies=_addresses("http.trusted_proxies", http.trusted_proxies),
        requests_per_second_per_account=http.requests_per_second_per_account,
        burst_per_account=http.burst_per_account,
        requests_per_second_per_address=http.requests_per_second_per_address,
        burst_per_address=http.burst_per_address,
        in_flight_max=http.in_flight_max,
        bodies_in_flight_max_bytes=http.bodies_in_flight_max_bytes,
        first_byte_timeout_ms=http.first_byte_timeout_ms,
        read_timeout_ms=http.read_timeout_ms,
        body_timeout_ms=http.body_timeout_ms,
        keep_alive_timeout_ms=http.keep_alive_timeout_ms,
        send_timeout_ms=http.send_timeout_ms,
        shutdown_timeout_ms=config.shutdown.http_ms,
    )


def _tls(config: Config) -> tuple[Path, Path] | None:
    certificate, key = config.http.tls_certificate, config.http.tls_key
    if bool(certificate) != bool(key):
        there, missing = ("certificate", "key") if certificate else ("key", "certificate")
        problem = f"needs http.tls_{missing} as well, to serve HTTPS"
        raise ConfigError("the configuration", f"http.tls_{there}", problem)
    return (Path(certificate), Path(key)) if certificate else None


def _check_speed(config: Config) -> None:
    if config.world.speed is not None and "speed" in config.world.parameters:
        problem = "is set in world.parameters too: only one of them can hold"
        raise ConfigError("the configuration", "world.speed", problem)


def _check_keys(config: Config) -> None:
    if not config.auth.key:
        return
    try:
        KeyRing.parse(config.auth.key.reveal())
    except KeyRingError as error:
        raise ConfigError("the configuration", "auth.key", str(error)) from None


def _check_tracing(config: Config) -> None:
    endpoint = config.tracing.endpoint
    try:
        url = urlsplit(endpoint)
        usable = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if endpoint and not usable:
        # It is not shown: it may contain a password.
        problem = 'must be a URL, like "http://localhost:4318/v1/traces"'
        raise ConfigError("the configuration", "tracing.endpoint", problem)


def _origins(text: str) -> frozenset[str]:
    origins = frozenset(site for each in text.split(",") if (site := each.strip()))
    for origin in sorted(origins):
        if not _ORIGIN.fullmatch(origin):
            problem = (
                'must be origins as browsers send them, like "https://play.example.org" or '
                '"http://localhost:5173": in lower case, without a path or default port, not '
                f'"{origin}"'
            )
            raise ConfigError("the configuration", "http.cors_origins", problem)
    return origins


def _addresses(key: str, text: str) -> Addresses:
    try:
        return Addresses.parse(text)
    except ValueError as error:
        raise ConfigError("the configuration", key, str(error)) from None


def stream_settings(config: Config) -> StreamSettings:
    """Fill the settings of the event streams."""
    return StreamSettings(
        heartbeat_seconds=config.events.heartbeat_seconds,
        streams_per_account_max=config.events.streams_per_account_max,
        login_seconds=config.http.read_timeout_ms / 1000,
    )


def authx_settings(config: Config) -> AuthxSettings:
    """Fill the settings of Authx."""
    auth = config.auth
    # The other half of the reply timeout is for the work after the wait.
    wait_ms = max(1, config.http.reply_timeout_ms // 2)
    return AuthxSettings(
        issuer=auth.issuer,
        audience=auth.issuer,
        token_seconds=auth.token_seconds,
        refresh_seconds=auth.refresh_seconds,
        session_days_max=auth.session_days_max,
        password_length_min=auth.password_length_min,
        password_length_max=auth.password_length_max,
        argon2_time_cost=auth.argon2_time_cost,
        argon2_memory_kib=auth.argon2_memory_kib,
        argon2_parallelism=auth.argon2_parallelism,
        hash_workers=auth.hash_workers,
        hash_queue=auth.hash_queue,
        hash_wait_ms=wait_ms,
        registration_open=auth.registration == "open",
        registrations_per_address=auth.registrations_per_address,
        attempts_per_user=auth.attempts_per_user,
        attempts_per_user_anywhere=auth.attempts_per_user_anywhere,
        attempts_per_address=auth.attempts_per_address,
        attempt_delay_max_seconds=auth.attempt_delay_max_seconds,
        attempt_window_seconds=auth.attempt_window_seconds,
        sessions_per_account_max=auth.sessions_per_account_max,
        database_connections=auth.database_connections,
        refresh_wait_ms=wait_ms,
        shutdown_ms=config.shutdown.storage_ms,
    )


def storage_settings(config: Config) -> StorageSettings:
    """Fill the settings of Storage."""
    storage = config.storage
    return StorageSettings(
        queue_max=storage.queue_max,
        batch_units_max=storage.batch_units_max,
        read_workers=storage.read_connections,
    )


def embedded_postgres_settings(config: Config) -> dict[str, str]:
    """Fill the settings of the embedded PostgreSQL: it admits every connection of this server."""
    own = config.storage.read_connections + config.auth.database_connections
    return {"max_connections": str(own + _CONNECTIONS_BESIDE)}


def inventories_settings(config: Config) -> InventoriesSettings:
    """Fill the settings of the inventories."""
    inventory = config.inventory
    return InventoriesSettings(
        idle_seconds=inventory.idle_seconds,
        live_max=inventory.live_max,
        mailbox_max=inventory.mailbox_max,
    )


def restart_limits(config: Config) -> RestartLimits:
    """Fill the limits of the supervisor."""
    supervisor = config.supervisor
    return RestartLimits(
        restarts_max=supervisor.restarts_max,
        window_seconds=supervisor.window_seconds,
        backoff_ms=supervisor.backoff_ms,
        backoff_max_ms=supervisor.backoff_max_ms,
    )


def postgres_limits(config: Config) -> RestartLimits:
    """Fill the limits of the embedded PostgreSQL, which is restarted without limit.

    Restarting the server would not fix what keeps ending it, such as a full disk.
    """
    return replace(restart_limits(config), restarts_max=sys.maxsize)


def renamed(config: Config) -> dict[str, str]:
    """Parse ``world.renamed``, the new names of what a changed ruleset has renamed.

    Raises:
        ConfigError: ``world.renamed`` is not a list of ``old=new``, each old name once.
    """
    pairs: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in config.world.renamed.split(","))):
        old, equals, new = (piece.strip() for piece in part.partition("="))
        if not (old and equals and new):
            problem = f'must be "old=new, old=new, …", not {part!r}'
            raise ConfigError("the configuration", "world.renamed", problem)
        if old in pairs:
            problem = f"gives {old} two new names, {pairs[old]} and {new}"
            raise ConfigError("the configuration", "world.renamed", problem)
        pairs[old] = new
    return pairs
