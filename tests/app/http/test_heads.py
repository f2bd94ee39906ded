"""Heads that come again and again are read once."""

from __future__ import annotations

import pytest

from app.http.errors import HeadersTooLarge, MalformedRequest
from app.http.heads import HEAD_BYTES_MAX, HEADERS_MAX, HEADS_MAX, HeadReader
from app.http.settings import HttpSettings


def get(path: str, *more: str) -> bytes:
    """Write the head of a GET."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: here", *more, "", ""]).encode()


def test_head_reader_knows_what_came_before() -> None:
    """The same bytes give the same head; others are read."""
    reader = HeadReader(HttpSettings())
    first = reader.read(get("/a%20b?c=d"))
    assert (first.path, first.query, first.length) == ("/a b", b"c=d", 0)
    assert reader.read(get("/a%20b?c=d")) is first
    assert reader.read(get("/a%20b?c=e")).query == b"c=e"
    assert reader.read(get("/a%20b?c=d", "X: y")).fields.all(b"x") == [b"y"]


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n",
        get("/", "X: " + HEAD_BYTES_MAX * "y"),
        get("/", *(f"X{number}: y" for number in range(HEADERS_MAX))),
    ],
)
def test_head_reader_keeps_no_command_and_nothing_large(head: bytes) -> None:
    """What has a body, or is large, is read each time."""
    reader = HeadReader(HttpSettings())
    assert reader.read(head) is not reader.read(head)


def test_head_reader_refuses_again_what_it_refused() -> None:
    """A head that is not to be served is known no better the second time."""
    reader = HeadReader(HttpSettings())
    for _ in range(2):
        with pytest.raises(MalformedRequest):
            reader.read(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(HeadersTooLarge):
            reader.read(get("/", "X: " + reader.limits.bytes_max * "y"))


def test_head_reader_is_bounded() -> None:
    """Who makes up ever new heads fills nothing."""
    reader = HeadReader(HttpSettings())
    first = reader.read(get("/0"))
    for number in range(1, HEADS_MAX + 1):
        reader.read(get(f"/{number}"))
    assert len(reader._known) <= HEADS_MAX
    assert reader.read(get("/0")) is not first
