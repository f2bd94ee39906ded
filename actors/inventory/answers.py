"""How an Inventory answers once all its work is durable: from memory, or from the tables."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from actors.inventory.courier import COURIER_KEY
from actors.inventory.errors import InventoryError
from actors.inventory.messages import Deliver
from actors.inventory.work import Dispatch, LookUp
from actors.storage import StorageError
from actors.turns import Turns
from bus import BusError, Message, Overloaded, Topic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.storage import StorageClient
    from bus import Bus, Reply

# Every answer has its own type, which the gateway of each message declares.
Answer = tuple["Reply[Any] | None", object]
Wanted = tuple["Reply[Any]", LookUp]

_SLICE: Final = 500
"""How many rows are shown in one go: a page of maximum size, about a millisecond of work."""


def give(answers: Sequence[Answer], bus: Bus) -> list[Wanted]:
    """Send the answers, and those of transfers to the courier; return what is to be looked up."""
    wanted: list[Wanted] = []
    for reply, answer in answers:
        if isinstance(answer, Dispatch):
            _dispatch(answer, reply, bus)
        elif reply is None:
            continue
        elif isinstance(answer, LookUp):
            wanted.append((reply, answer))
        else:
            _send(reply, answer)
    return wanted


async def look_up(wanted: Sequence[Wanted], storage: StorageClient) -> None:
    """Send the answers that are in the tables; if Storage fails, its error answers them all.

    Many clients of one account may each have asked for a large page: I/O may run in between.
    Cancellation leaves the remaining questions without an answer.
    """
    turns = Turns(_SLICE)
    while wanted:
        reads = [read for _, asked in wanted for read in asked.reads]
        try:
            rows = deque(await storage.read(*reads))
        except (BusError, StorageError) as error:
            for reply, _ in wanted:
                reply.fail(error)
            return
        further: list[Wanted] = []
        for reply, asked in wanted:
            # Popped, so that they are not all freed at once.
            found = [rows.popleft() for _ in asked.reads]
            answer = asked.finish(found)
            if isinstance(answer, LookUp):
                further.append((reply, answer))
            else:
                _send(reply, answer)
            await turns.worked(sum(map(len, found)))
        wanted = further


def fail_all(messages: Sequence[Message], error: Exception) -> None:
    """Answer all of these with an error."""
    for message in messages:
        if message.reply is not None:
            message.reply.fail(error)


def _dispatch(dispatch: Dispatch, reply: Reply[Any] | None, bus: Bus) -> None:
    """Hand a transfer to the courier, and the answer with it."""
    body = Deliver(dispatch.transfer, dispatch.replayed)
    try:
        reached = bus.send_nowait(Message(Topic.TASK, body, COURIER_KEY, reply))
    except Overloaded:
        # Too late to refuse: the transfer is on record as in flight, and the courier will find
        # it there later.
        reached = 0
    if not reached and reply is not None:
        reply.close()


def _send(reply: Reply[Any], answer: object) -> None:
    if isinstance(answer, InventoryError):
        reply.fail(answer)
    else:
        reply.send_nowait(answer)
