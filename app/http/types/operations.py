"""What operators watch: the state of the whole program, its audit log and its recent events.

Counts and histograms run from the start of the process: to get a rate, or the percentiles of the
last minute, read twice and subtract.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from app.http.types.ids import Id
from app.http.types.inventory import INTEGER_MAX, Cursor
from app.http.types.times import Time
from app.http.types.world import RulesetName

EVENTS_PAGE_MAX = 1000
"""How many recent events may be asked for at once."""


class Distribution(msgspec.Struct, frozen=True):
    """How many values were at most each of ``bounds`` and above the one before it.

    The last of ``counts`` is for values beyond the last bound.
    """

    bounds: list[float]
    counts: list[int]
    sum: float
    count: int


class MailboxState(msgspec.Struct, frozen=True):
    """An actor's mailbox; ``in_hand`` messages were received and are not answered yet."""

    waiting: int
    capacity: int
    peak: int
    in_hand: int


class GroupState(msgspec.Struct, frozen=True):
    """The actors of all accounts together: those in memory now, and how many came and went."""

    live: int
    live_max: int
    activating: int
    activations: int
    passivations: int


class ActorNode(msgspec.Struct, frozen=True):
    """One part of the program, with the parts that it supervises.

    ``since`` is when it entered its state; ``failure`` is what it last failed with.
    """

    name: str
    kind: Literal["program", "actor", "group", "front"]
    policy: Literal["permanent", "transient", "temporary"] | None
    state: Literal["starting", "ready", "restarting", "stopped", "failed"]
    restarts: int
    since: Time
    failure: str | None
    mailbox: MailboxState | None
    group: GroupState | None
    children: list[ActorNode]


class WorldState(msgspec.Struct, frozen=True):
    """The world clock; ``lag_ms`` is how late its next tick is, ``now`` is world time.

    ``due_lag_ms`` is how late, in world time, the latest due account was found.
    """

    name: str
    ruleset: RulesetName
    tick: int
    tick_ms: int
    speed: int | float
    now: Time
    lag_ms: int
    due_lag_ms: int


class TopicCounts(msgspec.Struct, frozen=True):
    """Messages of one topic of the bus."""

    sent: int
    delivered: int
    refused: int
    unclaimed: int
    unheard: int


class AskCounts(msgspec.Struct, frozen=True):
    """Questions over the bus, by outcome; ``in_flight`` ones wait for their answer now."""

    answered: int
    failed: int
    stopped: int
    timed_out: int
    late: int
    in_flight: int


class BusState(msgspec.Struct, frozen=True):
    """Messages over the bus, by topic, and its questions."""

    topics: dict[str, TopicCounts]
    asks: AskCounts


class ConnectionCounts(msgspec.Struct, frozen=True):
    """Connections: those open now, and since the start those served and refused."""

    open: int
    accepted: int
    refused: int


class HttpState(msgspec.Struct, frozen=True):
    """Requests by class of status (``2xx``) and by method.

    ``in_flight`` ones wait for Authx or an account's actor now; ``abandoned`` ones ended before an
    answer began. ``duration`` is in seconds, from a request's head to the start of its answer.
    """

    statuses: dict[str, int]
    methods: dict[str, int]
    in_flight: int
    abandoned: int
    connections: ConnectionCounts
    duration: Distribution


class StreamCounts(msgspec.Struct, frozen=True):
    """Event streams: open now, and since the start opened, refused, and events sent."""

    open: int
    opened: int
    refused: int
    events: int


class LoginCounts(msgspec.Struct, frozen=True):
    """Logins by outcome."""

    accepted: int
    refused: int
    throttled: int
    overloaded: int
    failed: int


class StorageState(msgspec.Struct, frozen=True):
    """Commits and what waits for one; durations are in seconds, ``batch_units`` in units.

    ``setbacks`` counts the times that the database was found unavailable.
    """

    commits: int
    units_committed: int
    units_failed: int
    units_waiting: int
    queries_waiting: int
    queue_max: int
    setbacks: int
    commit_duration: Distribution
    batch_units: Distribution
    read_duration: Distribution


class Status(msgspec.Struct, frozen=True):
    """The whole program at one moment; ``replies`` and ``tick_lag`` are in seconds."""

    version: str
    started_at: Time
    now: Time
    world: WorldState
    actors: ActorNode
    bus: BusState
    http: HttpState
    streams: StreamCounts
    logins: LoginCounts
    storage: StorageState
    replies: dict[str, Distribution]
    tick_lag: Distribution


class AuditQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The entries before another one; ``before`` is the ``next`` of a page."""

    before: Cursor = ""
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class AuditEntryDetails(msgspec.Struct, frozen=True):
    """What an operator did; ``username`` is null if the account is gone."""

    audit_id: Id
    at: Time
    actor: str
    action: str
    account_id: Id
    username: str | None
    reason: str
    detail: dict[str, Any]


class AuditPage(msgspec.Struct, frozen=True):
    """A page of the audit log, newest first; ``next`` is the ``before`` of the next page."""

    entries: list[AuditEntryDetails]
    next: str | None


class EventsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The events after another one, of at least a level; without ``after`` the latest ones."""

    after: Annotated[int, Meta(ge=0, le=INTEGER_MAX)] | None = None
    level: Literal["debug", "info", "warning", "error", "critical"] = "debug"
    limit: Annotated[int, Meta(ge=1, le=EVENTS_PAGE_MAX)] = 200


class LoggedEvent(msgspec.Struct, frozen=True):
    """One structured event of this process; long values are shortened."""

    seq: int
    at: Time
    level: str
    event: str
    fields: dict[str, str]


class LoggedEvents(msgspec.Struct, frozen=True):
    """Events, oldest first; ``next`` is the ``after`` of what follows.

    ``dropped`` events after the requested one are not kept any more.
    """

    entries: list[LoggedEvent]
    next: int
    dropped: int
