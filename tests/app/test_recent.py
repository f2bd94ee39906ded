"""What the ring of recent events promises: the last ones, in order, short, and never a secret."""

from __future__ import annotations

import io
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config import Log
from app.logs import make_logger, open_logs
from app.recent import FIELDS_MAX, SEVERITY, TEXT_MAX, RecentEvents

if TYPE_CHECKING:
    from app.recent import RecentPage

JSON = Log(format="json", level="debug")


def logging_to(recent: RecentEvents) -> Any:
    """Make a logger that feeds a ring."""
    return make_logger(JSON, io.StringIO(), recent=recent)


def names(page: RecentPage) -> list[str]:
    """Return the events of a page by name."""
    return [entry.event for entry in page.entries]


def test_recent_keeps_an_event_without_its_objects() -> None:
    """An event has its number, time, level and name; a field is a number, or else text."""
    recent = RecentEvents(10)
    logging_to(recent).warning("tick_delayed", tick=7, error="no way", actors=("a", "b"))
    (entry,) = recent.read(None, level="debug", limit=10).entries
    assert (entry.seq, entry.level, entry.event) == (1, "warning", "tick_delayed")
    assert entry.at.endswith("Z")
    assert entry.fields == {"tick": 7, "error": "no way", "actors": "('a', 'b')"}


def test_recent_never_holds_a_secret() -> None:
    """Whatever is redacted in the log is redacted here."""
    recent = RecentEvents(10)
    logging_to(recent).info("oops", password="hunter2", dsn="postgresql://u:hunter2@h/d")
    (entry,) = recent.read(None, level="debug", limit=10).entries
    assert entry.fields == {"password": "***", "dsn": "***"}


def test_recent_never_holds_much() -> None:
    """Long values are cut, excess fields are left out, and no object is kept alive."""
    recent = RecentEvents(2)
    fields = {f"field{number}": "x" * 10_000 for number in range(100)}
    logging_to(recent).info("y" * 10_000, **fields)
    (entry,) = recent.read(None, level="debug", limit=10).entries
    assert len(entry.event) == TEXT_MAX
    assert FIELDS_MAX <= len(entry.fields) <= FIELDS_MAX + 4
    assert {len(str(text)) for text in entry.fields.values()} == {TEXT_MAX}
    assert entry.event.endswith("y…")


@pytest.mark.parametrize("form", ["given", "current", "tuple"])
def test_recent_tells_an_exception_in_one_line(form: str) -> None:
    """Type and message of the error, however it was passed."""
    recent = RecentEvents(10)
    log = logging_to(recent)
    try:
        int("far too much")
    except ValueError as error:
        given = (type(error), error, error.__traceback__) if form == "tuple" else error
        log.exception("request_failed", exc_info=True if form == "current" else given)
    (entry,) = recent.read(None, level="debug", limit=10).entries
    assert entry.fields.keys() == {"exception"}
    assert str(entry.fields["exception"]).startswith("ValueError: invalid literal for int()")


def test_recent_hears_what_libraries_say() -> None:
    """Records from `logging` are kept like all others, and written as without a ring."""
    recent, stream = RecentEvents(10), io.StringIO()
    with open_logs(JSON, stream, recent=recent):
        logging.getLogger("some.library").warning("careful: %d", 3)
    (entry,) = recent.read(None, level="warning", limit=10).entries
    assert entry.fields == {"logger": "some.library", "message": "careful: 3"}
    assert "careful: 3" in stream.getvalue()


def test_recent_leaves_out_what_is_not_logged() -> None:
    """Events below the log's level are not kept either."""
    recent = RecentEvents(10)
    log = make_logger(Log(level="warning"), io.StringIO(), recent=recent)
    log.info("quiet")
    log.warning("loud")
    assert names(recent.read(None, level="debug", limit=10)) == ["loud"]


def test_recent_filters_by_level() -> None:
    """The minimum level is given; `next` resumes behind the events skipped."""
    recent = RecentEvents(10)
    log = logging_to(recent)
    for level in ("debug", "info", "warning", "error", "critical"):
        getattr(log, level)(level)
    for least in SEVERITY:
        page = recent.read(0, level=least, limit=10)
        assert names(page) == list(SEVERITY)[list(SEVERITY).index(least) :]
        assert (page.last, page.dropped) == (5, 0)
    with pytest.raises(KeyError):
        recent.read(0, level="loud", limit=10)


def test_recent_begins_with_the_latest() -> None:
    """Without a starting point, the latest events are returned."""
    recent = RecentEvents(10)
    log = logging_to(recent)
    for number in range(5):
        log.info(str(number))
    page = recent.read(None, level="debug", limit=2)
    assert (names(page), page.last, page.dropped) == (["3", "4"], 5, 0)


def test_recent_counts_what_it_let_go_of() -> None:
    """A reader that comes too late learns how many it has missed."""
    recent = RecentEvents(3)
    log = logging_to(recent)
    for number in range(8):
        log.info(str(number))
    page = recent.read(2, level="debug", limit=10)
    assert (names(page), page.last, page.dropped) == (["5", "6", "7"], 8, 3)
    assert recent.read(5, level="debug", limit=10).dropped == 0


def test_recent_takes_a_number_of_an_earlier_process_for_none() -> None:
    """After a restart, a reader that resumes where it was receives everything."""
    recent = RecentEvents(3)
    logging_to(recent).info("began")
    page = recent.read(5_000, level="debug", limit=10)
    assert (names(page), page.last) == (["began"], 1)


@given(
    size=st.integers(1, 8),
    limit=st.integers(1, 5),
    bursts=st.lists(st.integers(0, 12), max_size=8),
)
def test_recent_reader_sees_each_event_once_or_counts_it(
    size: int, limit: int, bursts: list[int]
) -> None:
    """However events and reads interleave, those read and those dropped add up to all."""
    recent = RecentEvents(size)
    after = seen = dropped = 0
    sent = 0
    for burst in bursts:
        for _ in range(burst):
            sent += 1
            recent(None, "info", {"timestamp": "t", "level": "info", "event": str(sent)})
        page = recent.read(after, level="info", limit=limit)
        assert len(page.entries) <= limit
        assert all(entry.event == str(entry.seq) for entry in page.entries)
        seen, dropped, after = seen + len(page.entries), dropped + page.dropped, page.last
        assert seen + dropped == after <= sent


def test_recent_is_filled_from_any_thread() -> None:
    """Threads that log concurrently leave no gap and no duplicate."""
    recent = RecentEvents(1_000)
    log = logging_to(recent)

    def chatter() -> None:
        for _ in range(100):
            log.info("word")

    threads = [threading.Thread(target=chatter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    page = recent.read(0, level="info", limit=1_000)
    assert [entry.seq for entry in page.entries] == list(range(1, 401))
