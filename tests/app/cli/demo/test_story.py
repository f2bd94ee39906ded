"""What the demo's story promises: it plays through, and any broken promise ends it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from app.cli.demo.promises import BrokenPromise, kept_promises
from app.cli.demo.show import Narrator
from app.cli.demo.story import FORGED, Player, Story
from tests.app.cli.demo.fake_server import RULES, FakeServer
from tests.app.cli.demo.samples import order

if TYPE_CHECKING:
    from trio.testing import MockClock


async def play(server: FakeServer, *, patience_s: float = 60, terminal: bool = False) -> str:
    """Play against a server; return the narration."""
    told = io.StringIO()
    console = Console(file=told, force_terminal=terminal, width=80)
    with kept_promises("http://fake"):
        async with server.client() as client:
            await Story(client, Narrator(console), patience_s=patience_s).play()
    return told.getvalue()


def rules(**buildings: dict[str, Any]) -> dict[str, Any]:
    """Make rules with these buildings."""
    return {**RULES, "buildings": buildings}


def building(gold: int, seconds: float = 5) -> dict[str, Any]:
    """Make a building of one level."""
    return {"levels": [{"cost": {"gold": gold}, "duration_seconds": seconds}], "refund": 0.5}


@pytest.mark.parametrize("terminal", [False, True])
async def test_story_plays_to_its_end(autojump_clock: MockClock, terminal: bool) -> None:
    """Against a server that keeps its promises, every scene is narrated, on any kind of output."""
    del autojump_clock
    told = await play(FakeServer(), terminal=terminal)
    for scene in ("for 60 gold", "nothing ordered twice", "came back 40 gold", "old token"):
        assert scene in told
    assert "completed" in told


@pytest.mark.parametrize(
    ("lie", "complaint"),
    [
        ("lets everybody in", "refused as 'invalid-credentials' was accepted"),
        ("answers otherwise", "a command sent again got a different answer from the first"),
        ("orders twice", "one order was sent, 2 are pending"),
        ("keeps the change", "80 gold were paid, 39 refunded"),
        ("never completes", "the order of mine was not completed when it was due"),
        ("cancels by itself", "the order of mine was not completed when it was due"),
        ("completes nothing", "mine was completed, but the inventory has 0"),
        ("shows another stock", "the ledger replays to 40 gold, the inventory has 41"),
        ("hides the ledger", "is empty or never stops changing"),
        ("never rests", "is empty or never stops changing"),
        ("refuses otherwise", "refused as 'forbidden' (403), not 'unknown-asset' (404)"),
        ("breaks down", "GET /v1/inventory was answered 500: oops"),
        ("forgets to log out", "refused as 'invalid-token' was accepted"),
    ],
)
async def test_story_ends_at_a_broken_promise(
    autojump_clock: MockClock, lie: str, complaint: str
) -> None:
    """A server that breaks any one of its promises is found out."""
    del autojump_clock
    with pytest.raises(BrokenPromise) as caught:
        await play(FakeServer(lie))
    assert complaint in str(caught.value)


async def test_story_tells_what_the_rules_leave_out(autojump_clock: MockClock) -> None:
    """If a new account can afford nothing, the scenes that need more are skipped, with a reason."""
    del autojump_clock
    told = await play(FakeServer(rules=rules(palace=building(1_000))))
    assert told.count("can afford nothing") == 2
    assert "palace, which is too expensive" in told


async def test_story_goes_on_where_nothing_is_too_dear(autojump_clock: MockClock) -> None:
    """With one cheap thing in the world there is nothing else to order, and nothing too dear."""
    del autojump_clock
    told = await play(FakeServer(rules=rules(hut=building(1))))
    assert "nothing that has room in its queue is too expensive" in told
    assert "under the same key" not in told


async def test_story_does_not_wait_longer_than_it_may(autojump_clock: MockClock) -> None:
    """It does not wait for an order that takes longer than its patience."""
    del autojump_clock
    told = await play(FakeServer(rules=rules(wall=building(1, 500))), patience_s=60)
    assert "wall takes 500 s more: not waiting for it" in told


async def test_story_takes_what_is_instant_for_done(autojump_clock: MockClock) -> None:
    """An order without duration is complete at once; nobody could cancel it."""
    del autojump_clock
    told = await play(FakeServer(rules=rules(hut=building(1, 0))))
    assert "completed hut 1" in told
    assert "completes too soon to cancel it" in told


async def test_story_counts_an_order_that_waits_as_not_begun() -> None:
    """A queued order has no start and no end yet: the bar does not move."""
    client = FakeServer().client()
    story = Story(client, Narrator(Console(file=io.StringIO())), patience_s=1)
    player = Player("ada", client.resume(FORGED))
    assert await story._share_done(player, order("hut")) == 0.0
