"""Bodies from bytes: however they are cut, and whatever they claim."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.direct.body import LINE_BYTES_MAX, ChunkedBody, LengthBody
from app.http.errors import HeadersTooLarge, HttpError, MalformedRequest, PayloadTooLarge


def chunked(bytes_max: int = 1_000) -> ChunkedBody:
    """Make a reader of chunks."""
    return ChunkedBody(bytes_max, 200)


def read(body: ChunkedBody | LengthBody, pieces: list[bytes]) -> bytes | None:
    """Feed pieces; return what follows the body."""
    rest: bytes | None = None
    for number, piece in enumerate(pieces):
        rest = body.feed(piece)
        if rest is not None:
            return rest + b"".join(pieces[number + 1 :])
    return rest


def cut(data: st.DataObject, whole: bytes) -> list[bytes]:
    """Cut bytes into pieces anywhere."""
    places = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    return [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True)]


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.binary(max_size=20), st.data())
def test_chunks_are_put_together_wherever_they_are_cut(
    chunks: list[bytes], rest: bytes, data: st.DataObject
) -> None:
    """The body is the chunks in order, and what follows is left alone."""
    ext = data.draw(st.sampled_from([b"", b";a=b", b" \t", b"; x", b';q="v"']))
    lines = [b"%x%b\r\n%b\r\n" % (len(chunk), ext, chunk) for chunk in chunks]
    trailer = data.draw(st.sampled_from([b"", b"A: b\r\n", b"A: b\r\nC:\r\n"]))
    whole = b"".join(lines) + b"0\r\n" + trailer + b"\r\n" + rest
    body = chunked()
    assert read(body, cut(data, whole)) == rest
    assert body.value() == b"".join(chunks)


@given(st.binary(max_size=60), st.binary(max_size=20), st.data())
def test_stated_length_is_read_wherever_it_is_cut(
    content: bytes, rest: bytes, data: st.DataObject
) -> None:
    """The body has its length, and what follows is left alone."""
    body = LengthBody(len(content), 100)
    pieces = cut(data, content + rest)
    if content:
        assert read(body, pieces) == rest
        assert body.value() == content
    else:
        assert body.feed(rest) == rest


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"zz\r\n", MalformedRequest),
        (b"\r\n", MalformedRequest),
        (b"-1\r\n", MalformedRequest),
        (b"0x1\r\n", MalformedRequest),
        (b"+1\r\n", MalformedRequest),
        (b"1\n", MalformedRequest),
        (b"1 1\r\n", MalformedRequest),
        (b"1;a\rb\r\n", MalformedRequest),
        (b"1;\x00\r\n", MalformedRequest),
        (b"11111111111111111\r\n", MalformedRequest),
        (b"1\r\nab", MalformedRequest),
        (b"1\r\na\n", MalformedRequest),
        (b"1\r\na\rx", MalformedRequest),
        (b"0\r\n folded\r\n", MalformedRequest),
        (b"0\r\nA\r\n", MalformedRequest),
        (b"0\r\nA: b\n", MalformedRequest),
        (b"0\r\nTransfer-Encoding: gzip\r\n", MalformedRequest),
        (b"0\r\ncontent-length: 5\r\n", MalformedRequest),
        (b"0\r\nHost: y\r\n", MalformedRequest),
        (b"ffffffffffffffff\r\n", PayloadTooLarge),
        (b"3e9\r\n", PayloadTooLarge),
        (b"1f4\r\n" + b"a" * 500 + b"\r\n1f5\r\n", PayloadTooLarge),
        (b"1" * (LINE_BYTES_MAX + 1), HeadersTooLarge),
        (b"1;" + b"a" * LINE_BYTES_MAX + b"\r\n", HeadersTooLarge),
        (b"0\r\n" + b"A: b\r\n" * 100, HeadersTooLarge),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_chunks_that_lie_are_refused(raw: bytes, error: type[HttpError]) -> None:
    """At once, in one piece or byte by byte."""
    with pytest.raises(error):
        chunked().feed(raw)
    with pytest.raises(error):
        read(chunked(), [bytes([byte]) for byte in raw])


def in_chunks_of(size: int, count: int) -> bytes:
    """Write out many chunks of one size."""
    return b"%x\r\n%b\r\n" % (size, b"a" * size) * count + b"0\r\n\r\n"


@pytest.mark.parametrize("pieces", [1, 7, 65_536])
def test_chunks_that_are_mostly_framing_are_refused(pieces: int) -> None:
    """The lines before chunks share a limit, which grows slowly with the data they bring."""
    for size, refused in ((1, True), (8, True), (64, False), (1_000, False)):
        body = ChunkedBody(64_000, 2_000)
        whole = in_chunks_of(size, 64_000 // size)
        data = [whole[at : at + pieces] for at in range(0, len(whole), pieces)]
        if refused:
            with pytest.raises(PayloadTooLarge, match="small chunks"):
                read(body, data)
            assert len(body.value()) < 8_000
        else:
            assert read(body, data) == b""
            assert len(body.value()) == size * (64_000 // size)


def test_length_beyond_the_limit_is_refused_before_anything_is_read() -> None:
    """The announced length is enough to refuse it."""
    with pytest.raises(PayloadTooLarge):
        LengthBody(1_001, 1_000)


@given(st.binary(max_size=300))
def test_chunks_are_read_or_refused_whatever_they_are(noise: bytes) -> None:
    """Never more than the limit is kept, and noise causes nothing but a refusal."""
    body = chunked(100)
    with suppress(HttpError):
        body.feed(noise)
    assert len(body.value()) <= 100
