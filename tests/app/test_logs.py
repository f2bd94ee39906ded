"""What logs promise: one structured event per line, nothing secret, never a failure."""

from __future__ import annotations

import gc
import io
import logging
import threading
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from app.config import Log
from app.log_lines import writing_behind
from app.logs import SECRET_FIELDS, make_logger, open_logs
from app.recent import RecentEvents

if TYPE_CHECKING:
    from collections.abc import Generator

WAIT_S = 10.0

JSON = Log(format="json")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


class Hostile:
    """An object whose representation is given."""

    def __repr__(self) -> str:
        """Return it as it is."""
        return HOSTILE


class Broken(io.StringIO):
    """A stream whose reader has gone."""

    def write(self, _text: str) -> int:
        """Fail as a closed pipe does."""
        raise BrokenPipeError


def fail() -> None:
    """Fail with something in a local variable."""
    variable = "hunter" + "2"
    raise RuntimeError(f"broken after {len(variable)} characters")


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    """Read back JSON lines."""
    return [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]


def test_logs_write_one_json_object_per_event() -> None:
    """Off a terminal an event is one JSON line with its fields, level and UTC time."""
    stream = io.StringIO()
    make_logger(Log(), stream).info("actor_restarted", actor="storage", attempt=2, path=Path("x"))
    (event,) = events(stream)
    told = datetime.fromisoformat(event.pop("timestamp"))
    assert told.utcoffset() == timedelta(0)
    assert event == {
        "event": "actor_restarted",
        "level": "info",
        "actor": "storage",
        "attempt": 2,
        "path": "x",
    }


@pytest.mark.parametrize(("format_", "json"), [("auto", False), ("json", True)])
def test_logs_on_a_terminal_are_for_people_unless_told_otherwise(format_: Any, json: bool) -> None:
    """On a terminal `auto` is the readable form, and `json` stays JSON."""
    stream = Terminal()
    make_logger(Log(format=format_), stream).info("ready", port=8470)
    assert stream.getvalue().startswith("{") is json
    assert "ready" in stream.getvalue()


def test_logs_of_the_console_form_have_no_colours_off_a_terminal() -> None:
    """A log file contains no escape sequences."""
    stream = io.StringIO()
    make_logger(Log(format="console"), stream).warning("odd", seen=1)
    assert "\x1b" not in stream.getvalue()
    assert "seen=1" in stream.getvalue()


def test_logs_below_the_level_are_not_written() -> None:
    """The configured level is the lowest that is written."""
    stream = io.StringIO()
    logger = make_logger(Log(format="json", level="warning"), stream)
    logger.info("quiet")
    logger.warning("loud")
    assert [event["event"] for event in events(stream)] == ["loud"]


@pytest.mark.parametrize("format_", ["json", "console"])
def test_logs_show_a_traceback_without_its_variables(format_: Any) -> None:
    """A crash is logged with its location, without the values of variables."""
    stream = Terminal()
    logger = make_logger(Log(format=format_), stream)
    try:
        fail()
    except RuntimeError:
        logger.exception("crashed")
    assert "RuntimeError: broken" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


HOSTILE = "\x1b[2J\x1b]0;title\x07\x7f\x9b31m\x85fake\u2028line\u202eevil\u2066\ufeff\ud800\r\n2030"


@pytest.mark.parametrize("terminal", [True, False])
def test_logs_for_people_write_nothing_that_a_terminal_obeys(terminal: bool) -> None:
    """Text from a client is written with escapes: it draws, moves, colours and breaks nothing."""
    stream = Terminal() if terminal else io.StringIO()
    logger = make_logger(Log(format="console"), stream)
    logger.info(
        "odd",
        path=f"/{HOSTILE}",
        plain="/\x1b[2J",
        nested={HOSTILE: [HOSTILE]},
        thing=Hostile(),
        **{f"key{HOSTILE}": 1},
    )
    text = stream.getvalue()
    own = {f"\x1b[{code}m" for code in ("0", "1", "2", "31", "32", "33", "35", "36")}
    for sequence in own if terminal else ():
        text = text.replace(sequence, "")
    assert text.count("\n") == 1
    assert text.removesuffix("\n").isprintable()
    assert r"plain=/\x1b[2J" in text or r"plain='/\x1b[2J'" in text
    assert text.count(r"\u202eevil\u2066\ufeff\ud800\r\n2030") == 5
    assert "\\\\" not in text


def test_logs_for_people_leave_what_can_be_read_as_it_is() -> None:
    """Letters of every script stay, and so do backslashes and numbers."""
    stream = io.StringIO()
    logger = make_logger(Log(format="console"), stream)
    logger.info("read", name="Zoë名前", path="a\\b", count=3, spaced="a b", items=["ö"])
    assert stream.getvalue().endswith("count=3 items=['ö'] name=Zoë名前 path=a\\b spaced='a b'\n")


def test_logs_show_a_traceback_whose_text_is_hostile() -> None:
    """A traceback keeps its lines; none of them can pass for an event or control the terminal."""
    stream = io.StringIO()
    logger = make_logger(Log(format="console"), stream)
    logger.error("crashed", exc_info=ValueError(f"first {HOSTILE} [error] forged"))
    first, *traceback = stream.getvalue().removesuffix("\n").split("\n")
    assert "crashed" in first
    assert all(line.startswith("  ") and line.isprintable() for line in traceback)
    assert traceback[-2].startswith(r"  ValueError: first \x1b[2J\x1b]0;title\x07")
    assert traceback[-1] == "  2030 [error] forged"


