"""How many files the process may have open: one for each connection, three with TLS."""

from __future__ import annotations

import resource
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from app.http.settings import HttpSettings

RESERVE: Final = 200
"""For everything but served connections: the database, the log, listening, refusing."""

_WITH_TLS: Final = 3
"""The client's socket and a pair of the process's own; see `app.http.tls`."""


def files_needed(settings: HttpSettings) -> int:
    """Return how many files are open at the maximum number of connections."""
    return settings.connections_max * _files_each(settings) + RESERVE


def _files_each(settings: HttpSettings) -> int:
    return 1 if settings.tls is None else _WITH_TLS


def within_open_files(settings: HttpSettings) -> HttpSettings:
    """Return settings that serve no more connections than there are files for.

    Connections that held the last files would keep the server from reconnecting to its database
    for as long as they stay open; event streams stay for days.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY or limit >= files_needed(settings):
        return settings
    left = limit - min(RESERVE, limit // 2)
    return replace(settings, connections_max=max(1, left // _files_each(settings)))


def allow_open_files(settings: HttpSettings, *, log: FilteringBoundLogger) -> None:
    """Raise the process's limit of open files as far as the system allows.

    The usual soft limit protects programs that use ``select``; this one does not. If the limit is
    too low for ``http.connections_max``, a warning says so and gives the number of connections
    that will be served: see `within_open_files`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):  # Not every system grants the hard limit it reports.
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = files_needed(settings)
    if soft != resource.RLIM_INFINITY and soft < needed:
        served = within_open_files(settings).connections_max
        log.warning("open_files_scarce", limit=soft, needed=needed, connections=served)
