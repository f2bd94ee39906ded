"""Following, in virtual time and without a socket: what is sent, when, and until when."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.authx.announcements import SessionsChanged
from actors.authx.errors import InvalidToken
from actors.authx.messages import Authorize, Identity, ListSessions
from actors.database.errors import DatabaseUnavailable
from actors.inventory.errors import AccountGone, RulesetMismatch
from actors.inventory.messages import GetEvents
from actors.inventory.views import EventPage, StockView
from app.http.streams import StreamSettings
from app.http.streams.follow import RETRY_S, Follower
from bus import Message, Overloaded, Topic
from tests.app.http.harness import ACCOUNT_ID, NOW_MS, SESSION_ID, TOKEN, FakeWorld
from tests.app.http.streams.harness import Ledger, entry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from app.http.streams.translate import WireEvent

ME = Identity(ACCOUNT_ID, SESSION_ID, "player", "ada")
BEAT_S = 10.0


@dataclass
class Outlet:
    """Takes what it is sent; ``gate`` stands for a client that does not read."""

    told: list[tuple[int | None, str]] = field(default_factory=list[tuple[int | None, str]])
    beats: list[float] = field(default_factory=list[float])
    sizes: list[int] = field(default_factory=list[int])
    heeded: int = 0
    gate: trio.Event = field(default_factory=trio.Event)

    def __post_init__(self) -> None:
        """Read from the beginning."""
        self.gate.set()

    async def tell(self, events: Sequence[WireEvent]) -> None:
        """Take events once the gate is open."""
        await self.gate.wait()
        self.sizes.append(len(events))
        self.told += [(event.id, event.name) for event in events]

    async def beat(self) -> None:
        """Take a heartbeat."""
        self.beats.append(trio.current_time())

    async def heed(self) -> None:
        """Count the interruptions."""
        self.heeded += 1


@dataclass
class Following:
    """A running follower."""

    world: FakeWorld
    ledger: Ledger
    follower: Follower
    outlet: Outlet
    nursery: trio.Nursery
    endings: list[str] = field(default_factory=list[str])
    failures: list[Exception] = field(default_factory=list[Exception])

    async def run(self) -> None:
        """Follow until it ends."""
        try:
            await self.outlet.tell(await self.follower.begin())
            self.endings.append(await self.follower.follow(self.outlet))
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.failures.append(error)

    def publish_sessions_changed(self, key: str) -> None:
        """Announce as Authx does."""
        self.world.bus.send_nowait(Message(Topic.EVENT, SessionsChanged(), key))


@asynccontextmanager
async def following(
    *, after: int | None = None, entries: int = 0, page: int = 100, ledger: Ledger | None = None
) -> AsyncGenerator[Following]:
    """Follow an account whose ledger has this many entries."""
    world = FakeWorld() if ledger is None else ledger.world
    ledger = ledger or Ledger(world)
    ledger.entries = [entry(seq) for seq in range(1, entries + 1)]
    settings = StreamSettings(heartbeat_seconds=BEAT_S, page=page)
    async with trio.open_nursery() as nursery:
        await nursery.start(world.run)
        with Follower(
            world.gateway(), ME, TOKEN, after, settings=settings, rng=random.Random(3)
        ) as follower:
            case = Following(world, ledger, follower, Outlet(), nursery)
            nursery.start_soon(case.run)
            await wait_all_tasks_blocked()
            yield case
            nursery.cancel_scope.cancel()


async def test_stream_without_an_id_begins_with_a_snapshot(autojump_clock: MockClock) -> None:
    """Earlier entries are not sent one by one."""
    async with following(entries=5) as case:
        assert case.outlet.told == [(5, "snapshot")]


async def test_stream_tells_each_entry_once_as_it_is_made(autojump_clock: MockClock) -> None:
    """Every commit is sent, in order, by its number."""
    async with following(entries=5) as case:
        for _ in range(3):
            case.ledger.write()
            await wait_all_tasks_blocked()
        assert case.outlet.told[1:] == [(6, "grant"), (7, "grant"), (8, "grant")]


async def test_stream_resumes_after_the_given_id(autojump_clock: MockClock) -> None:
    """Nothing is lost and nothing comes twice, however much there is to send."""
    async with following(after=2, entries=250) as case:
        assert case.outlet.told == [(seq, "grant") for seq in range(3, 251)]
        assert case.outlet.sizes == [100, 100, 48]


async def test_stream_resumed_at_the_end_tells_nothing(autojump_clock: MockClock) -> None:
    """A client that has everything receives only what follows."""
    async with following(after=5, entries=5) as case:
        assert case.outlet.told == []
        case.ledger.write()
        await wait_all_tasks_blocked()
        assert case.outlet.told == [(6, "grant")]


async def test_stream_with_an_id_of_another_ledger_begins_anew(autojump_clock: MockClock) -> None:
    """A number that this ledger has not reached, as after a restore, gets a snapshot."""
    async with following(after=9, entries=5) as case:
        assert case.outlet.told == [(5, "snapshot")]


async def test_commits_while_a_client_does_not_read_become_one_wake(
    autojump_clock: MockClock,
) -> None:
    """A slow reader costs one pending wake-up, however much happens meanwhile."""
    async with following() as case:
        case.outlet.gate = trio.Event()
        case.ledger.write()
        await wait_all_tasks_blocked()
        for _ in range(50):
            case.ledger.write()
        await wait_all_tasks_blocked()
        asked = len(case.ledger.asked)
        case.outlet.gate.set()
        await wait_all_tasks_blocked()
        assert case.outlet.told[1:] == [(seq, "grant") for seq in range(1, 52)]
        assert len(case.ledger.asked) == asked + 1


async def test_wake_for_what_was_told_already_asks_nothing(autojump_clock: MockClock) -> None:
    """A late wake-up costs neither a request nor an event."""
    async with following(entries=5) as case:
        before = len(case.world.asked)
        case.ledger.wake()
        await wait_all_tasks_blocked()
        assert len(case.world.asked) == before


async def test_stream_beats_when_it_is_silent(autojump_clock: MockClock) -> None:
    """No silence is longer than configured, and no heartbeat comes much earlier."""
    async with following() as case:
        begun = trio.current_time()
        await trio.sleep(5 * BEAT_S)
        times = [begun, *case.outlet.beats]
        gaps = [after - before for before, after in pairwise(times)]
        assert len(gaps) >= 5
        assert all(0.8 * BEAT_S <= gap <= BEAT_S for gap in gaps)


async def test_event_puts_the_heartbeat_off(autojump_clock: MockClock) -> None:
    """A stream that sends an event needs no other sign of life."""
    async with following() as case:
        for _ in range(10):
            await trio.sleep(0.7 * BEAT_S)
            case.ledger.write()
        assert case.outlet.beats == []


async def test_stream_ends_when_its_session_ends(autojump_clock: MockClock) -> None:
    """An announced end of the session is checked, sent, and final."""
    async with following() as case:
        case.world.answers[Authorize] = InvalidToken()
        case.world.answers[ListSessions] = ()
        case.publish_sessions_changed(SESSION_ID)
        await wait_all_tasks_blocked()
        assert case.endings == ["session-ended"]


async def test_end_of_the_session_is_seen_behind_a_wake_for_what_is_known(
    autojump_clock: MockClock,
) -> None:
    """Of the wake-ups during a send only the last is seen, which may be the less important one."""
    async with following() as case:
        case.outlet.gate = trio.Event()
        case.ledger.write()
        await wait_all_tasks_blocked()
        case.world.answers[Authorize] = InvalidToken()
        case.world.answers[ListSessions] = ()
        case.publish_sessions_changed(ACCOUNT_ID)
        case.ledger.wake()
        case.outlet.gate.set()
        await wait_all_tasks_blocked()
        assert case.endings == ["session-ended"]


@pytest.mark.parametrize("key", [SESSION_ID, ACCOUNT_ID])
async def test_announcement_that_ends_nothing_tells_nothing(
    key: str, autojump_clock: MockClock
) -> None:
    """An announcement prompts a check; a token that is still valid continues."""
    async with following() as case:
        asked = len(case.world.asked_for(Authorize))
        case.publish_sessions_changed(key)
        await wait_all_tasks_blocked()
        assert len(case.world.asked_for(Authorize)) == asked + 1
        assert case.endings == []


async def test_stream_ends_when_its_token_runs_out(autojump_clock: MockClock) -> None:
    """At the next heartbeat at the latest; the reason shows that the session lives."""
    async with following() as case:
        case.world.answers[Authorize] = InvalidToken()
        await trio.sleep(BEAT_S)
        assert case.endings == ["token-expired"]


async def test_nothing_is_told_to_a_token_that_no_longer_counts(autojump_clock: MockClock) -> None:
    """Even without an announcement, a check precedes each event."""
    async with following() as case:
        case.world.answers[Authorize] = InvalidToken()
        case.world.answers[ListSessions] = ()
        case.ledger.write()
        await wait_all_tasks_blocked()
        assert case.outlet.told == [(0, "snapshot")]
        assert case.endings == ["session-ended"]


async def test_stream_ends_when_the_account_is_gone(autojump_clock: MockClock) -> None:
    """An erased account's stream ends like an ended session's."""
    async with following() as case:
        case.ledger.failures.append(AccountGone())
        case.ledger.write()
        await wait_all_tasks_blocked()
        assert case.endings == ["session-ended"]


@pytest.mark.parametrize("error", [Overloaded("full"), DatabaseUnavailable("away")])
async def test_stream_outlives_what_passes(error: Exception, autojump_clock: MockClock) -> None:
    """An entry that cannot be read now is read a little later, and nothing is lost."""
    async with following() as case:
        case.ledger.failures.append(error)
        case.ledger.write()
        await wait_all_tasks_blocked()
        assert case.outlet.told == [(0, "snapshot")]
        await trio.sleep(RETRY_S)
        assert case.outlet.told[1:] == [(1, "grant")]


async def test_stream_ends_with_what_does_not_pass(autojump_clock: MockClock) -> None:
    """An account that no longer fits the rules cannot be followed."""
    async with following() as case:
        case.ledger.failures.append(RulesetMismatch(("mine",)))
        case.ledger.write()
        await wait_all_tasks_blocked()
        [failure] = case.failures
        assert isinstance(failure, RulesetMismatch)


async def test_full_stock_is_asked_for_when_it_fills(autojump_clock: MockClock) -> None:
    """Without any commit, the ledger is read at the moment a stock fills."""
    world = FakeWorld()
    ledger = Ledger(world, resources={"metal": StockView(0, 60, 10, NOW_MS + 4_000)})
    async with following(ledger=ledger) as case:
        await trio.sleep(3.9)
        assert len(ledger.asked) == 1
        ledger.resources = {"metal": StockView(10, 60, 10, None)}
        ledger.entries.append(entry(1, "production", full=("metal",), metal=(10, 10)))
        await trio.sleep(0.2)
        assert case.outlet.told[1:] == [(1, "resource-full")]
        assert ledger.asked[-1] == GetEvents(ACCOUNT_ID, 0, 100)
        await trio.sleep(60)
        assert len(ledger.asked) == 2


async def test_stock_is_looked_at_while_rates_shift(autojump_clock: MockClock) -> None:
    """A stock that may fill sooner than it seems is looked at with every heartbeat, and no more."""
    world = FakeWorld()
    full = {"metal": StockView(0, 60, 10, NOW_MS + 600_000)}
    async with following(ledger=Ledger(world, resources=full, shifting=True)) as case:
        await trio.sleep(3.5 * BEAT_S)
        assert len(case.ledger.asked) == 4
        case.ledger.shifting = False
        await trio.sleep(10 * BEAT_S)
        assert len(case.ledger.asked) == 5


async def test_world_that_lags_behind_is_asked_again_but_not_at_once(
    autojump_clock: MockClock,
) -> None:
    """A stock that is not full when it should be is read again, after a pause."""
    world = FakeWorld()
    ledger = Ledger(world, resources={"metal": StockView(0, 60, 10, NOW_MS + 1)})
    async with following(ledger=ledger):
        await trio.sleep(10)
        assert 30 <= len(ledger.asked) <= 41


async def test_interruption_is_heeded_once_and_tells_nothing(autojump_clock: MockClock) -> None:
    """What the client sends is handled without asking any actor."""
    async with following() as case:
        before = len(case.world.asked)
        case.follower.interrupt()
        await wait_all_tasks_blocked()
        assert (case.outlet.heeded, len(case.world.asked)) == (1, before)


async def test_interruption_while_busy_waits_its_turn(autojump_clock: MockClock) -> None:
    """The work in progress is finished first."""
    async with following() as case:
        case.outlet.gate = trio.Event()
        case.ledger.write()
        await wait_all_tasks_blocked()
        case.follower.interrupt()
        await wait_all_tasks_blocked()
        assert case.outlet.heeded == 0
        case.outlet.gate.set()
        await wait_all_tasks_blocked()
        assert case.outlet.heeded == 1


async def test_follower_leaves_the_bus(autojump_clock: MockClock) -> None:
    """A stream that has ended has no subscription."""
    async with following() as case:
        assert case.world.bus.statistics().subscriptions == 3
    assert case.world.bus.statistics().subscriptions == 2


async def test_page_that_is_not_whole_is_continued_at_once(autojump_clock: MockClock) -> None:
    """More than a page is sent page by page, without a further wake-up."""
    async with following(after=0, entries=7, page=2) as case:
        assert case.outlet.told == [(seq, "grant") for seq in range(1, 8)]
        assert all(isinstance(case.ledger.page(asked), EventPage) for asked in case.ledger.asked)
