"""Reads the metrics of a program from its parts, only when they are scraped."""

from __future__ import annotations

import platform
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from prometheus_client.registry import Collector

from actors.supervisor import ActorState
from app.metrics.families import counter, counters, gauge, gauges, histogram, histograms
from app.version import full_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from actors.database.extent import ExtentMeter
    from actors.storage import Storage
    from app.http.traffic import Traffic
    from app.metrics.meters import BusMeter, StorageMeter
    from app.metrics.sources import Meters, Sources
    from bus import Bus

_TOPIC_COUNTERS: Final = (
    ("messages", "sent", "Messages sent and not refused."),
    ("deliveries", "delivered", "Copies of messages put into mailboxes."),
    ("refusals", "refused", "Messages refused because a mailbox was full."),
    ("unclaimed", "unclaimed", "Messages for an account that was not live."),
    ("unheard", "unheard", "Messages that reached no receiver."),
)
"""Each counter of a topic: its name, the bus's own name for it, and what it counts."""


class ProgramCollector(Collector):
    """Yields every family named ``holdfast_…``; other tasks may run between two of them."""

    def __init__(self, sources: Sources, meters: Meters) -> None:
        self._sources = sources
        self._meters = meters
        self._version = full_version()

    def collect(self) -> Iterator[Metric]:
        """Read part by part, all families of a part at one moment, so that they are consistent."""
        sources, meters = self._sources, self._meters
        yield _build(self._version)
        yield from tuple(_bus(sources.bus, meters.bus))
        yield from tuple(_actors(sources))
        yield from tuple(_storage(sources.storage, meters.storage))
        yield from _database(meters.database)
        yield from tuple(_world(sources))
        yield from tuple(_http(meters.traffic))


def _build(version: str) -> Metric:
    return gauges(
        "holdfast_build_info",
        "The running program; always 1.",
        ("version", "python"),
        {(version, platform.python_version()): 1},
    )


def _bus(bus: Bus, meter: BusMeter) -> Iterator[Metric]:
    told = bus.statistics()
    topics = {topic.value: asdict(counted) for topic, counted in told.topics.items()}
    for name, field, meaning in _TOPIC_COUNTERS:
        values = {topic: counted[field] for topic, counted in topics.items()}
        yield counters(f"holdfast_bus_{name}", meaning, "topic", values)
    replies = asdict(told.replies)
    late = replies.pop("late")
    yield counters("holdfast_bus_asks", "Questions over the bus, by outcome.", "outcome", replies)
    yield counter(
        "holdfast_bus_late_replies", "Answers dropped because the caller no longer waited.", late
    )
    yield histograms(
        "holdfast_bus_reply_duration_seconds",
        "Time from a question over the bus to its outcome, by the actor asked.",
        "actor",
        meter.replies,
    )
    yield gauge("holdfast_bus_subscriptions", "Mailboxes on the bus.", told.subscriptions)


def _actors(sources: Sources) -> Iterator[Metric]:
    states = sources.supervisor.states()
    yield gauges(
        "holdfast_actor_ready",
        "1 if the actor is ready, else 0.",
        "actor",
        {name: status.state is ActorState.READY for name, status in states.items()},
    )
    restarts = {name: status.restarts for name, status in states.items()}
    yield counters(
        "holdfast_actor_restarts",
        "Restarts after a failure; all accounts' actors together count as inventory.",
        "actor",
        {**restarts, "inventory": sources.inventories.statistics().restarts},
    )
    mailboxes = {name: each.statistics() for name, each in sources.mailboxes.items()}
    yield gauges(
        "holdfast_actor_mailbox_messages",
        "Messages waiting for the actor.",
        "actor",
        {name: each.current_buffer_used for name, each in mailboxes.items()},
    )
    yield gauges(
        "holdfast_actor_mailbox_messages_max",
        "Messages that may wait for the actor; more are refused.",
        "actor",
        {name: each.max_buffer_size for name, each in mailboxes.items()},
    )
    yield gauges(
        "holdfast_actor_mailbox_messages_peak",
        "The most messages that ever waited for the actor.",
        "actor",
        {name: each.peak_buffer_used for name, each in mailboxes.items()},
    )
    yield counters(
        "holdfast_logins",
        "Logins, by outcome.",
        "outcome",
        asdict(sources.authx.logins()),
    )


