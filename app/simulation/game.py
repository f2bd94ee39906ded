"""Plays a ruleset: wakes the bots when they have something to do, and takes samples.

The world clock jumps to the next moment at which a bot has something to do; moments are multiples
of a step, so that many accounts share one. Nothing depends on the order in which accounts are
served, or on the wall clock: the same setup gives the same result.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from actors.inventory.errors import InventoryError
from actors.inventory.messages import GetInventory, PlaceOrder
from actors.storage.memory import MemoryEngine
from actors.storage.schema import declared_tables
from app.garbage import rare_collections
from app.simulation.memory import PresentOnly
from app.simulation.policies import policy_named
from app.simulation.remembering import remembering
from app.simulation.samples import Sampler
from app.simulation.sight import enter, sight_of
from app.simulation.stage import ASKED_MAX, answer_to, open_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from structlog.typing import FilteringBoundLogger

    from actors.inventory.ruleset import Ruleset
    from actors.inventory.views import InventoryView
    from actors.storage.engine import Engine
    from app.simulation.policies import Policy
    from app.simulation.samples import Sample
    from app.simulation.sight import Sight, Wanted
    from app.simulation.stage import Stage
    from bus import PendingReply

DAY_MS: Final = 86_400_000
_STEPS: Final = 4_320
"""Number of steps that the time is divided into: for a month, steps of ten minutes."""
_STEP_MS_MIN: Final = 1_000
_ORDERS_MAX: Final = 32
"""Maximum orders per visit, well within the mailbox of an account."""


@dataclass(frozen=True, slots=True)
class Setup:
    """The setup of a game: how many accounts, how long, by which policy, from which seed.

    An average player visits ``visits_per_day`` times a day, others up to three times less or more
    often. ``samples`` are taken at even intervals, plus one at the beginning.
    """

    accounts: int
    days: float
    policy: str
    seed: int
    visits_per_day: float = 2.0
    samples: int = 30

    @property
    def span_ms(self) -> int:
        """The world time that is played."""
        return max(_STEP_MS_MIN, round(self.days * DAY_MS))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a simulation is: the world time, and the visits and orders so far."""

    now_ms: int
    visits: int
    orders: int


@dataclass(frozen=True, slots=True)
class Played:
    """A finished simulation; ``refusals`` counts the orders that the server did not accept."""

    setup: Setup
    samples: tuple[Sample, ...]
    visits: int
    orders: int
    refusals: int


class _Bot:
    """One player: an account, a visiting habit, and its own random generator."""

    __slots__ = ("account_id", "gap_ms", "placed", "rng")

    def __init__(self, number: int, setup: Setup) -> None:
        self.account_id = f"{number:08x}-0000-7000-8000-000000000000"
        # A text seed gives the same numbers in every process.
        self.rng = random.Random(f"{setup.seed}/{number}")  # noqa: S311 - play, not secrets
        self.gap_ms: float = DAY_MS / setup.visits_per_day * 3.0 ** self.rng.uniform(-1, 1)
        self.placed = 0

    def next_key(self) -> str:
        """Return a fresh idempotency key."""
        self.placed += 1
        return str(self.placed)

    def visit_after_ms(self, moment_ms: int) -> int:
        """Draw the time of its next visit after a moment."""
        return moment_ms + round(self.rng.expovariate(1.0) * self.gap_ms)


async def play(
    ruleset: Ruleset,
    setup: Setup,
    *,
    log: FilteringBoundLogger,
    on_progress: Callable[[Progress], None] | None = None,
    engine: Engine | None = None,
) -> Played:
    """Play to the end.

    ``on_progress`` is called at every moment played. ``engine`` keeps the rows; by default, only
    those about the present are kept.
    """
    ruleset = remembering(ruleset)
    if engine is None:
        engine = PresentOnly(MemoryEngine(declared_tables()))
    rng = random.Random(setup.seed)  # noqa: S311 - jitter of restarts that do not happen
    with rare_collections():
        async with open_stage(ruleset, engine, accounts=setup.accounts, rng=rng, log=log) as stage:
            game = _Game(ruleset, setup, stage)
            await game.run(on_progress)
    return Played(setup, tuple(game.samples), game.visits, game.orders, game.refusals)


