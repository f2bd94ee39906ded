"""The bodies of commands: read once, and told apart."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from app.http.commands import BODY_BYTES_MAX, COMMANDS_MAX, Commands, fingerprint
from app.http.errors import InvalidRequest, MalformedJson
from app.http.exchange import Headers, HttpRequest


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command without mutable parts."""

    asset: str


class Parcel(msgspec.Struct, frozen=True):
    """A command with a mapping."""

    resources: Mapping[str, int]


def post(body: bytes, path: str = "/orders") -> HttpRequest:
    """Make a request."""
    return HttpRequest("POST", path, b"", Headers([]), body, "request")


def test_commands_are_read_once() -> None:
    """The same bytes to the same path are the same command; any others are not."""
    commands = Commands(Order)
    first = commands.read(post(b'{"asset":"hut"}'))
    assert first.body == Order("hut")
    assert commands.read(post(b'{"asset":"hut"}')) is first
    spelled = commands.read(post(b'{ "asset": "hut" }'))
    assert spelled is not first
    assert spelled == first
    elsewhere = commands.read(post(b'{"asset":"hut"}', "/others"))
    assert (elsewhere.body, elsewhere.fingerprint == first.fingerprint) == (Order("hut"), False)
    assert commands.read(post(b'{"asset":"mill"}')).fingerprint != first.fingerprint


def test_commands_that_could_be_altered_are_nobody_else_s() -> None:
    """Each request gets its own mapping."""
    commands = Commands(Parcel)
    body = b'{"resources":{"wood":1}}'
    first, second = commands.read(post(body)), commands.read(post(body))
    assert first == second
    assert first.body is not second.body


def test_commands_large_are_read_each_time() -> None:
    """Large bodies cannot fill the memory."""
    commands = Commands(Order)
    body = b'{"asset":"%b"}' % (BODY_BYTES_MAX * b"x")
    assert commands.read(post(body)).body is not commands.read(post(body)).body


def test_commands_remembered_are_bounded() -> None:
    """One command beyond the maximum makes the cache forget the oldest."""
    commands = Commands(Order)
    first = commands.read(post(b'{"asset":"0"}'))
    for number in range(1, COMMANDS_MAX + 1):
        commands.read(post(b'{"asset":"%d"}' % number))
    assert len(commands._known) <= COMMANDS_MAX
    assert commands.read(post(b'{"asset":"0"}')) is not first


def test_commands_refused_are_refused_again() -> None:
    """A refused body is not remembered."""
    commands = Commands(Order)
    for _ in range(2):
        with pytest.raises(MalformedJson):
            commands.read(post(b"{"))
        with pytest.raises(InvalidRequest):
            commands.read(post(b'{"assets":"hut"}'))
    assert not commands._known


def test_commands_without_a_body_have_a_fingerprint() -> None:
    """Without a body, the path distinguishes commands."""
    commands = Commands(None)
    assert commands.read(post(b"")).body is None
    assert commands.read(post(b"")) != commands.read(post(b"", "/others"))


def test_fingerprint_tells_requests_apart() -> None:
    """Method, path and body each count, and cannot be shifted into one another."""
    prints = {
        fingerprint("POST", "/a", 1),
        fingerprint("PUT", "/a", 1),
        fingerprint("POST", "/b", 1),
        fingerprint("POST", "/a", 2),
        fingerprint("POST", "/a\n1", None),
        fingerprint("POST", "/a", None),
    }
    assert len(prints) == 6
    assert fingerprint("POST", "/a", {"x": 1, "y": 2}) == fingerprint(
        "POST", "/a", {"y": 2, "x": 1}
    )
