"""Logs: structured events on standard error, for a person on a terminal or as JSON lines.

`open_logs` builds one logger, which is passed to every part that logs, and routes `logging`
(hypercorn, quart, asyncio) into it while it is open. The only globals are the standard library's
own, and the context variable that holds what each task is handling.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from io import StringIO
from threading import RLock
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol, cast

import msgspec
import structlog
from structlog.processors import TimeStamper, add_log_level, format_exc_info
from structlog.typing import FilteringBoundLogger

from app.log_lines import LineWriter
from app.printable import make_printable, printable_json, printable_lines

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from typing import TextIO

    from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

    from app.config import Log

Logger = FilteringBoundLogger

LEVELS: Final = MappingProxyType(
    {
        "debug": logging.DEBUG,
        "info": logging.INFO,
        "warning": logging.WARNING,
        "error": logging.ERROR,
    }
)

SECRET_FIELDS: Final = frozenset(
    {
        "access_token",
        "authorization",
        "cookie",
        "current_password",
        "dsn",
        "new_password",
        "password",
        "refresh_token",
        "secret",
        "token",
    }
)
"""Fields whose values are never written, even if one is logged by mistake."""


class LogStream(Protocol):
    """What events are written to: any text stream will do."""

    def write(self, text: str, /) -> int:
        """Write some lines."""
        ...

    def flush(self) -> None:
        """Write out what is buffered."""
        ...

    def isatty(self) -> bool:
        """Whether a person reads it on a terminal."""
        ...


class Handled(Protocol):
    """What a task is working on, where that is one request."""

    def log_fields(self) -> Mapping[str, object]:
        """Return the fields to bind to each event logged meanwhile."""
        ...


HANDLED: ContextVar[Handled | None] = ContextVar("handled", default=None)
"""What this task, and those it starts, are handling: concurrent requests are never mixed up."""


class handling:  # noqa: N801 - used as a function would be
    """Bind what this task, and those it starts, log inside the block to ``subject``."""

    # A class because it costs half as much as a generator.
    __slots__ = ("_subject", "_token")

    def __init__(self, subject: Handled) -> None:
        self._subject = subject

    def __enter__(self) -> None:
        """Start binding."""
        self._token = HANDLED.set(self._subject)

    def __exit__(self, *_: object) -> None:
        """Restore the previous binding."""
        HANDLED.reset(self._token)


@contextmanager
def open_logs(
    settings: Log, stream: LogStream, *, recent: Processor | None = None
) -> Generator[Logger]:
    """Yield the logger, and route the standard library's `logging` into it until the end.

    ``recent`` as for `make_logger`. If the stream cannot be written to, events are lost; logging
    never fails the caller.
    """
    logger = make_logger(settings, stream, recent=recent)
    handler = _Bridge(logger)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    # Libraries are chatty below warnings, and their `debug` messages may hold secrets.
    root.setLevel(max(LEVELS[settings.level], logging.INFO))
    try:
        yield logger
    finally:
        root.setLevel(before)
        root.removeHandler(handler)


def make_logger(settings: Log, stream: LogStream, *, recent: Processor | None = None) -> Logger:
    """Return a logger that writes one event per line to ``stream`` (UTC times, ISO 8601).

    ``recent`` receives each event before it is written, with secrets redacted.
    """
    terminal = stream.isatty()
    console = settings.format == "console" or (settings.format == "auto" and terminal)
    processors: list[Processor] = [
        add_log_level,
        TimeStamper(fmt="iso", utc=True),
        bind_handled,
        _hide_secrets,
    ]
    if recent is not None:
        processors.append(recent)
    if console:
        render = structlog.dev.ConsoleRenderer(
            colors=terminal, exception_formatter=_write_traceback
        )
        processors += [make_printable, render]
    else:
        processors += [format_exc_info, _render_json]
    logger = structlog.wrap_logger(
        _Lines(stream),
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[settings.level]),
        cache_logger_on_first_use=True,
    )
    return cast("Logger", logger.bind())


class _Lines:
    """Writes each event whole, whichever thread it comes from.

    A finalizer in the same thread may log halfway through a write; it does not deadlock.
    """

    def __init__(self, stream: LogStream) -> None:
        self._stream = stream
        # A `LineWriter` has its own lock, which its thread may hold while a finalizer wants ours.
        self._lock = nullcontext() if isinstance(stream, LineWriter) else RLock()

    def msg(self, line: str) -> None:
        """Write one event; a stream that is closed or broken swallows it."""
        with self._lock, suppress(OSError, ValueError):
            self._stream.write(f"{line}\n")
            self._stream.flush()

    debug = info = warning = error = critical = exception = msg


class _Bridge(logging.Handler):
    """Passes the records of `logging` to the logger, as events that name their logger."""

    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self._logger = logger

    def handle(self, record: logging.LogRecord) -> bool:
        """Pass a record on without the handler's lock, for the reason that `_Lines` has none."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on; one that cannot be formatted is logged as it stands."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        self._logger.log(
            record.levelno,
            "library_message",
            logger=record.name,
            message=message,
            exc_info=record.exc_info,
        )


def bind_handled(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Add the fields of what is being handled (see `handling`); an event's own fields win."""
    handled = HANDLED.get()
    if handled is not None:
        for name, value in handled.log_fields().items():
            event.setdefault(name, value)
    return event


def _hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Redact fields that may hold a secret."""
    for name in SECRET_FIELDS.intersection(event):
        event[name] = "***"
    return event


def _render_json(logger: WrappedLogger, method: str, event: EventDict) -> str:
    """Write an event as one line of JSON; values that JSON cannot represent become text."""
    head = {name: event[name] for name in ("timestamp", "level", "event")}
    try:
        line = msgspec.json.encode({**head, **event}, enc_hook=str)
    except UnicodeEncodeError:
        # A lone surrogate, as in a path that is not UTF-8, cannot be encoded.
        line = msgspec.json.encode(make_printable(logger, method, {**head, **event}), enc_hook=str)
    return printable_json(line.decode())


def _write_traceback(stream: TextIO, exc_info: ExcInfo) -> None:
    """Write a plain traceback: the pretty ones show local variables, and so secrets."""
    plain = StringIO()
    structlog.dev.plain_traceback(plain, exc_info)
    stream.write("\n" + printable_lines(plain.getvalue().strip("\n")))
