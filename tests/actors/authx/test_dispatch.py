"""The dispatcher: the cache answers on the spot, and everything else is bounded."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio

from actors.authx.directory import AccountCache
from actors.authx.dispatch import Dispatcher
from actors.authx.errors import InvalidToken, UnknownAccount
from actors.authx.keys import KeyRing
from actors.authx.memory import Memory
from actors.authx.messages import (
    Authorize,
    ChangePassword,
    EndSession,
    EndSessions,
    EraseAccount,
    FindAccount,
    GetAccount,
    Identity,
    ListSessions,
    Login,
    Refresh,
    Register,
)
from actors.authx.passwords import Passwords
from actors.authx.reads import BatchedReads
from actors.authx.sessions import SessionCache
from actors.authx.statistics import LoginCounters
from actors.authx.tokens import AccessTokens
from bus import ActorStopped, Overloaded, open_broadcast_channel
from tests.actors.authx.support import CHEAP, WallClock
from tests.actors.authx.test_directory import named
from tests.actors.authx.test_reads import Fetching
from tests.actors.authx.test_session_cache import state_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.authx.directory import NamedAccount
    from actors.authx.messages import AuthMessage
    from bus import PendingReply

ACCOUNT = "01890a5d-ac96-774b-bcce-b302099a8057"
SESSION = "01890a5d-ac96-774b-bcce-b302099a8058"
SETTINGS = replace(CHEAP, hash_workers=1, hash_queue=1, requests_in_flight_max=2)
HASHING = (
    Login("ada", "x"),
    Register("ada", "x"),
    ChangePassword(ACCOUNT, SESSION, "x", "y"),
    EraseAccount(ACCOUNT, "x"),
)
READING = (
    Refresh("genuine"),
    ListSessions(ACCOUNT),
    EndSessions(ACCOUNT),
    EndSession(ACCOUNT, SESSION),
    GetAccount(ACCOUNT),
)


class PlayedService:
    """Every request waits for the test's permission and is answered with its own name."""

    def __init__(self) -> None:
        self.go = trio.Event()

    def read_refresh_token(self, text: str) -> str:
        """Know the only genuine token."""
        if text != "genuine":
            raise InvalidToken
        return text

    def check_open(self) -> None:
        """Let everybody register."""

    def __getattr__(self, name: str) -> Any:
        """Return the method of any name."""

        async def method(_request: object, *_: object) -> str:
            await self.go.wait()
            return name

        return method


class PlayedOperators:
    """Treats nobody as an operator."""

    def may_go_first(self, _message: object) -> bool:
        """Let nobody go first."""
        return False


class DispatcherHarness:
    """A dispatcher whose surroundings are played by the test."""

    def __init__(self, nursery: trio.Nursery, *, hash_queue: int = 1) -> None:
        self.clock = WallClock()
        self.tokens = AccessTokens(KeyRing.generate(), SETTINGS, wall_clock=self.clock)
        self.passwords = Passwords(replace(SETTINGS, hash_queue=hash_queue))
        self.cache = SessionCache(10)
        self.accounts = AccountCache(10)
        self.found: list[Sequence[str]] = []
        self.fetching = Fetching()
        self.fetching.go.set()
        self.listener = SimpleNamespace(listening=True)
        self.service = PlayedService()
        self.operators = PlayedOperators()
        self.bus = open_broadcast_channel()
        self.logins = LoginCounters()
        self.dispatcher = Dispatcher(
            nursery,
            cast("Any", self.service),
            cast("Any", self.service),
            cast("Any", self.service),
            cast("Any", self.operators),
            tokens=self.tokens,
            passwords=self.passwords,
            memory=Memory(self.cache, self.accounts),
            listener=cast("Any", self.listener),
            sessions=BatchedReads(self.cache, self.fetching, nursery, waiting_max=5),
            accounts=BatchedReads(self.accounts, self.find, nursery, waiting_max=5),
            logins=self.logins,
            in_flight_max=SETTINGS.requests_in_flight_max,
            wall_clock=self.clock,
        )

    async def find(self, keys: Sequence[str]) -> list[NamedAccount]:
        """Find nobody."""
        await trio.lowlevel.checkpoint()
        self.found.append(keys)
        return []

    def token(self) -> str:
        """Make a valid token."""
        return self.tokens.issue(account_id=ACCOUNT, session_id=SESSION, role="player")

    def take(self, message: AuthMessage) -> tuple[bool, PendingReply[Any]]:
        """Hand a message in; return whether it was answered on the spot."""
        reply, pending = self.bus.open_reply()
        self.dispatcher.take(message, reply)
        return reply.settled, pending


