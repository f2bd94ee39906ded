"""Repeated heads are read once."""

from __future__ import annotations

import pytest

from app.http.errors import HeadersTooLarge, MalformedRequest
from app.http.head import Head, parse_head
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


def post(key: str, *more: str) -> bytes:
    """Write the head of a command."""
    lines = ["POST /v1/inventory/orders HTTP/1.1", "Host: here", key, *more, "Content-Length: 9"]
    return "\r\n".join([*lines, "", ""]).encode()


def test_head_reader_knows_a_command_but_for_its_key() -> None:
    """Whatever its key, it equals a fresh reading; only the key is its own."""
    reader = HeadReader(HttpSettings())
    for key in ("one", "two", "a-third,one", 255 * "x"):
        head = reader.read(post(f"idempotency-KEY: {key}", "X: y"))
        assert len(reader._known) == 1
        fresh = parse_head(post(f"idempotency-KEY: {key}", "X: y"), reader.limits)
        assert fresh.fields.all(b"idempotency-key") == [key.encode()]
        for name in Head.__struct_fields__:
            if name != "fields":
                assert getattr(head, name) == getattr(fresh, name)
        assert head.fields.items() == fresh.fields.items()


@pytest.mark.parametrize("authorization", ["Bearer a-token", "Bearer a token", "Basic a-token"])
def test_head_reader_knows_the_token_of_a_command(authorization: str) -> None:
    """A repeated command has the token that a fresh reading would give."""
    reader = HeadReader(HttpSettings())
    heads = [
        reader.read(post(f"Idempotency-Key: {key}", f"Authorization: {authorization}"))
        for key in ("one", "two")
    ]
    fresh = parse_head(post("X: y", f"Authorization: {authorization}"), reader.limits)
    first, again = (head.fields.bearer_token() for head in heads)
    assert first == again == fresh.fields.bearer_token()


@pytest.mark.parametrize("name", ["Authorization", "authorization"])
@pytest.mark.parametrize(
    "key", [(), ("Idempotency-Key: {}", "X: y"), ("X: y", "idempotency-key: {}")]
)
@pytest.mark.parametrize("is_first", [True, False])
def test_head_reader_knows_all_players_by_one_head(
    name: str, key: tuple[str, ...], *, is_first: bool
) -> None:
    """However many there are, their heads are read once if they differ in their tokens alone."""
    reader = HeadReader(HttpSettings())
    for player in range(3):
        token = f"{name}: Bearer {player}{300 * 'x'}"
        others = [line.format(f"key-{player}") for line in key]
        lines = [token, *others] if is_first else [*others, token]
        raw = post("Z: z", *lines) if key else get("/", *lines)
        head, fresh = reader.read(raw), parse_head(raw, reader.limits)
        assert head.fields.items() == fresh.fields.items()
        assert head.fields.bearer_token() == fresh.fields.bearer_token() == f"{player}{300 * 'x'}"
        assert (head.method, head.path, head.length) == (fresh.method, fresh.path, fresh.length)
    assert len(reader._known) == 1


@pytest.mark.parametrize(
    "lines",
    [
        ("Authorization: Bearer one", "authorization: Bearer two"),
        ("Authorization: Bearer one", "Authorization: Basic two"),
        ("X-Authorization: Bearer one", "Authorization: Bearer two"),
        ("Authorization: Bearer a b",),
        ("Authorization: Bearer  one",),
        ("Authorization: Bearer \xe4",),
        ("Authorization: Bearer ",),
        ("AUTHORIZATION: Bearer one",),
    ],
)
def test_head_reader_mistakes_no_other_token(lines: tuple[str, ...]) -> None:
    """What is not one token, written as usual, is what a fresh reading says."""
    reader = HeadReader(HttpSettings())
    reader.read(get("/", "Authorization: Bearer three"))
    raw = get("/", *lines)
    for _ in range(2):
        head, fresh = reader.read(raw), parse_head(raw, reader.limits)
        assert head.fields.items() == fresh.fields.items()
        assert head.fields.bearer_token() == fresh.fields.bearer_token()


