"""A server on a real socket, in front of actors that answer from a script."""

from __future__ import annotations

import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import h11
import httpx
import msgspec
import structlog
import trio
from structlog.testing import LogCapture

from actors.authx.errors import InvalidToken
from actors.authx.messages import (
    Account,
    Authorize,
    ChangePassword,
    EndSession,
    EndSessions,
    EraseAccount,
    GetAccount,
    Identity,
    ListSessions,
    Login,
    Refresh,
    Register,
    SessionInfo,
    Tokens,
)
from actors.inventory.memo import Memo
from actors.inventory.messages import (
    CancelOrder,
    Forget,
    GetInventory,
    GetLedger,
    GetOrder,
    ListOrders,
    PlaceOrder,
)
from actors.inventory.views import (
    BalanceView,
    Cancelled,
    ChangeView,
    InventoryView,
    LedgerEntry,
    LedgerPage,
    OrderView,
    Placed,
    StockView,
)
from actors.ticker.messages import GetWorld, World
from app.gateway import Gateway
from app.http.edge import make_edge
from app.http.endpoints import ENDPOINTS
from app.http.instruments import Instruments
from app.http.openapi import with_openapi
from app.http.server import serve_http
from app.http.settings import HttpSettings
from app.logs import bind_handled
from app.pages import load_site
from bus import Interest, Message, Topic, open_broadcast_channel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, MutableMapping, Sequence

    from structlog.typing import FilteringBoundLogger

    from app.gateway import Operations
    from app.http.bodies import BodyRoom
    from app.http.endpoint import Endpoint
    from app.http.traffic import Traffic
    from app.pages import File
    from bus import Subscription

FAST, HYPERCORN = "fast", "hypercorn"
LANE = FAST
"""The lane that `serving` serves through; the fixture ``lane`` runs a test through both."""

TEST_SECONDS_MAX = 10
"""The maximum duration of a test of a server, on the real clock."""

ACCOUNT_ID = "0197f0a0-0000-7000-8000-000000000001"
SESSION_ID = "0197f0a0-0000-7000-8000-000000000002"
ORDER_ID = "0197f0a0-0000-7000-8000-000000000003"
TOKEN = "v4.local.good"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
CHALLENGE = 'Bearer realm="holdfast"'
REFUSED = f'{CHALLENGE}, error="invalid_token"'
WHEN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NOW_MS = 1_772_366_400_000
"""World time of `WHEN`."""

TABLE = with_openapi(ENDPOINTS)
"""The table of the contract; describing it takes longer than most tests do."""

PAGES = load_site()
"""The files of the pages; reading them takes as long as many tests do."""

SETTINGS = HttpSettings(
    port=0,
    reply_timeout_ms=2_000,
    max_body_bytes=2_048,
    read_timeout_ms=2_000,
    keep_alive_timeout_ms=5_000,
    send_timeout_ms=2_000,
    shutdown_timeout_ms=1_000,
)

ACCOUNT = Account(ACCOUNT_ID, "ada", "player", suspended=False, created_at=WHEN)
TOKENS = Tokens(ACCOUNT_ID, SESSION_ID, "v4.local.access", 900, "refresh", 2_592_000)
ORDER = OrderView(
    id=ORDER_ID,
    asset="metal_mine",
    kind="building",
    level=2,
    count=None,
    cost={"metal": 90, "crystal": 22},
    state="running",
    placed_at_ms=NOW_MS,
    starts_at_ms=NOW_MS,
    finishes_at_ms=NOW_MS + 60_500,
)
INVENTORY = InventoryView(
    account_id=ACCOUNT_ID,
    version=7,
    at_ms=NOW_MS,
    tick=1_234,
    resources={"metal": StockView(482, 63, 10_000, NOW_MS + 3_600_000)},
    balances={"energy": BalanceView(22, 11, 100)},
    buildings={"metal_mine": 1},
    technologies={},
    units={},
    orders=(ORDER,),
    encoded=Memo(),
)
LEDGER = LedgerPage(
    entries=(
        LedgerEntry(
            seq=2,
            at_ms=NOW_MS,
            cause="order-placed",
            order_id=ORDER_ID,
            changes={"metal": ChangeView(-90, 410)},
        ),
    ),
    next=2,
)


