"""Input that no honest client sends: each gets the right refusal, and never a 500."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.e2e.players import Player, fresh_key, refused

if TYPE_CHECKING:
    from bench.wire import Client
    from tests.e2e.server import Server

AMOUNTS = [-1, 0, 2**53 + 1, 2**63, 10**30, 1.0, 1.5, True, "5", None, [1], {"n": 1}]


@pytest.mark.parametrize("amount", AMOUNTS, ids=repr)
async def test_amount_is_a_strict_positive_integer(player: Player, amount: object) -> None:
    """Orders and transfers refuse every amount that is not an integer within bounds."""
    orders, transfers = "/v1/inventory/orders", "/v1/transfers"
    if amount is not None:
        count = {"asset": "scout", "count": amount}
        answer = await player.send("POST", orders, count, fresh_key())
        refused(answer, 422, "invalid-request")
    sent = {"to": "somebody", "resources": {"gold": amount}}
    answer = await player.send("POST", transfers, sent, fresh_key())
    refused(answer, 422, "invalid-request")
    assert await player.amount("gold") == 1000


async def test_amount_beyond_what_a_batch_may_have_is_refused(player: Player) -> None:
    """A large but well-formed amount gets the right refusal."""
    answer = await player.order("scout", 2**53 - 1)
    refused(answer, 422, "invalid-request")
    other = await Player.join(player.http)
    refused(await player.transfer(other.name, {"gold": 2**53 - 1}), 422, "invalid-request")
    refused(await player.transfer(other.name, {"gold": 10**15}), 409, "insufficient-resources")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nothing",
        b"[1,]",
        b"{'asset': 'keep'}",
        b'{"asset": "keep"} x',
        b'{"asset": NaN}',
        b'{"asset": Infinity}',
        b'{"asset": "keep", "asset": "keep"}',
        b'{"asset": "\\ud800"}',
        b'{"asset": "\\u0000"}',
        b'{"asset": "ke\x00ep"}',
        b'{"asset": "\xff"}',
        b"[" * 50_000,
        b'{"asset":' * 5_000 + b"1" + b"}" * 5_000,
    ],
    ids=range(15),
)
async def test_body_that_is_no_json_is_refused(player: Player, body: bytes) -> None:
    """A body that is not JSON within the limits gets 400, however it is broken."""
    headers = {**player.bearer, **fresh_key(), "Content-Type": "application/json"}
    answer = await player.http.post("/v1/inventory/orders", content=body, headers=headers)
    refused(answer, 400, "malformed-json")


@pytest.mark.parametrize(
    "body",
    [
        [],
        "keep",
        5,
        None,
        {},
        {"asset": None},
        {"asset": 5},
        {"asset": ""},
        {"asset": "x" * 201},
        {"asset": "keep", "level": 1},
        {"Asset": "keep"},
    ],
    ids=repr,
)
async def test_body_of_the_wrong_shape_is_refused(player: Player, body: object) -> None:
    """JSON of the wrong shape gets 422 with the fields."""
    content = json.dumps(body).encode()
    headers = {**player.bearer, **fresh_key(), "Content-Type": "application/json"}
    answer = await player.http.post("/v1/inventory/orders", content=content, headers=headers)
    assert refused(answer, 422, "invalid-request")["errors"]


async def test_body_too_large_or_not_declared_as_json_is_refused(player: Player) -> None:
    """A body's size and content type are checked before it is parsed as JSON."""
    headers = {**player.bearer, **fresh_key(), "Content-Type": "application/json"}
    large = b'{"asset": "' + b"x" * 70_000 + b'"}'
    answer = await player.http.post("/v1/inventory/orders", content=large, headers=headers)
    refused(answer, 413, "payload-too-large")
    headers["Content-Type"] = "text/html"
    answer = await player.http.post("/v1/inventory/orders", content=b"{}", headers=headers)
    refused(answer, 415, "unsupported-media-type")


@pytest.mark.parametrize(
    "path", ["/nowhere", "/v1", "/v2/world", "/v1/inventory/", "/v1//world", "/%00"]
)
async def test_path_that_is_not_there_is_a_404(http: Client, path: str) -> None:
    """Unknown paths get 404."""
    refused(await http.get(path), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/inventory/orders", {"GET", "POST"}),
        ("POST", "/v1/world", {"GET"}),
        ("GET", "/v1/sessions/refresh", {"POST"}),
        ("PATCH", "/v1/accounts/me", {"GET", "DELETE"}),
        ("BREW", "/v1/transfers", {"GET", "POST"}),
    ],
)
async def test_method_that_is_not_there_is_a_405(
    http: Client, method: str, path: str, allowed: set[str]
) -> None:
    """An existing path names the methods that it accepts."""
    answer = await http.request(method, path)
    refused(answer, 405, "method-not-allowed")
    assert allowed <= {each.strip() for each in answer.headers["allow"].split(",")}


WORST = [
    (
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: !!\r\n\r\n"
    ),
    (
        b"GET /v1/world HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 99\r\n\r\n"
    ),
    (
        b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/world HTTP/1.1\r\n\r\n"
    ),
    b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    b"GET /v1/world HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
    b"\r\n\r\n\r\n",
    b"\x00" * 5_000,
]


@pytest.mark.parametrize("number", range(len(WORST)))
async def test_connection_that_speaks_nonsense_is_its_own_only(
    http: Client, server: Server, number: int
) -> None:
    """Broken handshakes, framing and protocols end their own connection and nothing else."""
    address = urlsplit(server.url)
    assert address.hostname is not None
    with socket.create_connection((address.hostname, address.port or 0), timeout=5) as raw:
        raw.sendall(WORST[number])
        raw.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while piece := raw.recv(65_536):
                answer += piece
        except ConnectionResetError:
            pass
    assert b"HTTP/1.1 500" not in answer
    assert b"HTTP/1.1 101" not in answer
    assert (await http.get("/readyz")).json()["status"] == "ready"


async def test_connection_that_is_cut_in_the_middle_harms_nobody(
    http: Client, server: Server
) -> None:
    """A client may disconnect at any byte of its request."""
    request = (
        b"POST /v1/accounts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b'Content-Length: 60\r\n\r\n{"username": "cut-off", "pass'
    )
    address = urlsplit(server.url)
    assert address.hostname is not None
    for length in range(1, len(request), 16):
        with socket.create_connection((address.hostname, address.port or 0), timeout=5) as raw:
            raw.sendall(request[:length])
    assert (await http.get("/readyz")).json()["status"] == "ready"
