"""Request heads are read strictly: whatever two servers could read differently is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.errors import (
    HeadersTooLarge,
    HttpError,
    HttpVersionNotSupported,
    MalformedRequest,
    NotImplementedByServer,
    TargetTooLong,
)
from app.http.head import HeadLimits, check_begun, parse_head

LIMITS = HeadLimits(bytes_max=1_000, target_bytes_max=100, headers_max=5, body_bytes_max=1_000)


def head(*lines: bytes, first: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: x") -> bytes:
    """Write out a head."""
    return b"\r\n".join([line for line in (first, host, *lines) if line]) + b"\r\n\r\n"


def test_head_is_taken_apart() -> None:
    """Names are in lower case, values without the space around them."""
    parsed = parse_head(head(b"A-b: \t c d \t", first=b"POST /p?q=1 HTTP/1.1"), LIMITS)
    assert (parsed.method, parsed.target, parsed.version) == ("POST", b"/p?q=1", b"1.1")
    assert parsed.fields.items() == [(b"host", b"x"), (b"a-b", b"c d")]
    assert (parsed.length, parsed.keep_alive, parsed.expects_continue) == (0, True, False)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"\r\n" + head(), MalformedRequest),
        (head(first=b"GET  / HTTP/1.1"), MalformedRequest),
        (head(first=b"GET / HTTP/1.1 "), MalformedRequest),
        (head(first=b" GET / HTTP/1.1"), MalformedRequest),
        (head(first=b"get / HTTP/1.1"), MalformedRequest),
        (head(first=b"GET / RTSP/1.0"), MalformedRequest),
        (head(first=b"SOURCE / ICE/1.0"), MalformedRequest),
        (head(first=b"GET / HTTP/1"), MalformedRequest),
        (head(first=b"GET http://x/ HTTP/1.1"), MalformedRequest),
        (head(first=b"CONNECT x:80 HTTP/1.1"), MalformedRequest),
        (head(first=b"OPTIONS * HTTP/1.1"), MalformedRequest),
        (head(first=b"GET /\x7f HTTP/1.1"), MalformedRequest),
        (head(first=b"GET / HTTP/2.0"), HttpVersionNotSupported),
        (head(first=b"GET / HTTP/1.2"), HttpVersionNotSupported),
        (head(host=b""), MalformedRequest),
        (head(b"Host: x"), MalformedRequest),
        (head(host=b"Host: a b"), MalformedRequest),
        (head(host=b"Host: a,b/c"), MalformedRequest),
        (head(host=b"Host: user@x"), MalformedRequest),
        (head(host=b"Host: [fe80::1%]"), MalformedRequest),
        (head(host=b"Host: [fe80::1%a/b]"), MalformedRequest),
        (head(host=b"Host: [%eth0]"), MalformedRequest),
        (head(host=b"Host : x"), MalformedRequest),
        (head(b"A: b", b" folded"), MalformedRequest),
        (head(b"A: b", b"\tfolded"), MalformedRequest),
        (head(b"A b: c"), MalformedRequest),
        (head(b": c"), MalformedRequest),
        (head(b"A"), MalformedRequest),
        (head(b"A\x00: c"), MalformedRequest),
        (head(b"A: c\x00d"), MalformedRequest),
        (head(b"A: c\x01d"), MalformedRequest),
        (head(b"A: c\rd"), MalformedRequest),
        (head(b"A: c\nB: d"), MalformedRequest),
        (head(b"\xc3\xa9: c"), MalformedRequest),
        (head(b"Content-Length: 1", b"Content-Length: 1"), MalformedRequest),
        (head(b"Content-Length: 1, 1"), MalformedRequest),
        (head(b"Content-Length: 1", b"Content-Length: 2"), MalformedRequest),
        (head(b"Content-Length:"), MalformedRequest),
        (head(b"Content-Length: 1 1"), MalformedRequest),
        (head(b"Content-Length: +1"), MalformedRequest),
        (head(b"Content-Length: 1_0"), MalformedRequest),
        (head(b"Content-Length: 99999999999999999999999"), MalformedRequest),
        (head(b"Content-Length: 1", b"Transfer-Encoding: chunked"), MalformedRequest),
        (head(b"Transfer-Encoding: chunked", b"Content-Length: 1"), MalformedRequest),
        (head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), MalformedRequest),
        (head(b"Transfer-Encoding: chunked", first=b"POST / HTTP/1.0"), MalformedRequest),
        (head(b"Transfer-Encoding: identity"), NotImplementedByServer),
        (head(b"Transfer-Encoding: xchunked"), NotImplementedByServer),
        (head(b"Transfer-Encoding: gzip, chunked"), NotImplementedByServer),
        (head(first=b"GET /%s HTTP/1.1" % (b"a" * 100)), TargetTooLong),
        (head(b"A: %s" % (b"b" * 1_000)), HeadersTooLarge),
        (head(*[b"A: b"] * 5), HeadersTooLarge),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_head_that_could_be_read_in_two_ways_is_refused(raw: bytes, error: type[HttpError]) -> None:
    """Each way of smuggling, and each limit, has its refusal."""
    with pytest.raises(error):
        parse_head(raw, LIMITS)


@pytest.mark.parametrize(
    ("raw", "length", "keep_alive"),
    [
        (head(b"Content-Length: 10"), 10, True),
        (head(b"Content-Length: 0"), 0, True),
        (head(b"Transfer-Encoding: Chunked"), None, True),
        (head(b"Connection: close"), 0, False),
        (head(b"Connection: keep-alive, Close"), 0, False),
        (head(first=b"GET / HTTP/1.0"), 0, False),
        (head(first=b"GET / HTTP/1.0", host=b""), 0, False),
        (head(first=b"BREW / HTTP/1.1"), 0, True),
        (head(b"Connection: Upgrade", b"Upgrade: websocket"), 0, True),
        (head(host=b"Host:"), 0, True),
        (head(host=b"Host: [::1]:80"), 0, True),
        (head(host=b"Host: [fe80::1%eth0.7]:80"), 0, True),
        (head(host=b"Host: [fe80::1%25eth0]"), 0, True),
        (head(b"Expect: 100-continue", b"Content-Length: 1"), 1, True),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_head_says_how_its_body_is_framed(raw: bytes, length: int | None, keep_alive: bool) -> None:
    """The length, None for chunks, and whether another request may follow."""
    parsed = parse_head(raw, LIMITS)
    assert (parsed.length, parsed.keep_alive) == (length, keep_alive)
    assert parsed.expects_continue == (b"Expect" in raw)


@pytest.mark.parametrize("raw", [b"\x16\x03", b" GET", b"GET / HTTP/1.1\n", b"\r\n", b"a" * 1_001])
def test_beginning_that_can_become_nothing_is_refused_at_once(raw: bytes) -> None:
    """The rest of TLS, of bare line feeds, or of an endless line is not awaited."""
    with pytest.raises((MalformedRequest, HeadersTooLarge)):
        check_begun(raw, LIMITS)


@given(st.integers(1, 80), st.data())
def test_every_beginning_of_a_good_head_may_go_on(size: int, data: st.DataObject) -> None:
    """A head may come in pieces, wherever it is cut."""
    whole = head(b"A: %s" % (b"b" * size), b"Accept: */*")
    cut = data.draw(st.integers(1, len(whole) - 1))
    check_begun(whole[:cut], LIMITS)


@given(st.binary(max_size=200))
def test_head_is_read_or_refused_whatever_it_is(noise: bytes) -> None:
    """Bytes that are not a head cause nothing but a refusal."""
    for raw in (noise, head(noise), head(first=noise), head(b"A: " + noise)):
        try:
            parsed = parse_head(raw, LIMITS)
        except HttpError:
            continue
        assert parsed.target.startswith(b"/")
        assert b"\n" not in b"".join(value for _, value in parsed.fields.items())