Value = TypeVar("Value")


def changed(value: Value, **changes: Any) -> Value:
    """Return a message or a view with some fields changed, whichever kind of record it is."""
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.replace(value, **changes)
    return replace(value, **changes)  # type: ignore[type-var]


def settings_with(**changes: int) -> HttpSettings:
    """Change some of the usual settings of a test."""
    return replace(SETTINGS, **changes)  # type: ignore[arg-type]


RULES: Mapping[str, Any] = {
    "name": "tutorial",
    "version": "c0ffee",
    "title": "Tutorial",
    "description": "",
    "parameters": {"speed": 2},
    "resources": {
        "metal": {
            "name": "metal",
            "title": "Metal",
            "description": "",
            "start": 500,
            "base_per_hour": 30,
            "base_capacity": None,
        }
    },
    "balances": {},
    "queues": {},
    "transfers": {"enabled": True, "per_day_max": None, "overflow": "hold"},
    "buildings": {},
    "technologies": {},
    "units": {},
}


class FakeRuleset:
    """A ruleset that is only asked for its description."""

    name = "tutorial"
    version = "c0ffee"
    parameters: Mapping[str, int | float] = {"speed": 2}

    def describe(self) -> Mapping[str, Any]:
        """Return something of the right form."""
        return RULES


def _authorize(message: Authorize) -> Identity:
    if message.token == TOKEN:
        return Identity(ACCOUNT_ID, SESSION_ID, "player", "ada")
    if message.token == "v4.local.admin":
        return Identity(ACCOUNT_ID, SESSION_ID, "admin", "ada")
    raise InvalidToken("not this one")


Script = dict[type, Any]
"""The answer to each type of message: a value, an error, or a function of the message."""


def usual_answers() -> Script:
    """Return the answers of a world where everything goes well."""
    return {
        Authorize: _authorize,
        Register: ACCOUNT,
        Login: TOKENS,
        Refresh: TOKENS,
        ListSessions: (SessionInfo(SESSION_ID, WHEN, WHEN, WHEN),),
        EndSessions: None,
        EndSession: None,
        GetAccount: ACCOUNT,
        ChangePassword: None,
        EraseAccount: None,
        GetWorld: World("w", tick=1_234, tick_ms=1_000, now_ms=NOW_MS),
        GetInventory: INVENTORY,
        PlaceOrder: Placed(ORDER, replayed=False),
        CancelOrder: Cancelled(changed(ORDER, state="cancelled"), {"metal": 90, "crystal": 22}),
        GetOrder: ORDER,
        ListOrders: (ORDER,),
        GetLedger: LEDGER,
        Forget: None,
    }


SILENT = object()
"""An answer that never comes."""

DROPPED = object()
"""An answer whose message the actor drops."""


