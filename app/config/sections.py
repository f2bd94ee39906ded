"""Every key of the configuration: its type, range, default and meaning.

``config.toml`` is rendered from these definitions. Names end with their unit.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - msgspec reads the annotations
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from app.config.http import Http
from app.config.secret import Secret
from app.config.section import PATH, PATH_TO_TOML, Section
from app.config.watching import Log, Metrics, Tracing

Number: TypeAlias = int | float

Speed: TypeAlias = (
    Annotated[int, Meta(gt=0, le=1_000_000)] | Annotated[float, Meta(gt=0, le=1_000_000)]
)

Seconds: TypeAlias = Annotated[int, Meta(gt=0, le=86_400)] | Annotated[float, Meta(gt=0, le=86_400)]


class Auth(Section, frozen=True):
    """Accounts, sessions and tokens."""

    issuer: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=200,
            description="Issuer named in the tokens, in at most 200 characters.",
        ),
    ] = "holdfast"
    token_seconds: Annotated[
        int, Meta(ge=1, le=86_400, description="Lifetime of an access token.")
    ] = 900
    refresh_seconds: Annotated[
        int,
        Meta(ge=1, le=31_536_000, description="Lifetime of a session that is not refreshed."),
    ] = 2_592_000
    session_days_max: Annotated[
        int,
        Meta(
            ge=0,
            le=36_500,
            description="Days after login when a session ends, however often it is refreshed. "
            "0: no limit.",
        ),
    ] = 0
    password_length_min: Annotated[
        int, Meta(ge=8, le=1_024, description="Shortest password, in characters.")
    ] = 8
    password_length_max: Annotated[
        int, Meta(ge=8, le=1_024, description="Longest password, in characters.")
    ] = 128
    argon2_memory_kib: Annotated[
        int, Meta(ge=8, le=4_194_304, description="Memory of one password hash (argon2id).")
    ] = 19_456
    argon2_time_cost: Annotated[
        int, Meta(ge=1, le=100, description="Passes of one password hash.")
    ] = 2
    argon2_parallelism: Annotated[
        int, Meta(ge=1, le=64, description="Lanes of one password hash.")
    ] = 1
    hash_workers: Annotated[
        int, Meta(ge=1, le=64, description="Threads that hash passwords at once.")
    ] = 2
    hash_queue: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="Logins that may wait for a thread; more get 503. Registrations take at "
            "most half of the places, one address (or IPv6 /64 network) a quarter.",
        ),
    ] = 64
    registration: Annotated[
        Literal["open", "closed"],
        Meta(
            description='Who may create an account: "open": anyone; "closed": only the '
            "operator, with holdfast accounts create."
        ),
    ] = "open"
    registrations_per_address: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Registrations from one address (or IPv6 /64 network), successful or "
            "not; after that, each further one waits as after failed logins.",
        ),
    ] = 50
    attempts_per_user: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Failed logins for one username from one address; after that, each "
            "further attempt waits 1 s, 2 s, 4 s and so on, and gets 429 until then.",
        ),
    ] = 10
    attempts_per_user_anywhere: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Failed logins for one username from all addresses together; after "
            "that, addresses that have failed wait likewise, others do not.",
        ),
    ] = 30
    attempts_per_address: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Failed logins for all usernames from one address (or IPv6 /64 "
            "network); after that, each further attempt from there waits likewise.",
        ),
    ] = 100
    attempt_delay_max_seconds: Annotated[
        int, Meta(ge=1, le=86_400, description="Longest time that a login has to wait.")
    ] = 300
    attempt_window_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=86_400,
            description="Registrations and failed logins are forgotten this long after the "
            "first of them.",
        ),
    ] = 3_600
    sessions_per_account_max: Annotated[
        int,
        Meta(ge=1, le=10_000, description="Open sessions per account; one more ends the oldest."),
    ] = 100
    database_connections: Annotated[
        int, Meta(ge=1, le=100, description="Database connections for accounts.")
    ] = 2
    key_file: Annotated[
        str,
        Meta(
            description="File with the token key; created with mode 0600 at the first start; "
            "empty: token.key in storage.data_dir.",
            extra={"path": PATH},
        ),
    ] = ""
    key: Annotated[
        Secret,
        Meta(description="The token key itself, instead of a file: k4.local.… as in the file."),
    ] = Secret("")


class Storage(Section, frozen=True):
    """Where and how the world is stored."""

    data_dir: Annotated[
        str,
        Meta(
            min_length=1,
            description="Folder for the embedded database and the keys.",
            extra={"path": PATH},
        ),
    ] = "var"
    queue_max: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Units that may wait for a commit; more get 503.")
    ] = 10_000
    batch_units_max: Annotated[
        int, Meta(ge=1, le=100_000, description="Most units that commit together.")
    ] = 512
    query_timeout_ms: Annotated[
        int, Meta(ge=100, le=600_000, description="How long the database may take for one batch.")
    ] = 5_000
    read_connections: Annotated[
        int, Meta(ge=1, le=100, description="Database connections for reading.")
    ] = 2


class Database(Section, frozen=True):
    """Which PostgreSQL to use."""

    dsn: Annotated[
        str,
        Meta(
            description="Your own server (PostgreSQL 17 or newer), as "
            "postgresql://user:password@host/database; empty: the embedded one, in "
            "storage.data_dir."
        ),
    ] = ""
    connect_timeout_ms: Annotated[
        int, Meta(ge=10, le=600_000, description="How long connecting may take.")
    ] = 5_000


class World(Section, frozen=True):
    """The game."""

    name: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=200,
            description="The name that players see, in at most 200 characters.",
        ),
    ] = "Holdfast"
    ruleset: Annotated[
        str,
        Meta(
            min_length=1,
            description="Its rules: the name of a shipped ruleset, or the path of a TOML file.",
            extra={"path": PATH_TO_TOML},
        ),
    ] = "tutorial"
    renamed: Annotated[
        str,
        Meta(
            description="What a changed ruleset renames, so that accounts keep what they own: "
            'old=new, separated by commas ("copper=iron, hut=cottage"). The world remembers this: '
            "clear this key after the start with the new rules."
        ),
    ] = ""
    speed: Annotated[
        Speed | None,
        Meta(
            description="How fast everything goes: 2 is twice as fast. If not set, the "
            "ruleset's own speed, usually 1."
        ),
    ] = None
    tick_ms: Annotated[
        int, Meta(ge=10, le=60_000, description="Length of a tick of the world clock.")
    ] = 250
    parameters: Annotated[
        Mapping[str, Number],
        Meta(description="Values of the ruleset's own parameters, by name."),
    ] = {}


class Inventory(Section, frozen=True):
    """The accounts' actors."""

    idle_seconds: Annotated[
        Seconds,
        Meta(description="How long an unused account stays in memory."),
    ] = 60
    live_max: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Accounts in memory at once.")
    ] = 10_000
    mailbox_max: Annotated[
        int,
        Meta(ge=1, le=100_000, description="Requests that may wait for one account; more get 503."),
    ] = 256


