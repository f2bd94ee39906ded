"""What Hypercorn's protocol must not do, where a real client would need luck to see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from hypercorn.config import Config
from hypercorn.events import Closed
from hypercorn.protocol.events import EndBody, Response, StreamClosed
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from app.http.asgi.protocol import HttpProtocol
from app.http.bodies import BodyRoom
from app.http.head import HeadLimits
from tests.app.http.harness import SETTINGS, get

if TYPE_CHECKING:
    from hypercorn.events import Event


async def test_answer_that_was_cut_off_is_followed_by_no_other() -> None:
    """Hypercorn would send a 500 if a client's reset cancels the sending of a first head."""
    sent: list[Event] = []

    async def send(event: Event) -> None:
        sent.append(event)

    protocol = HttpProtocol(
        cast("Any", None),
        Config(),
        WorkerContext(None),
        cast("Any", None),
        ConnectionState(cast("Any", {})),
        ssl=False,
        client=None,
        server=None,
        send=send,
        limits=HeadLimits.of(SETTINGS),
        room=BodyRoom(0),
        refusals=cast("Any", None),
        pipelined_max=9,
    )
    protocol.connection.receive_data(get())
    protocol.connection.next_event()
    await protocol.stream_send(Response(1, [(b"content-length", b"2")], 200))
    await protocol.stream_send(Response(1, [(b"content-length", b"0")], 500))
    await protocol.stream_send(EndBody(1))
    assert len(sent) == 1
    await protocol.stream_send(StreamClosed(1))
    assert sent[1:] == [Closed()]
