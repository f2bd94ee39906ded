"""A snapshot of the whole program for operators, read from its parts without waiting for any."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import trio

from app.histogram import Histogram
from app.http.traffic import ANSWER_BOUNDS_S
from app.http.types.operations import (
    ActorNode,
    AskCounts,
    BusState,
    ConnectionCounts,
    Distribution,
    GroupState,
    HttpState,
    LoggedEvent,
    LoggedEvents,
    LoginCounts,
    MailboxState,
    Status,
    StorageState,
    StreamCounts,
    TopicCounts,
    WorldState,
)
from app.http.types.times import world_time
from app.http.types.world import RulesetName
from app.metrics.meters import AUTHX, INVENTORY, OTHER
from app.version import full_version

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.supervisor import ActorStatus
    from app.config import Config
    from app.gateway import PublishedRuleset
    from app.http.streams.registry import StreamsStatistics
    from app.metrics.sources import Meters, Sources
    from app.recent import RecentEvents

PROGRAM: Final = "holdfast"
"""The name of the tree's root."""

_MANAGER: Final = "inventories"
_HUNDRED: Final = 100


class Overview:
    """What operators can see of one program; reading it costs no bus message and no query.

    ``streams`` reads the counts of event streams. ``wall_clock`` returns aware UTC times.
    """

    def __init__(
        self,
        config: Config,
        ruleset: PublishedRuleset,
        sources: Sources,
        meters: Meters,
        recent: RecentEvents,
        *,
        streams: Callable[[], StreamsStatistics],
        wall_clock: Callable[[], datetime],
    ) -> None:
        self._config = config
        self._ruleset = ruleset
        self._sources = sources
        self._meters = meters
        self._recent = recent
        self._streams = streams
        self._wall_clock = wall_clock
        self._version = full_version()
        self._started_at = wall_clock()
        self._started_s = trio.current_time()

    def status(self) -> Status:
        """Return the current state of every part."""
        sources, meters = self._sources, self._meters
        return Status(
            version=self._version,
            started_at=self._started_at,
            now=self._wall_clock(),
            world=self._world(),
            actors=self._tree(),
            bus=self._bus(),
            http=self._http(),
            streams=StreamCounts(**asdict(self._streams())),
            logins=LoginCounts(**asdict(sources.authx.logins())),
            storage=self._storage(),
            replies={actor: distribution(each) for actor, each in meters.bus.replies.items()},
            tick_lag=distribution(meters.world.ticks),
        )

    def events(self, after: int | None, *, level: str, limit: int) -> LoggedEvents:
        """Return recently logged events; see `RecentEvents.read`."""
        page = self._recent.read(after, level=level, limit=limit)
        entries = [
            LoggedEvent(
                event.seq,
                datetime.fromisoformat(event.at).astimezone(UTC),
                event.level,
                event.event,
                {name: str(value) for name, value in event.fields.items()},
            )
            for event in page.entries
        ]
        return LoggedEvents(entries, page.last, page.dropped)

    def _world(self) -> WorldState:
        clock = self._sources.ticker.statistics()
        world = self._config.world
        return WorldState(
            name=world.name,
            ruleset=RulesetName(self._ruleset.name, self._ruleset.version),
            tick=clock.tick,
            tick_ms=world.tick_ms,
            speed=self._ruleset.parameters.get("speed", 1),
            now=world_time(clock.now_ms),
            lag_ms=round(clock.lag_seconds * 1000),
            due_lag_ms=self._sources.inventories.statistics().due_lag_ms,
        )

    def _tree(self) -> ActorNode:
        states = self._sources.supervisor.states()
        children = [self._actor(name, status) for name, status in states.items()]
        # This is read over HTTP, so the front is up.
        front = ActorNode(
            name="http",
            kind="front",
            policy=None,
            state="ready",
            restarts=0,
            since=self._started_at,
            failure=None,
            mailbox=None,
            group=None,
            children=[],
        )
        return ActorNode(
            name=PROGRAM,
            kind="program",
            policy=None,
            state="ready" if self._sources.supervisor.all_ready() else "restarting",
            restarts=sum(each.restarts for each in states.values()),
            since=self._started_at,
            failure=None,
            mailbox=None,
            group=None,
            children=[*children, front],
        )

    def _actor(self, name: str, status: ActorStatus) -> ActorNode:
        is_manager = name == _MANAGER
        return ActorNode(
            name=name,
            kind="actor",
            policy=status.policy.value,
            state=status.state.value,
            restarts=status.restarts,
            since=self._wall_time(status.since_s),
            failure=status.failure,
            mailbox=self._mailbox(name),
            group=None,
            children=[self._group(status)] if is_manager else [],
        )

    def _group(self, manager: ActorStatus) -> ActorNode:
        told = self._sources.inventories.statistics()
        return ActorNode(
            name=INVENTORY,
            kind="group",
            policy="transient",
            state=manager.state.value,
            restarts=told.restarts,
            since=self._wall_time(manager.since_s),
            failure=None,
            mailbox=None,
            group=GroupState(
                live=told.live,
                live_max=self._config.inventory.live_max,
                activating=told.activating,
                activations=told.activations,
                passivations=told.passivations,
            ),
            children=[],
        )

    def _mailbox(self, name: str) -> MailboxState | None:
        subscription = self._sources.mailboxes.get(name)
        if subscription is None:
            return None
        told = subscription.statistics()
        return MailboxState(
            told.current_buffer_used, told.max_buffer_size, told.peak_buffer_used, told.in_hand
        )

    def _bus(self) -> BusState:
        told = self._sources.bus.statistics()
        topics = {topic.value: TopicCounts(**asdict(each)) for topic, each in told.topics.items()}
        in_flight = sum(self._meters.bus.in_flight.values())
        return BusState(topics, AskCounts(**asdict(told.replies), in_flight=in_flight))

    def _http(self) -> HttpState:
        traffic = self._meters.traffic
        statuses, methods = Counter[str](), Counter[str]()
        for (method, _, code), count in traffic.requests.items():
            statuses[f"{code // _HUNDRED}xx"] += count
            methods[method] += count
        return HttpState(
            statuses=dict(statuses),
            methods=dict(methods),
            in_flight=sum(self._meters.bus.in_flight[actor] for actor in (AUTHX, INVENTORY, OTHER)),
            abandoned=traffic.abandonments,
            connections=ConnectionCounts(
                traffic.connections_open,
                traffic.connections_accepted,
                traffic.connections_refused,
            ),
            duration=distribution(Histogram.total(ANSWER_BOUNDS_S, traffic.latencies.values())),
        )

    def _storage(self) -> StorageState:
        told, meter = self._sources.storage.statistics(), self._meters.storage
        return StorageState(
            commits=told.commits,
            units_committed=told.units_committed,
            units_failed=told.units_failed,
            units_waiting=told.units_waiting,
            queries_waiting=told.queries_waiting,
            queue_max=self._config.storage.queue_max,
            setbacks=told.setbacks,
            commit_duration=distribution(meter.commits),
            batch_units=distribution(meter.batches),
            read_duration=distribution(meter.reads),
        )

    def _wall_time(self, moment_s: float) -> datetime:
        """Convert a time of Trio's clock to wall-clock time."""
        return self._started_at + timedelta(seconds=moment_s - self._started_s)


def distribution(filled: Histogram) -> Distribution:
    """Convert a histogram to its HTTP representation."""
    return Distribution(list(filled.bounds), list(filled.counts), filled.sum, filled.count)