@pytest.mark.parametrize("token", ["\x00", "one\x00", "one\r", "one\r\n two", "one\x7f"])
def test_head_reader_refuses_a_token_that_no_header_may_have(token: str) -> None:
    """Even if the rest of the head is cached."""
    reader = HeadReader(HttpSettings())
    reader.read(get("/", "Authorization: Bearer one"))
    with pytest.raises(MalformedRequest):
        reader.read(get("/", f"Authorization: Bearer {token}"))


@pytest.mark.parametrize("media_type", ["application/json", "text/plain"])
def test_head_reader_knows_of_a_command_whether_its_body_is_json(media_type: str) -> None:
    """A command that comes again is refused for its labels as it would be if it were read anew."""
    reader = HeadReader(HttpSettings())
    fresh = parse_head(post("X: y", f"Content-Type: {media_type}"), reader.limits)
    for key in ("one", "two", "three"):
        head = reader.read(post(f"Idempotency-Key: {key}", f"Content-Type: {media_type}"))
        assert head.fields.why_not_json() == fresh.fields.why_not_json()


@pytest.mark.parametrize(
    "key",
    [
        "Idempotency-Key:",
        "Idempotency-Key: a b",
        "Idempotency-Key: one\r\nIDEMPOTENCY-KEY: two",
        "IDEMPOTENCY-KEY: \r\nIdempotency-Key: two",
        "X-Idempotency-Key: one",
        "IDEMPOTENCY-KEY: one",
        f"Idempotency-Key: {256 * 'x'}",
    ],
)
def test_head_reader_keeps_no_command_whose_key_is_not_one(key: str) -> None:
    """Without one valid key in a usual spelling a head is read each time, and never mistaken."""
    reader = HeadReader(HttpSettings())
    reader.read(post("Idempotency-Key: one"))
    for _ in range(2):
        head = reader.read(post(key))
        fresh = parse_head(post(key), reader.limits)
        assert head.fields.items() == fresh.fields.items()
    assert len(reader._known) == 1


def test_head_reader_holds_a_command_that_it_knows_to_its_limits() -> None:
    """A longer key may make a head too large."""
    reader = HeadReader(HttpSettings(max_header_bytes=150))
    reader.read(post("Idempotency-Key: one"))
    with pytest.raises(HeadersTooLarge):
        reader.read(post(f"Idempotency-Key: {100 * 'x'}"))


@pytest.mark.parametrize("key", ["\x00", "one\x00", "one\r", "one\r\n two", "one\x7f"])
def test_head_reader_refuses_a_key_that_no_header_may_have(key: str) -> None:
    """Even if the rest of the head is cached."""
    reader = HeadReader(HttpSettings())
    reader.read(post("Idempotency-Key: one"))
    with pytest.raises(MalformedRequest):
        reader.read(post(f"Idempotency-Key: {key}"))


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n",
        get("/", "X: " + HEAD_BYTES_MAX * "y"),
        get("/", *(f"X{number}: y" for number in range(HEADERS_MAX))),
    ],
)
def test_head_reader_keeps_no_other_body_and_nothing_large(head: bytes) -> None:
    """A head with another body, or a large one, is read each time."""
    reader = HeadReader(HttpSettings())
    assert reader.read(head) is not reader.read(head)


def test_head_reader_refuses_again_what_it_refused() -> None:
    """A head that was refused is refused again."""
    reader = HeadReader(HttpSettings())
    for _ in range(2):
        with pytest.raises(MalformedRequest):
            reader.read(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(HeadersTooLarge):
            reader.read(get("/", "X: " + reader.limits.bytes_max * "y"))


def test_head_reader_is_bounded() -> None:
    """Ever new heads do not fill the cache."""
    reader = HeadReader(HttpSettings())
    first = reader.read(get("/0"))
    for number in range(1, HEADS_MAX + 1):
        reader.read(get(f"/{number}"))
    assert len(reader._known) <= HEADS_MAX
    assert reader.read(get("/0")) is not first