class BusBuffers(Section, frozen=True):
    """How many messages may wait for an actor; beyond that the sender gets 503."""

    authx_buffer: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Messages waiting for Authx.")
    ] = 1_024
    storage_buffer: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Messages waiting for Storage.")
    ] = 4_096
    inventories_buffer: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Messages waiting for accounts not yet in memory."),
    ] = 4_096
    courier_buffer: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Transfers waiting to be delivered.")
    ] = 1_024
    ticker_buffer: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Messages waiting for the Ticker.")
    ] = 256


class Supervisor(Section, frozen=True):
    """How often a failed actor is restarted before the server gives up."""

    restarts_max: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000,
            description="Restarts of one actor within the window. The embedded PostgreSQL is "
            "restarted without limit.",
        ),
    ] = 5
    window_seconds: Annotated[Seconds, Meta(description="Length of the window.")] = 60
    backoff_ms: Annotated[
        int,
        Meta(
            ge=1,
            le=60_000,
            description="Wait before the first restart; doubled for each further one.",
        ),
    ] = 50
    backoff_max_ms: Annotated[
        int, Meta(ge=1, le=600_000, description="Longest wait before a restart.")
    ] = 5_000


class Shutdown(Section, frozen=True):
    """How long each phase of the shutdown may take; at most 4500 ms together."""

    http_ms: Annotated[
        int, Meta(ge=1, le=4_500, description="For requests in flight to be answered.")
    ] = 1_000
    inventories_ms: Annotated[
        int,
        Meta(
            ge=1,
            le=4_500,
            description="For accounts and other actors to finish their queued work.",
        ),
    ] = 750
    storage_ms: Annotated[int, Meta(ge=1, le=4_500, description="For pending units to commit.")] = (
        1_000
    )
    database_ms: Annotated[
        int, Meta(ge=1, le=4_500, description="For the embedded database to stop.")
    ] = 1_750


class Events(Section, frozen=True):
    """The event streams to clients."""

    heartbeat_seconds: Annotated[
        Annotated[int, Meta(gt=0, le=20)] | Annotated[float, Meta(gt=0, le=20)],
        Meta(
            description="Longest silence on a stream; each heartbeat checks its session. "
            "Clients consider a stream dead after 45 seconds of silence."
        ),
    ] = 15
    streams_per_account_max: Annotated[
        int, Meta(ge=1, le=200, description="Open streams per account; more get 429.")
    ] = 32


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole configuration, a section per field."""

    http: Http = Http()
    auth: Auth = Auth()
    storage: Storage = Storage()
    database: Database = Database()
    world: World = World()
    inventory: Inventory = Inventory()
    bus: BusBuffers = BusBuffers()
    supervisor: Supervisor = Supervisor()
    shutdown: Shutdown = Shutdown()
    events: Events = Events()
    log: Log = Log()
    metrics: Metrics = Metrics()
    tracing: Tracing = Tracing()

    @property
    def key_path(self) -> Path:
        """Where the token key is stored."""
        if self.auth.key_file:
            return Path(self.auth.key_file)
        return Path(self.storage.data_dir) / "token.key"
