"""The example of an actor behaves as its page says."""

from __future__ import annotations

import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.authx.errors import UnknownAccount
from actors.authx.messages import Account, GetAccount
from actors.inventory.messages import Grant
from actors.shutdown import Phase, Shutdown
from app.http.endpoints import ENDPOINTS
from app.http.openapi import describe, with_openapi
from bus import ActorStopped, Interest, Message, Topic
from examples.leaderboard.actor import LEADERBOARD_KEY, Leaderboard
from examples.leaderboard.endpoint import LEADERBOARD
from examples.leaderboard.messages import GetLeaderboard, Standing
from examples.leaderboard.ranking import Ranking, score_of
from tests.actors.inventory.world import World, a_world, account
from tests.app.http.harness import BEARER, FakeWorld, serving
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from bus import Subscription

REFRESH_MS = 5_000
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Board:
    """A world with a leaderboard, and the names of its accounts."""

    world: World
    names: dict[str, str] = field(default_factory=dict[str, str])
    failures: list[Exception] = field(default_factory=list[Exception])
    asked: int = 0

    async def join(self, number: int, name: str, levels: int = 0) -> str:
        """Add an account with this many levels."""
        who = account(number)
        self.names[who] = name
        await self.world.look(who)
        if levels:
            await self.give(who, levels)
        return who

    async def give(self, who: str, levels: int) -> None:
        """Raise an account's hut by this many levels."""
        self.world.keys += 1
        key = f"grant-{self.world.keys}"
        await self.world.ask(Grant(who, {"hut": levels}, "test", "operator", key, b"f"))

    async def standings(self, limit: int = 10) -> list[tuple[int, str, int]]:
        """Request the board."""
        told: tuple[Standing, ...] = await self.world.bus.ask(
            Topic.TASK, GetLeaderboard(limit), key=LEADERBOARD_KEY, timeout_s=5
        )
        return [(each.rank, each.username, each.score) for each in told]

    async def answer_names(self, subscription: Subscription) -> None:
        """Stand in for Authx."""
        async for message in subscription:
            assert isinstance(message.body, GetAccount)
            assert message.reply is not None
            self.asked += 1
            who = message.body.account_id
            if self.failures:
                message.reply.fail(self.failures.pop(0))
            elif who in self.names:
                message.reply.send_nowait(
                    Account(
                        who,
                        self.names[who],
                        "player",
                        suspended=False,
                        created_at=datetime(2026, 1, 1, tzinfo=UTC),
                    )
                )
            else:
                message.reply.fail(UnknownAccount())


@asynccontextmanager
async def a_board(*, size: int = 10) -> AsyncGenerator[Board]:
    """Run a world with a leaderboard."""
    async with a_world() as world, trio.open_nursery() as nursery:
        board = Board(world)
        nursery.start_soon(
            board.answer_names, world.bus.subscribe(Interest(Topic.AUTH), buffer=100)
        )
        subscription = world.bus.subscribe(
            Interest(Topic.TASK, key=LEADERBOARD_KEY),
            Interest(Topic.TICK),
            Interest(Topic.SHUTDOWN),
            buffer=8,
        )
        actor = Leaderboard(
            subscription,
            world.bus,
            world.storage,
            size=size,
            refresh_ms=REFRESH_MS,
            log=quiet_log(),
        )
        await world.supervisor.start("leaderboard", actor)
        yield board
        nursery.cancel_scope.cancel()


async def test_leaderboard_ranks_by_levels(autojump_clock: MockClock) -> None:
    """The account that has built most is first; equal accounts share a rank."""
    async with a_board() as board:
        await board.join(1, "ann", 1)
        await board.join(2, "bob", 3)
        await board.join(3, "cem", 1)
        await board.join(4, "dan")
        await trio.sleep(REFRESH_MS / 1000 + 1)
        assert await board.standings() == [
            (1, "bob", 3),
            (2, "ann", 1),
            (2, "cem", 1),
            (4, "dan", 0),
        ]
        assert await board.standings(limit=1) == [(1, "bob", 3)]


async def test_leaderboard_is_at_most_its_interval_old(autojump_clock: MockClock) -> None:
    """A change appears after the interval, in world time; no query runs before."""
    async with a_board() as board:
        ann = await board.join(1, "ann", 1)
        await trio.sleep(REFRESH_MS / 1000 + 1)
        asked = board.asked
        await board.give(ann, 2)
        assert await board.standings() == [(1, "ann", 1)]
        assert board.asked == asked
        await trio.sleep(REFRESH_MS / 1000)
        assert await board.standings() == [(1, "ann", 3)]


async def test_leaderboard_sees_what_was_there_before_it(autojump_clock: MockClock) -> None:
    """It is ready only after ranking the accounts already stored."""
    async with a_board() as board:
        await board.join(1, "ann", 2)
        await board.world.bus.send(Message(Topic.TASK, object(), LEADERBOARD_KEY))
        board.failures.append(OSError("the first run ends here"))
        await trio.sleep(REFRESH_MS / 1000 + 1)
        # Restarted: its first query saw the world as it is now.
        assert await board.standings() == [(1, "ann", 2)]


