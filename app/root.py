"""The composition root: builds every part from the configuration and runs them under one nursery.

Nothing here is global: a test can compose another program beside this one. Parts start in order of
dependency (database, Storage, Authx, Ticker, Inventories, HTTP), after every check that needs no
database (`app.start_checks`); `app.phases` has the order of stopping.
"""

from __future__ import annotations

import gc
import random
import secrets
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from actors.authx.keys import load_or_create_keyring
from actors.database.cluster import Cluster
from actors.database.driver import Database, open_database
from actors.database.embedded import EmbeddedPostgres
from actors.database.errors import ConnectionLost
from actors.database.pooling import check_pooling
from actors.storage import StorageClient
from actors.supervisor import Supervisor
from app import settings
from app.assembly import STORAGE_REPLY_S, Assembly, wall_clock
from app.database_start import prepare_database
from app.garbage import rare_collections
from app.gateway import Gateway
from app.http.edge import make_edge
from app.http.endpoints import ENDPOINTS
from app.http.openapi import with_openapi
from app.http.server import serve_http
from app.http.streams import Streams
from app.listening import Listening
from app.log_lines import writing_behind
from app.logs import open_logs
from app.metrics.sources import Sources
from app.open_files import allow_open_files, within_open_files
from app.pages import load_site
from app.phases import Phases, phases_s
from app.recent import RecentEvents
from app.start_checks import check_address
from app.stopping import (
    EXIT_CUT_OFF,
    HardLimit,
    StopRequest,
    exit_status,
    stop_in_phases,
    watch_signals,
)
from app.tracing import open_tracing
from app.watch import Watch
from app.world_rules import load_world_rules
from bus import open_broadcast_channel

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from actors.authx.keys import KeyRing
    from actors.inventory import Inventories
    from actors.inventory.ruleset import Ruleset
    from app.config import Config
    from app.http.streams.registry import StreamsStatistics
    from bus import Bus

ROOM_S = 0.2
"""Seconds beyond all phases of the shutdown after which `HardLimit` ends the process."""


def serve(config: Config, *, announce: Callable[[Listening], None] | None = None) -> int:
    """Run a server until a signal or a failure ends it; return the process's exit status.

    ``announce`` is called once the server is ready. 0: everything was flushed; 1: an actor failed
    for good; 3: something was cut off.

    Raises:
        ConfigError, RulesetError, DatabaseError, KeyRingError, HttpBindError, TlsError: it could
            not start; alone or in a group.
    """
    recent = RecentEvents(config.log.recent_max)
    with writing_behind(sys.stderr) as lines, open_logs(config.log, lines, recent=recent) as log:
        lines.report_lost_to(lambda lost: log.warning("log_events_lost", events=lost))
        allow_open_files(settings.http_settings(config), log=log)
        hard_limit = HardLimit(phases_s(config.shutdown) + ROOM_S, log, farewell=lines.drain)
        try:
            return trio.run(
                lambda: run_server(
                    config,
                    StopRequest(),
                    log=log,
                    recent=recent,
                    announce=announce,
                    with_signals=True,
                    hard_limit=hard_limit,
                )
            )
        finally:
            hard_limit.cancel()


async def run_server(
    config: Config,
    request: StopRequest,
    *,
    log: FilteringBoundLogger,
    recent: RecentEvents | None = None,
    announce: Callable[[Listening], None] | None = None,
    with_signals: bool = False,
    hard_limit: HardLimit | None = None,
) -> int:
    """Compose and run a server in the calling task until ``request`` is asked to stop.

    ``announce`` is called when it is ready; ``hard_limit`` starts with that request; ``recent``
    holds recently logged events.
    Cancellation ends it at once, without the phases of a shutdown.

    Raises: as `serve`.
    """
    with rare_collections():
        ruleset = load_world_rules(config)
        await check_address(config)
        keyring = _keyring(config)
        postgres = _embedded_postgres(config, log)
        dsn = config.database.dsn if postgres is None else postgres.dsn
        timeout_s = config.database.connect_timeout_ms / 1000
        async with (
            open_tracing(config.tracing) as tracing,
            open_database(dsn, connect_timeout_s=timeout_s, log=log) as database,
        ):
            program = _Program(
                config,
                ruleset,
                keyring,
                postgres=postgres,
                database=database,
                request=request,
                log=log,
                watch=Watch(config, tracing, recent or RecentEvents(config.log.recent_max)),
            )
            return await program.run(announce, hard_limit, with_signals=with_signals)