def _storage(storage: Storage, meter: StorageMeter) -> Iterator[Metric]:
    told = storage.statistics()
    yield counter("holdfast_storage_commits", "Transactions attempted to the end.", told.commits)
    yield counters(
        "holdfast_storage_units",
        "Units that committed, or failed alone.",
        "outcome",
        {"committed": told.units_committed, "failed": told.units_failed},
    )
    yield counter(
        "holdfast_storage_setbacks",
        "Commits and reads that found the database away and were retried.",
        told.setbacks,
    )
    yield gauge("holdfast_storage_units_waiting", "Units waiting for a commit.", told.units_waiting)
    yield gauge(
        "holdfast_storage_queries_waiting",
        "Queries waiting for a connection.",
        told.queries_waiting,
    )
    yield histogram("holdfast_storage_batch_units", "Units committed together.", meter.batches)
    yield histogram(
        "holdfast_storage_commit_duration_seconds",
        "Time the database took for a commit.",
        meter.commits,
    )
    yield histogram(
        "holdfast_storage_read_duration_seconds",
        "Time the database took for a batch of queries.",
        meter.reads,
    )


def _database(meter: ExtentMeter) -> Iterator[Metric]:
    extent = meter.latest
    if extent is None:
        return
    yield gauge("holdfast_database_bytes", "Size of the database on disk.", extent.size_bytes)
    yield gauge(
        "holdfast_database_oldest_transaction_seconds",
        "How long the oldest transaction has been open; until it ends, no space is reused.",
        extent.oldest_transaction_s,
    )


def _world(sources: Sources) -> Iterator[Metric]:
    clock, live = sources.ticker.statistics(), sources.inventories.statistics()
    yield counter("holdfast_world_ticks", "Ticks since the world began.", clock.tick)
    yield gauge(
        "holdfast_world_time_seconds", "World time, since the Unix epoch.", clock.now_ms / 1000
    )
    yield gauge(
        "holdfast_world_tick_lag_seconds",
        "How late the next tick is; 0 while it is not due.",
        clock.lag_seconds,
    )
    yield gauge(
        "holdfast_world_due_lag_seconds",
        "How late, in world time, the latest due account was found.",
        live.due_lag_ms / 1000,
    )
    yield gauge("holdfast_inventories_live", "Accounts in memory.", live.live)
    yield counter(
        "holdfast_inventories_activations", "Accounts brought into memory.", live.activations
    )
    yield counter(
        "holdfast_inventories_passivations", "Accounts released from memory.", live.passivations
    )
    yield gauge(
        "holdfast_transfers_in_flight",
        "Transfers being delivered now.",
        sources.courier.in_flight,
    )


def _http(traffic: Traffic) -> Iterator[Metric]:
    yield counters(
        "holdfast_http_requests",
        "Requests answered.",
        ("method", "route", "status"),
        {(method, route, str(code)): n for (method, route, code), n in traffic.requests.items()},
    )
    yield histograms(
        "holdfast_http_request_duration_seconds",
        "Time from a request's head to the start of its answer.",
        ("method", "route"),
        traffic.latencies,
    )
    yield counter(
        "holdfast_http_requests_abandoned",
        "Requests whose client disconnected, or was cut off, before an answer began.",
        traffic.abandonments,
    )
    yield gauge("holdfast_http_requests_in_hand", "Requests in flight.", traffic.in_hand)
    yield gauge(
        "holdfast_http_bodies_bytes",
        "Memory held by bodies of more than 1 KiB, arriving or in flight.",
        traffic.bodies_bytes,
    )
    yield gauge("holdfast_http_connections_open", "Open connections.", traffic.connections_open)
    yield counter(
        "holdfast_http_connections_accepted",
        "Connections served.",
        traffic.connections_accepted,
    )
    yield counter(
        "holdfast_http_connections_refused",
        "Connections refused for lack of a place or, with TLS, of a request within the limit.",
        traffic.connections_refused,
    )