@dataclass
class FakeWorld:
    """A bus whose actors answer from ``answers``; ``asked`` keeps every message."""

    answers: Script = field(default_factory=usual_answers)
    asked: list[Any] = field(default_factory=list[Any])
    held: list[Message] = field(default_factory=list[Message])
    ready: bool = True
    buffer: int = 100
    operations: Operations | None = None
    capture: LogCapture = field(default_factory=LogCapture)
    ears: list[Subscription] = field(default_factory=list["Subscription"])

    def __post_init__(self) -> None:
        """Open the bus."""
        self._going = trio.Event()
        self._going.set()
        self.bus = open_broadcast_channel()
        self.log: FilteringBoundLogger = structlog.wrap_logger(
            None,
            processors=[bind_handled, self.capture],
            wrapper_class=structlog.make_filtering_bound_logger(0),
        )

    @property
    def logged(self) -> Sequence[MutableMapping[str, Any]]:
        """Return every log event so far."""
        return self.capture.entries

    def events(self, name: str) -> list[MutableMapping[str, Any]]:
        """Return the log events of one name."""
        return [entry for entry in self.logged if entry["event"] == name]

    def asked_for(self, type_: type) -> list[Any]:
        """Return the messages of one type that were asked."""
        return [message for message in self.asked if isinstance(message, type_)]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Act as all actors at once."""
        auth = self.bus.subscribe(Interest(Topic.AUTH), buffer=self.buffer)
        task = self.bus.subscribe(Interest(Topic.TASK, unclaimed=True), buffer=self.buffer)
        self.ears = [auth, task]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._answer, auth)
            nursery.start_soon(self._answer, task)
            task_status.started()

    def pause(self) -> None:
        """Stop every actor after it has taken its next message from the mailbox."""
        self._going = trio.Event()

    def resume(self) -> None:
        """Let every actor continue."""
        self._going.set()

    def stop_listening(self) -> None:
        """Leave the bus, as actors do at shutdown."""
        for subscription in self.ears:
            subscription.close()

    async def wait_asked(self) -> None:
        """Wait until an actor has received a message."""
        while not self.asked:  # noqa: ASYNC110 - the caller is on the other side of a socket
            await trio.sleep(0.005)

    async def wait_buffer_full(self) -> None:
        """Wait until the mailbox for tasks is full."""
        while self.ears[1].statistics().current_buffer_used < self.buffer:  # noqa: ASYNC110 - as above
            await trio.sleep(0.005)

    async def wait_held(self) -> None:
        """Wait until an actor holds a request that it leaves unanswered."""
        while not self.held:  # noqa: ASYNC110 - as above
            await trio.sleep(0.005)

    async def _answer(self, subscription: Subscription) -> None:
        async for message in subscription:
            self.asked.append(message.body)
            await self._going.wait()
            assert message.reply is not None
            answer = self.answers[type(message.body)]
            if callable(answer):
                try:
                    answer = answer(message.body)
                except Exception as error:  # noqa: BLE001 - the script raises what an actor may
                    answer = error
            if answer is SILENT:
                self.held.append(message)
            elif answer is DROPPED:
                subscription.drop(message)
            elif isinstance(answer, Exception):
                message.reply.fail(answer)
            else:
                message.reply.send_nowait(answer)

    def gateway(self, reply_timeout_s: float = 2.0) -> Gateway:
        """Make a gateway to this world."""
        return Gateway(
            self.bus,
            FakeRuleset(),
            reply_timeout_s=reply_timeout_s,
            world_name="testworld",
            actor_states=lambda: {
                "storage": "ready",
                "ticker": "ready" if self.ready else "failed",
            },
            ready=lambda: self.ready,
            operations=self.operations,
        )


@dataclass
class Serving:
    """A running server: its port, its world, how to stop it, and whether it then did in order."""

    port: int
    world: FakeWorld
    client: httpx.AsyncClient
    stop: trio.Event
    stopped: trio.Event
    traffic: Traffic
    room: BodyRoom
    outcomes: list[bool]
    clients: list[RawClient] = field(default_factory=list["RawClient"])

    async def wait_connection_open(self) -> None:
        """Wait until the server has accepted a connection that is still open."""
        while not self.traffic.connections_open:  # noqa: ASYNC110 - as for the other sleeps here: real sockets
            await trio.sleep(0.005)

    async def wait_connections_closed(self, *, keeping: int) -> None:
        """Wait until the server holds no more than ``keeping`` connections."""
        while self.traffic.connections_open > keeping:  # noqa: ASYNC110 - as above
            await trio.sleep(0.005)

    async def wait_body_bytes(self, count: int) -> None:
        """Wait until bodies take this many bytes of their room."""
        while self.room.bytes != count:  # noqa: ASYNC110 - as above
            await trio.sleep(0.005)

    async def connect(self, receive_buffer: int | None = None) -> RawClient:
        """Open a bare connection; a small receive buffer makes a client that soon stalls."""
        sock = trio.socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, receive_buffer)
        await sock.connect(("127.0.0.1", self.port))
        client = RawClient(trio.SocketStream(sock))
        self.clients.append(client)
        return client


class RawClient:
    """A client that sends arbitrary bytes."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._buffer = h11.Connection(h11.CLIENT)

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        await self.stream.send_all(data)

    async def read_to_end(self) -> bytes:
        """Read until the server closes; a reset counts as the end."""
        received = b""
        try:
            async for chunk in self.stream:
                received += chunk
        except trio.BrokenResourceError:
            pass
        return received

    async def read_response(self, method: bytes = b"GET") -> RawResponse:
        """Read one response, as the answer to ``method``, and leave what follows it unread."""
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method=method, target=b"/", headers=[(b"host", b"x")]))
        parser.send(h11.EndOfMessage())
        if self._left:
            parser.receive_data(self._left)
            self._left = b""
        status, headers, body = 0, dict[str, str](), b""
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                parser.receive_data(await self.stream.receive_some())
            elif isinstance(event, h11.Response):
                status = event.status_code
                headers = {n.decode(): v.decode("latin-1") for n, v in event.headers}
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                self._left = parser.trailing_data[0]
                return RawResponse(status, headers, body)

    _left = b""

    async def is_reset(self) -> bool:
        """Read on; return whether the server reset the connection instead of closing it."""
        try:
            while await self.stream.receive_some():
                pass
        except trio.BrokenResourceError:
            return True
        return False

    async def is_cut_off_sending(self, within_s: float) -> bool:
        """Keep sending; return whether the server cuts the connection off in time."""
        with trio.move_on_after(within_s):
            try:
                while True:
                    await self.send(bytes(16_384))
            except trio.BrokenResourceError:
                return True
        return False

    async def aclose(self) -> None:
        """Close the connection."""
        await self.stream.aclose()

    def reset(self) -> None:
        """Reset the connection."""
        sock = self.stream.socket
        if sock.fileno() >= 0:
            linger = struct.pack("ii", 1, 0)
            sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, linger)
            sock.close()