async def test_authorize_of_a_cached_session_is_answered_on_the_spot() -> None:
    """No task, checkpoint or database access: the answer is there once the message is taken."""
    async with trio.open_nursery() as nursery:
        harness = DispatcherHarness(nursery)
        harness.cache.put(state_of(SESSION, ACCOUNT))
        settled, pending = harness.take(Authorize(harness.token()))
        assert settled
        assert await pending.wait(1) == Identity(ACCOUNT, SESSION, "player", "Ada")
        assert harness.fetching.batches == []


@pytest.mark.parametrize("token", ["", "nonsense", "v4.local.AAAA.AAAA"])
async def test_authorize_of_a_bad_token_is_refused_on_the_spot(token: str) -> None:
    """A made-up token costs neither a task nor a query."""
    async with trio.open_nursery() as nursery:
        harness = DispatcherHarness(nursery)
        settled, pending = harness.take(Authorize(token))
        assert settled
        with pytest.raises(InvalidToken):
            await pending.wait(1)
        assert harness.fetching.batches == []


async def test_authorize_does_not_believe_the_cache_while_nothing_is_heard() -> None:
    """Without the listener a revocation could be missed: the database is asked each time."""
    async with trio.open_nursery() as nursery:
        harness = DispatcherHarness(nursery)
        harness.cache.put(state_of(SESSION, ACCOUNT))
        harness.listener.listening = False
        for _ in range(2):
            settled, pending = harness.take(Authorize(harness.token()))
            assert not settled
            with pytest.raises(InvalidToken):  # the played database gives it to account "ada"
                await pending.wait(1)
        assert harness.fetching.batches == [[SESSION]] * 2


async def test_authorize_without_a_reply_reads_nothing() -> None:
    """If nobody waits for the answer, none is looked for."""
    async with trio.open_nursery() as nursery:
        harness = DispatcherHarness(nursery)
        harness.dispatcher.take(Authorize(harness.token()), None)
        harness.dispatcher.take(Authorize("nonsense"), None)
    assert harness.fetching.batches == []


async def test_account_that_is_remembered_is_found_on_the_spot() -> None:
    """In any spelling, without a task; an impossible name is refused as fast."""
    async with trio.open_nursery() as nursery:
        harness = DispatcherHarness(nursery)
        harness.accounts.put(named("ada"))
        settled, pending = harness.take(FindAccount("ADA"))
        assert settled
        assert await pending.wait(1) == named("ada").account
        settled, refused = harness.take(FindAccount("a b"))
        assert settled
        with pytest.raises(UnknownAccount):
            await refused.wait(1)
        harness.dispatcher.take(FindAccount("bob"), None)
        assert harness.found == []


async def test_account_is_not_believed_while_nothing_is_heard() -> None:
    """Without the listener an erasure could be missed: the database is asked."""
    async with trio.open_nursery() as nursery:
        harness = DispatcherHarness(nursery)
        harness.accounts.put(named("ada"))
        harness.listener.listening = False
        with pytest.raises(UnknownAccount):
            await harness.take(FindAccount("ada"))[1].wait(1)
        assert harness.found == [["ada"]]


