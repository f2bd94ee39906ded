"""How many files the process may have open: a connection is one, and three with TLS."""

from __future__ import annotations

import resource
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from app.http.settings import HttpSettings

RESERVE: Final = 200
"""For all that is no connection served: the database, the log, listening, refusing."""

_WITH_TLS: Final = 3
"""The client's socket and a pair of the process's own; see `app.http.tls`."""


def files_needed(settings: HttpSettings) -> int:
    """Tell how many files are open when as many connections are as may be."""
    return settings.connections_max * _files_each(settings) + RESERVE


def _files_each(settings: HttpSettings) -> int:
    return 1 if settings.tls is None else _WITH_TLS


def within_open_files(settings: HttpSettings) -> HttpSettings:
    """Give settings under which no more connections are served than there are files for.

    Connections that took the last file would keep the server from its database, once it had to
    connect to that anew, for as long as they stay; event streams stay for days.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY or limit >= files_needed(settings):
        return settings
    left = limit - min(RESERVE, limit // 2)
    return replace(settings, connections_max=max(1, left // _files_each(settings)))


def allow_open_files(settings: HttpSettings, *, log: FilteringBoundLogger) -> None:
    """Raise the process's limit of open files as far as the system lets it.

    The usual soft limit is there for programs that use ``select``, which this one does not. Where
    what is allowed is too little for ``http.connections_max``, a warning says so, and how many
    connections will be served: see `within_open_files`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):  # Not every system lets it be as much as it says.
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = files_needed(settings)
    if soft != resource.RLIM_INFINITY and soft < needed:
        served = within_open_files(settings).connections_max
        log.warning("open_files_scarce", limit=soft, needed=needed, connections=served)