class _Game:
    """A game in progress."""

    def __init__(self, ruleset: Ruleset, setup: Setup, stage: Stage) -> None:
        self._ruleset = ruleset
        self._setup = setup
        self._stage = stage
        self._policy: Policy = policy_named(setup.policy, ruleset)
        self._sampler = Sampler(ruleset)
        self._step_ms = max(_STEP_MS_MIN, setup.span_ms // _STEPS)
        self._bots = [_Bot(number, setup) for number in range(setup.accounts)]
        self._wakes: list[tuple[int, int]] = []
        self.samples: list[Sample] = []
        self.visits = self.orders = self.refusals = 0

    async def run(self, on_progress: Callable[[Progress], None] | None) -> None:
        """Play from the first moment to the last."""
        for number, bot in enumerate(self._bots):
            self._wake_at(number, bot.visit_after_ms(0))
        sample_times = self._sample_times()
        sample_ms = next(sample_times, None)
        while sample_ms is not None:
            if self._wakes and self._wakes[0][0] < sample_ms:
                now_ms = self._wakes[0][0]
                self._stage.jump(now_ms)
                for numbers in _waves(self._due(now_ms)):
                    await self._visit(numbers)
            else:
                now_ms = sample_ms
                self._stage.jump(now_ms)
                self.samples.append(await self._sample(now_ms))
                sample_ms = next(sample_times, None)
            if on_progress is not None:
                on_progress(Progress(now_ms, self.visits, self.orders))

    def _sample_times(self) -> Iterator[int]:
        for index in range(self._setup.samples + 1):
            yield self._setup.span_ms * index // self._setup.samples

    def _wake_at(self, number: int, moment_ms: int) -> None:
        """Schedule a bot's visit at the first step at or after a moment."""
        step_ms = self._step_ms
        heapq.heappush(self._wakes, (-(-moment_ms // step_ms) * step_ms, number))

    def _due(self, now_ms: int) -> list[int]:
        due: list[int] = []
        while self._wakes and self._wakes[0][0] <= now_ms:
            due.append(heapq.heappop(self._wakes)[1])
        return due

    async def _sample(self, now_ms: int) -> Sample:
        views: list[InventoryView] = []
        for numbers in _waves(range(len(self._bots))):
            views += [view for _, view in await self._look(numbers)]
        return self._sampler.sample(now_ms, views)

    async def _look(self, numbers: Sequence[int]) -> list[tuple[int, InventoryView]]:
        """Return the present views of accounts, with their numbers."""
        asked = [
            (number, self._stage.send(GetInventory(self._bots[number].account_id)))
            for number in numbers
        ]
        return [(number, await answer_to(pending)) for number, pending in asked]

    async def _visit(self, numbers: Sequence[int]) -> None:
        """Let bots visit concurrently: look, order, and decide when to return."""
        self.visits += len(numbers)
        visits: list[tuple[int, Sight, list[PendingReply[Any]]]] = []
        for number, view in await self._look(numbers):
            bot = self._bots[number]
            sight = sight_of(view, self._ruleset)
            wanted = self._policy.orders(sight, bot.rng)[:_ORDERS_MAX]
            visits.append((number, sight, [self._order(bot, each) for each in wanted]))
        for number, sight, orders in visits:
            for order in orders:
                await self._enter(sight, order)
            event_ms = self._policy.waits_for(sight)
            if event_ms is not None:
                # Never at the same moment again: nothing would have changed.
                after_ms = max(event_ms, sight.now_ms + self._step_ms)
                self._wake_at(number, self._bots[number].visit_after_ms(after_ms))

    def _order(self, bot: _Bot, wanted: Wanted) -> PendingReply[Any]:
        return self._stage.send(
            PlaceOrder(bot.account_id, wanted.asset, wanted.units, bot.next_key(), b"")
        )

    async def _enter(self, sight: Sight, order: PendingReply[Any]) -> None:
        try:
            placed = await answer_to(order)
        except InventoryError:
            self.refusals += 1
        else:
            self.orders += 1
            enter(sight, placed.order, self._ruleset)


def _waves(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """Split accounts into groups that may be addressed at once."""
    for start in range(0, len(numbers), ASKED_MAX):
        yield numbers[start : start + ASKED_MAX]