async def test_leaderboard_survives_its_own_failure(autojump_clock: MockClock) -> None:
    """The supervisor restarts it; requests made meanwhile are answered by the next one."""
    async with a_board() as board:
        await board.join(1, "ann", 2)
        board.failures.append(ZeroDivisionError("a fault in it"))
        await trio.sleep(REFRESH_MS / 1000)
        with trio.fail_after(5):
            assert await board.standings() == [(1, "ann", 2)]
        assert board.world.supervisor.states()["leaderboard"].restarts == 1
        assert board.world.supervisor.all_ready()


async def test_leaderboard_keeps_the_old_board_while_storage_is_away(
    autojump_clock: MockClock,
) -> None:
    """A failed query changes nothing, and the next one sees all that it would have seen."""
    async with a_board() as board:
        ann = await board.join(1, "ann", 1)
        await trio.sleep(REFRESH_MS / 1000 + 1)
        board.failures.append(ActorStopped("authx is restarted"))
        await board.give(ann, 1)
        await trio.sleep(REFRESH_MS / 1000)
        assert await board.standings() == [(1, "ann", 1)]
        await trio.sleep(REFRESH_MS / 1000)
        assert await board.standings() == [(1, "ann", 2)]
        assert board.world.supervisor.states()["leaderboard"].restarts == 0


async def test_leaderboard_forgets_the_erased(autojump_clock: MockClock) -> None:
    """An erased account makes room for the next, and ranks close up."""
    async with a_board(size=2) as board:
        for number, name in enumerate(("ann", "bob", "cem"), start=1):
            await board.join(number, name, 4 - number)
        await trio.sleep(REFRESH_MS / 1000 + 1)
        assert await board.standings() == [(1, "ann", 3), (2, "bob", 2)]
        del board.names[account(1)]
        await trio.sleep(REFRESH_MS / 1000 + 1)
        assert await board.standings() == [(1, "bob", 2), (2, "cem", 1)]


async def test_leaderboard_refuses_what_it_does_not_know(autojump_clock: MockClock) -> None:
    """A message of another actor's type is dropped; its sender learns so at once."""
    async with a_board() as board:
        with pytest.raises(ActorStopped):
            await board.world.bus.ask(Topic.TASK, object(), key=LEADERBOARD_KEY, timeout_s=5)


async def test_leaderboard_stops_with_the_world(autojump_clock: MockClock) -> None:
    """It answers while requests finish, stops in its phase, and leaves no caller waiting."""
    async with a_board() as board:
        bus, supervisor = board.world.bus, board.world.supervisor
        supervisor.stopping()
        await bus.send(Message(Topic.SHUTDOWN, Shutdown(Phase.EDGE, "test")))
        assert await board.standings() == []
        await bus.send(Message(Topic.SHUTDOWN, Shutdown(Phase.WORLD, "test")))
        await supervisor.wait_ended("leaderboard")
        await wait_all_tasks_blocked()
        assert supervisor.states()["leaderboard"].state.value == "stopped"


async def test_endpoint_tells_the_board() -> None:
    """The row fits the table, is described in OpenAPI, and returns the actor's answer."""
    table = with_openapi((*ENDPOINTS, *LEADERBOARD))
    described = describe(table)["paths"]["/v1/leaderboard"]["get"]
    assert described["security"] == [{"token": []}]
    world = FakeWorld()
    world.answers[GetLeaderboard] = (Standing(1, account(1), "ann", 3),)
    async with serving(world, endpoints=table) as server:
        told = await server.client.get("/v1/leaderboard?limit=1", headers=BEARER)
        assert told.json() == {"standings": [{"rank": 1, "username": "ann", "score": 3}]}
        assert world.asked_for(GetLeaderboard) == [GetLeaderboard(1)]
        assert (await server.client.get("/v1/leaderboard")).status_code == 401
        for query in ("limt=1", "limit=0", "limit=x"):
            refused = await server.client.get(f"/v1/leaderboard?{query}", headers=BEARER)
            assert refused.json()["type"] == "/problems/invalid-request"


def test_ranking_breaks_no_tie() -> None:
    """Equal scores share a rank, the older account first, and the next rank is skipped."""
    ranking = Ranking()
    for number, score in ((3, 5), (1, 5), (2, 9), (4, 0)):
        ranking.set(account(number), score)
    ranking.set(account(4), 1)
    assert ranking.best(10) == [
        (1, account(2), 9),
        (2, account(1), 5),
        (2, account(3), 5),
        (4, account(4), 1),
    ]
    ranking.remove(account(2))
    ranking.remove("nobody")
    assert [rank for rank, _, _ in ranking.best(2)] == [1, 1]


def test_score_counts_levels_alone() -> None:
    """Stocks and units do not count towards a score."""
    assert score_of('{"levels": {"hut": 2, "mill": 1}, "units": {"cart": 9}, "at_ms": 1}') == 3
    assert score_of("{}") == 0


def test_example_runs_as_it_stands() -> None:
    """The page's command prints a board of three players."""
    done = subprocess.run(
        [sys.executable, "-m", "examples.leaderboard", "2.5"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    [line] = done.stdout.splitlines()
    assert sorted(line.split()[1::3]) == ["ann", "bob", "cem"]