def test_logs_in_json_are_lines_whoever_splits_them() -> None:
    """Whatever some readers take for a line ending, or a terminal for a command, is escaped."""
    stream = io.StringIO()
    hostile = HOSTILE.replace("\ud800", "\U000e0001")
    make_logger(JSON, stream).info("odd", path=hostile, nested=[hostile])
    (event,) = events(stream)
    assert event["path"] == hostile
    assert event["nested"] == [hostile]
    assert stream.getvalue().removesuffix("\n").isprintable()


@pytest.mark.parametrize("value", ["/etc/\udcff/key.pem", ["\ud800"], {"a\udcff": "b\x1b"}])
def test_logs_in_json_write_what_is_no_unicode(value: object) -> None:
    """A path may hold any byte: it is written with escapes and fails nowhere."""
    stream, recent = io.StringIO(), RecentEvents(10)
    make_logger(JSON, stream, recent=recent).warning("odd", file=value, count=3, name="Zoë")
    (event,) = events(stream)
    assert (event["event"], event["count"], event["name"]) == ("odd", 3, "Zoë")
    assert r"\ud" in event["file"]
    (kept,) = recent.read(None, level="info", limit=10).entries
    assert msgspec.json.encode(kept)


@pytest.mark.parametrize("field", sorted(SECRET_FIELDS))
def test_logs_never_write_a_secret_field(field: str) -> None:
    """If a secret is ever logged by mistake, its value is left out."""
    stream = io.StringIO()
    make_logger(JSON, stream).info("event", **{field: "swordfish"})
    assert events(stream)[0][field] == "***"


def test_logs_to_a_broken_stream_fail_nobody() -> None:
    """Logging continues if the reader has gone or the stream was closed."""
    closed = io.StringIO()
    loggers = [make_logger(JSON, Broken()), make_logger(JSON, closed)]
    closed.close()
    for logger in loggers:
        logger.info("unheard")
        logger.error("unheard too")


def test_logs_carry_the_standard_librarys_records() -> None:
    """Log records of hypercorn or asyncio have the same form, exceptions included."""
    stream = io.StringIO()
    with open_logs(JSON, stream):
        logging.getLogger("hypercorn.error").info("Running on %s", "here")
        try:
            fail()
        except RuntimeError:
            logging.getLogger("asyncio").exception("odd")
    running, odd = events(stream)
    assert running["event"] == "library_message"
    assert running["logger"] == "hypercorn.error"
    assert running["message"] == "Running on here"
    assert running["level"] == "info"
    assert odd["level"] == "error"
    assert "RuntimeError: broken" in odd["exception"]


def test_logs_carry_a_record_that_cannot_be_formatted() -> None:
    """A library's own logging mistake is passed on, not raised."""
    stream = io.StringIO()
    with open_logs(JSON, stream):
        record = logging.LogRecord("library", logging.INFO, "f", 1, "%d items", ("many",), None)
        logging.getLogger().handlers[-1].handle(record)
    assert events(stream)[0]["message"] == "%d items"


@contextmanager
def collections_that_log() -> Generator[None]:
    """Make daemon threads collect as often as possible, and log then, as futures' finalizers do."""
    thresholds, library = gc.get_threshold(), logging.getLogger("library")

    def tell(phase: str, _info: object) -> None:
        if phase == "stop" and threading.current_thread().daemon:
            library.error("never retrieved")

    gc.callbacks.append(tell)
    gc.set_threshold(1, 1_000_000)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(tell)


def test_logs_wait_for_no_log_call_that_comes_in_the_middle_of_another() -> None:
    """A finalizer that logs may run anywhere, whatever lock of the log its thread holds."""
    done = threading.Event()
    recent = RecentEvents(10)

    def chatter() -> None:
        with writing_behind(io.StringIO()) as lines, open_logs(JSON, lines, recent=recent) as log:
            for number in range(100):
                log.info("own", numbers=[number])
                logging.getLogger("library").warning("theirs")
                recent.read(None, level="info", limit=1)
        done.set()

    with collections_that_log():
        threading.Thread(target=chatter, daemon=True).start()
        assert done.wait(WAIT_S)
    page = recent.read(0, level="info", limit=10)
    numbers = [entry.seq for entry in page.entries]
    assert (len(set(numbers)), max(numbers)) == (10, page.last)


def test_logs_take_a_log_call_from_within_a_write() -> None:
    """This holds for any other stream too, each line whole."""
    done = threading.Event()

    class Telling(io.StringIO):
        def write(self, text: str) -> int:
            if "outer" in text:
                log.info("inner")
            return super().write(text)

    stream = Telling()
    log = make_logger(JSON, stream)

    def tell() -> None:
        log.info("outer")
        done.set()

    threading.Thread(target=tell, daemon=True).start()
    assert done.wait(WAIT_S)
    assert [event["event"] for event in events(stream)] == ["inner", "outer"]


def test_logs_leave_the_standard_library_as_it_was() -> None:
    """A closed log takes nothing more, and the level of `logging` is restored."""
    stream = io.StringIO()
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    with open_logs(JSON, stream):
        pass
    assert (root.level, list(root.handlers)) == before
    root.warning("after")
    assert not stream.getvalue()


def test_logs_never_let_libraries_speak_at_debug() -> None:
    """At level debug Holdfast logs its details; libraries, whose details may be secret, do not."""
    stream = io.StringIO()
    with open_logs(Log(format="json", level="debug"), stream) as logger:
        logger.debug("detail")
        logging.getLogger("library").debug("frame with a token")
    assert [event["event"] for event in events(stream)] == ["detail"]