@pytest.mark.parametrize("message", READING, ids=lambda message: type(message).__name__)
async def test_requests_in_flight_are_bounded(message: AuthMessage) -> None:
    """Beyond the bound a request is refused at once; those in progress are answered."""
    async with trio.open_nursery() as nursery:
        harness = DispatcherHarness(nursery)
        waiting = [harness.take(message)[1] for _ in range(2)]
        settled, refused = harness.take(message)
        assert settled
        with pytest.raises(Overloaded):
            await refused.wait(1)
        harness.service.go.set()
        for pending in waiting:
            assert isinstance(await pending.wait(1), str)
        assert isinstance(await harness.take(message)[1].wait(1), str)


@pytest.mark.parametrize("message", HASHING, ids=lambda message: type(message).__name__)
async def test_requests_that_hash_are_bounded_apart_from_the_others(message: AuthMessage) -> None:
    """A flood of logins is refused on the spot and takes no place from other requests.

    A flood of registrations leaves half of the places to logins.
    """
    places = 1 if isinstance(message, Register) else 2
    async with trio.open_nursery() as nursery:
        harness = DispatcherHarness(nursery)
        waiting = [harness.take(message)[1] for _ in range(places)]
        for _ in range(100):
            settled, refused = harness.take(message)
            assert settled
            with pytest.raises(Overloaded):
                await refused.wait(1)
        waiting += [harness.take(GetAccount(ACCOUNT))[1] for _ in range(2)]
        waiting += [harness.take(Login("bob", "x"))[1] for _ in range(2 - places)]
        harness.service.go.set()
        for pending in waiting:
            assert isinstance(await pending.wait(1), str)
        assert harness.passwords.slots_free == 2


@pytest.mark.parametrize("message", HASHING, ids=lambda message: type(message).__name__)
async def test_one_address_takes_a_part_of_the_places_to_hash(message: AuthMessage) -> None:
    """Logging in endlessly, even with right passwords, keeps nobody else out."""
    assert isinstance(message, Login | Register | ChangePassword | EraseAccount)
    here, elsewhere = (replace(message, address=address) for address in ("192.0.2.1", "192.0.2.2"))
    async with trio.open_nursery() as nursery:
        harness = DispatcherHarness(nursery, hash_queue=7)
        waiting = [harness.take(here)[1] for _ in range(2)]
        for _ in range(100):
            settled, refused = harness.take(here)
            assert settled
            with pytest.raises(Overloaded):
                await refused.wait(1)
        waiting += [harness.take(elsewhere)[1] for _ in range(2)]
        harness.service.go.set()
        for pending in waiting:
            assert isinstance(await pending.wait(1), str)
        assert isinstance(await harness.take(here)[1].wait(1), str)


async def test_requests_lead_to_the_method_of_their_name() -> None:
    """Every message has its own method, and is answered with that method's result."""
    names: list[str] = []
    async with trio.open_nursery() as nursery:
        harness = DispatcherHarness(nursery)
        harness.service.go.set()
        for message in READING + HASHING:
            names.append(await harness.take(message)[1].wait(1))  # noqa: PERF401 - one by one
    assert names == [
        "refresh",
        "list_sessions",
        "end_sessions",
        "end_session",
        "get_account",
        "login",
        "register",
        "change_password",
        "erase_account",
    ]


async def test_refresh_with_a_made_up_token_is_refused_on_the_spot() -> None:
    """It costs neither a task nor a query."""
    async with trio.open_nursery() as nursery:
        settled, pending = DispatcherHarness(nursery).take(Refresh("made up"))
        assert settled
        with pytest.raises(InvalidToken):
            await pending.wait(1)


async def test_request_that_is_cancelled_leaves_its_place() -> None:
    """Cancelled work frees its slot and its place; its reply is left to the actor's guard."""
    async with trio.open_nursery() as nursery:
        harness = DispatcherHarness(nursery)
        pending = [harness.take(message)[1] for message in (READING[1], HASHING[0])]
        nursery.cancel_scope.cancel()
    assert harness.dispatcher._in_flight == 0
    assert harness.passwords.slots_free == 2
    for each in pending:
        with pytest.raises(ActorStopped):
            await each.wait(1)