class _Program:
    """One composed server: its bus and actors, their start and stop."""

    def __init__(
        self,
        config: Config,
        ruleset: Ruleset,
        keyring: KeyRing,
        *,
        postgres: EmbeddedPostgres | None,
        database: Database,
        request: StopRequest,
        log: FilteringBoundLogger,
        watch: Watch,
    ) -> None:
        self._config = config
        self._ruleset = ruleset
        self._postgres = postgres
        self._database = database
        self._request = request
        self._log = log
        self._watch = watch
        # Jitter must differ between servers; no secret is drawn from it.
        self._rng = random.Random(secrets.randbits(64))  # noqa: S311
        self._assembly = Assembly(
            config,
            ruleset,
            keyring,
            database=database,
            rng=self._rng,
            log=log,
            watch=watch,
        )
        self._http_ended: trio.Event | None = None
        self._http_in_order = True
        self._inventories: Inventories | None = None

    async def run(
        self,
        announce: Callable[[Listening], None] | None,
        hard_limit: HardLimit | None,
        *,
        with_signals: bool,
    ) -> int:
        """Start everything, wait for the request to stop, stop everything in order."""
        # The status if a second signal ends everything before the phases are over.
        status = EXIT_CUT_OFF
        # Signals are handled until nothing is left for one to end.
        async with trio.open_nursery() as watching:
            async with trio.open_nursery() as root:
                if with_signals:
                    at_once = partial(self._end_at_once, root.cancel_scope)
                    await watching.start(watch_signals, self._request, at_once, self._log)
                if hard_limit is not None:
                    if self._postgres is not None:
                        hard_limit.before_end(self._postgres.quit_at_once)
                    self._request.when_asked(hard_limit.start)
                with open_broadcast_channel(observer=self._watch.observer) as bus:
                    root.start_soon(bus.keep_deadlines)
                    supervisor = self._supervisor(root)
                    listening = await self._start_unless_stopped(root, supervisor, bus)
                    if listening is not None:
                        await self._serve_until_asked(listening, announce)
                    status = await self._stop(supervisor, bus)
                    if hard_limit is not None:
                        hard_limit.concluded(status)
                    # Before the bus closes, which whoever is left would take for a failure.
                    root.cancel_scope.cancel()
            watching.cancel_scope.cancel()
        self._log.info("server_stopped", status=status)
        return status

    def _end_at_once(self, everything: trio.CancelScope) -> None:
        everything.cancel()
        # A query in progress is shielded, and would be waited for.
        self._database.terminate()

    async def _serve_until_asked(
        self, listening: Listening, announce: Callable[[Listening], None] | None
    ) -> None:
        self._log.info("server_ready", url=listening.url, ruleset=self._ruleset.name)
        if announce is not None:
            announce(listening)
        await self._request.wait()

    async def _stop(self, supervisor: Supervisor, bus: Bus) -> int:
        """Run the phases of the shutdown; return the resulting exit status."""
        supervisor.stopping()
        self._log.info("shutdown_started", reason=self._request.reason)
        phases = Phases(
            self._config.shutdown,
            supervisor,
            self._database,
            postgres=self._postgres,
            http_ended=self._http_ended,
            inventories=self._inventories,
        )
        complete = await stop_in_phases(bus, phases.steps(), self._request.reason, log=self._log)
        complete = complete and self._http_in_order
        return exit_status(failed=self._request.failed, complete=complete)

    async def _start_unless_stopped(
        self, root: trio.Nursery, supervisor: Supervisor, bus: Bus
    ) -> Listening | None:
        """Start everything; return None if a request to stop came first."""
        listening: Listening | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._give_up_on_request, nursery.cancel_scope)
                if self._postgres is not None:
                    await supervisor.start("postgres", self._postgres)
                listening = await self._start_actors(root, supervisor, bus)
                nursery.cancel_scope.cancel()
        except* ConnectionLost:
            if not self._request.asked:
                raise
        # Objects made during startup live as long as the server: freezing them shortens every
        # later collection.
        gc.collect()
        gc.freeze()
        return listening

    async def _give_up_on_request(self, starting: trio.CancelScope) -> None:
        await self._request.wait()
        starting.cancel()
        if self._inventories is None:
            # Nothing has been promised to anyone yet, and a query in progress may take minutes.
            self._database.terminate()

    def _supervisor(self, root: trio.Nursery) -> Supervisor:
        def on_failed(actor: str) -> None:
            # Whoever waits for it, or asks it from now on, learns at once that nobody is here.
            mailbox = self._assembly.mailboxes.get(actor)
            if mailbox is not None:
                root.start_soon(mailbox.drop_all)
            self._request.ask(f"actor {actor} failed", failed=True)

        return Supervisor(
            root,
            settings.restart_limits(self._config),
            rng=self._rng,
            log=self._log,
            on_failed=on_failed,
            own_limits={"postgres": settings.postgres_limits(self._config)},
        )

    async def _start_actors(
        self, root: trio.Nursery, supervisor: Supervisor, bus: Bus
    ) -> Listening:
        engine = self._assembly.engine()
        if self._postgres is None:
            await check_pooling(self._database)
        # The server lock first: a process without it changes nothing, not even the schema.
        await engine.open()
        renamed = await prepare_database(
            self._config, self._ruleset, self._database, self._postgres, self._log
        )
        client = StorageClient(bus, timeout_s=STORAGE_REPLY_S)
        assembly = self._assembly
        sources = Sources(
            bus,
            supervisor,
            assembly.mailboxes,
            storage=assembly.storage(bus, engine),
            authx=assembly.authx(bus),
            ticker=assembly.ticker(bus, client),
            inventories=assembly.inventories(bus, client, renamed),
            courier=assembly.courier(bus, client),
        )
        await supervisor.start("storage", sources.storage)
        await supervisor.start("authx", sources.authx)
        await supervisor.start("ticker", sources.ticker)
        self._inventories = sources.inventories
        await supervisor.start("inventories", sources.inventories)
        await supervisor.start("transfers", sources.courier)
        root.start_soon(self._watch.follow, self._database)
        return await self._start_http(root, sources)

    async def _start_http(self, root: trio.Nursery, sources: Sources) -> Listening:
        http = within_open_files(settings.http_settings(self._config))
        instruments, supervisor = self._watch.instruments(sources), sources.supervisor

        def streams_now() -> StreamsStatistics:
            return streams.statistics()

        gateway = Gateway(
            sources.bus,
            self._ruleset,
            reply_timeout_s=http.reply_timeout_ms / 1000,
            world_name=self._config.world.name,
            actor_states=lambda: {
                name: status.state.value for name, status in supervisor.states().items()
            },
            ready=supervisor.all_ready,
            peek=sources.authx.peek,
            peek_inventory=sources.inventories.peek,
            operations=self._watch.overview(sources, self._ruleset, streams_now, wall_clock),
        )
        edge = make_edge(
            gateway,
            http,
            with_openapi(ENDPOINTS),
            pages=load_site(),
            log=self._log,
            instruments=instruments,
        )
        streams = Streams(
            gateway,
            settings.stream_settings(self._config),
            edge,
            rng=self._rng,
            log=self._log,
        )
        ended = trio.Event()

        async def run_http(task_status: trio.TaskStatus[int]) -> None:
            try:
                self._http_in_order = await serve_http(
                    edge,
                    http,
                    shutdown=self._request.wait,
                    log=self._log,
                    streams=streams,
                    task_status=task_status,
                )
            finally:
                ended.set()

        port: int = await root.start(run_http)
        self._http_ended = ended
        return Listening(http.host, port, "http" if http.tls is None else "https")


def _keyring(config: Config) -> KeyRing:
    Cluster.at(Path(config.storage.data_dir)).make_data_dir()
    value = config.auth.key.reveal()
    return load_or_create_keyring(config.key_path, environment_value=value or None)


def _embedded_postgres(config: Config, log: FilteringBoundLogger) -> EmbeddedPostgres | None:
    if config.database.dsn:
        return None
    own = settings.embedded_postgres_settings(config)
    return EmbeddedPostgres(Path(config.storage.data_dir), log=log, settings=own)