@dataclass(frozen=True)
class RawResponse:
    """One response, parsed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def get(path: str = "/healthz", *headers: str) -> bytes:
    """Write out a GET request."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode("latin-1")


@asynccontextmanager
async def serving(
    world: FakeWorld | None = None,
    settings: HttpSettings = SETTINGS,
    *,
    endpoints: Sequence[Endpoint] = TABLE,
    pages: Mapping[str, File] = PAGES,
    instruments: Instruments | None = None,
) -> AsyncGenerator[Serving]:
    """Serve a world on a free port of loopback, for a bounded time."""
    world = world or FakeWorld()
    settings = replace(settings, fast_lane=LANE == FAST)
    instruments = instruments or Instruments()
    stop, stopped = trio.Event(), trio.Event()
    outcomes: list[bool] = []
    gateway = world.gateway(settings.reply_timeout_ms / 1000)
    edge = make_edge(
        gateway, settings, endpoints, pages=pages, log=world.log, instruments=instruments
    )

    async def serve(*, task_status: trio.TaskStatus[int]) -> None:
        in_order = await serve_http(
            edge,
            settings,
            shutdown=stop.wait,
            log=world.log,
            task_status=task_status,
        )
        outcomes.append(in_order)
        stopped.set()

    with trio.fail_after(TEST_SECONDS_MAX):
        async with trio.open_nursery() as nursery:
            await nursery.start(world.run)
            port: int = await nursery.start(serve)
            base_url = f"http://127.0.0.1:{port}"
            # Plain HTTP: do not load the system's certificates for every test.
            client = httpx.AsyncClient(base_url=base_url, trust_env=False, verify=False)  # noqa: S501
            server = Serving(
                port, world, client, stop, stopped, instruments.traffic, edge.gate.bodies, outcomes
            )
            try:
                async with client:
                    yield server
            finally:
                for each in server.clients:
                    each.reset()
            nursery.cancel_scope.cancel()
