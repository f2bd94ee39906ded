"""What a real server reports of itself: consistent metrics, logs with request and account."""

from __future__ import annotations

import re
from collections import Counter
from platform import python_version
from typing import TYPE_CHECKING

import pytest
import trio

from actors.database import extent
from app.version import full_version
from tests.app.metrics.support import PASSWORD, running

if TYPE_CHECKING:
    from tests.app.metrics.support import Scrape
    from tests.postgres import PostgresServer

ORDERS = "/v1/inventory/orders"
BASE_UNITS = ("_seconds", "_bytes", "_info")


async def test_metrics_count_what_players_do(database_dsn: str) -> None:
    """Logins, requests, commits and live accounts match what happened."""
    async with running(database_dsn) as server:
        before = await server.scrape()
        ada, bob = await server.sign_up("ada"), await server.sign_up("bob")
        assert (await ada.order("k1")).status_code == 201
        assert (await ada.order("k1")).status_code == 200
        assert (await bob.order("k2", asset="nothing")).status_code == 404
        wrong = {"username": "ada", "password": "not it, no"}
        assert (await server.client.post("/v1/sessions", json=wrong)).status_code == 401
        assert (await server.client.get("/no/such/path")).status_code == 404
        assert (await server.client.request("BREW", "/v1/world")).status_code == 405
        after = await server.scrape()

    def requests(method: str, route: str, status: int) -> float:
        labels = {"method": method, "route": route, "status": str(status)}
        return after.value("holdfast_http_requests_total", **labels)

    assert requests("POST", ORDERS, 201) == requests("POST", ORDERS, 200) == 1
    assert requests("POST", ORDERS, 404) == 1
    assert requests("GET", "unmatched", 404) == requests("other", "unmatched", 405) == 1
    assert requests("GET", "/metrics", 200) == 1
    duration = "holdfast_http_request_duration_seconds_count"
    assert after.value(duration, method="POST", route=ORDERS) == 3
    assert after.value("holdfast_logins_total", outcome="accepted") == 2
    assert after.value("holdfast_logins_total", outcome="refused") == 1
    assert after.value("holdfast_inventories_live") == 2
    assert after.value("holdfast_inventories_activations_total") == 2
    assert after.value("holdfast_build_info", version=full_version(), python=python_version()) == 1
    assert after.value("holdfast_http_connections_open") == 1
    assert after.value("holdfast_bus_unclaimed_total", topic="task") == 2
    assert_consistent(before)
    assert_consistent(after)


async def test_metrics_count_what_is_no_http_as_the_page_says(database_dsn: str) -> None:
    """A scanner's bytes are a request of method ``other`` on ``unmatched``, answered with 400."""
    async with running(database_dsn) as server:
        port = server.client.base_url.port
        assert port is not None
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(b"\x16\x03\x01\x02\x00\x01\x00")
            with trio.fail_after(10):
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 400 ")
        after = await server.scrape()
    labels = {"method": "other", "route": "unmatched", "status": "400"}
    assert after.value("holdfast_http_requests_total", **labels) == 1


async def test_metrics_add_up_while_commits_go_on(database_dsn: str) -> None:
    """Values counted in two ways agree even if a commit ends while the metrics are read."""
    async with running(database_dsn, world__tick_ms="10") as server:
        for _ in range(50):
            assert_consistent(await server.scrape())


def assert_consistent(scrape: Scrape) -> None:
    """Check what must hold for any scrape: totals counted in two ways agree."""
    committed = scrape.value("holdfast_storage_units_total", outcome="committed")
    failed = scrape.value("holdfast_storage_units_total", outcome="failed")
    assert scrape.value("holdfast_storage_batch_units_sum") == committed + failed
    commits = scrape.value("holdfast_storage_commits_total")
    assert scrape.value("holdfast_storage_batch_units_count") == commits
    assert scrape.value("holdfast_storage_commit_duration_seconds_count") == commits
    for actor in ("storage", "authx", "ticker", "inventories", "transfers"):
        assert scrape.value("holdfast_actor_ready", actor=actor) == 1
        assert scrape.value("holdfast_actor_restarts_total", actor=actor) == 0
        room = scrape.value("holdfast_actor_mailbox_messages_max", actor=actor)
        assert 0 <= scrape.value("holdfast_actor_mailbox_messages", actor=actor) < room
    assert scrape.value("process_resident_memory_bytes") > 10_000_000
    assert scrape.value("process_open_fds") > 5


async def test_metrics_follow_the_world_clock(database_dsn: str) -> None:
    """Ticks, world time and tick lag are those of the clock that players see."""
    async with running(database_dsn, world__tick_ms="10") as server:
        first = await server.scrape()
        seen = (await server.client.get("/v1/world")).json()["tick"]
        with trio.fail_after(10):
            while (await server.scrape()).value("holdfast_world_ticks_total") <= seen:
                pass
        last = await server.scrape()
    assert first.value("holdfast_world_ticks_total") <= seen
    ticks = last.value("holdfast_world_ticks_total") - first.value("holdfast_world_ticks_total")
    seconds = last.value("holdfast_world_time_seconds") - first.value("holdfast_world_time_seconds")
    assert seconds == pytest.approx(ticks * 0.01, abs=1e-3)
    assert 0 <= last.value("holdfast_world_tick_lag_seconds") < 5


async def test_metrics_are_named_as_prometheus_wants_them(database_dsn: str) -> None:
    """Counters end in _total, durations and sizes are in base units, every family is explained."""
    async with running(database_dsn) as server:
        scrape = await server.scrape()
    lines = scrape.text.splitlines()
    kinds = dict(line.split()[2:4] for line in lines if line.startswith("# TYPE"))
    explained = {line.split()[2] for line in lines if line.startswith("# HELP") and line.split()[3]}
    assert set(kinds) == explained
    assert not any(re.search(r"_(ms|millis|minutes|kb|mb|percent)\b", name) for name in kinds)
    for name, kind in kinds.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert name.endswith("_total") == (kind == "counter"), name
        if "duration" in name or "lag" in name or "time" in name:
            assert name.endswith(BASE_UNITS), name


async def test_metrics_are_refused_to_those_behind_a_proxy(database_dsn: str) -> None:
    """By default a client that came through a proxy gets the answer of any wrong path."""
    async with running(database_dsn) as server:
        headers = {"X-Forwarded-For": "198.51.100.1"}
        refused = await server.client.get("/metrics", headers=headers)
        elsewhere = await server.client.get("/no/such/path")
        assert (await server.client.get("/metrics")).status_code == 200
        assert (await server.client.post("/metrics")).status_code == 405
    assert refused.status_code == elsewhere.status_code == 404
    assert refused.json() == elsewhere.json()


async def test_metrics_that_are_public_are_everybodys(database_dsn: str) -> None:
    """If the configuration says so, a proxy makes no difference."""
    async with running(database_dsn, metrics__access="public") as server:
        scrape = await server.scrape(**{"X-Forwarded-For": "198.51.100.1"})
    assert "holdfast_build_info" in scrape.families


async def test_metrics_that_are_off_are_not_there(database_dsn: str) -> None:
    """If switched off, the path does not exist, for any method."""
    async with running(database_dsn, metrics__access="off") as server:
        assert (await server.client.get("/metrics")).status_code == 404
        assert (await server.client.post("/metrics")).status_code == 404


async def test_access_log_of_all_tells_each_request_once(database_dsn: str) -> None:
    """Each request is one event with route, status, duration, request id and account; no secret."""
    async with running(database_dsn, log__access="all") as server:
        carol = await server.sign_up("carol")
        sent = await carol.order("k1", **{"X-Request-Id": "find-me"})
        await server.client.get("/v1/world")
    events = server.events("http_request")
    written = server.log.getvalue()
    assert Counter(event["route"] for event in events) == {
        "/v1/accounts": 1,
        "/v1/sessions": 1,
        ORDERS: 1,
        "/v1/world": 1,
    }
    [order] = [event for event in events if event["route"] == ORDERS]
    assert order["request_id"] == sent.headers["x-request-id"] == "find-me"
    assert order["account_id"] == carol.account_id
    assert (order["method"], order["path"], order["status"]) == ("POST", ORDERS, 201)
    assert order["client"] == "127.0.0.1"
    assert 0 < order["duration_ms"] < 10_000
    assert all("account_id" not in event for event in events if event["route"] == "/v1/world")
    assert PASSWORD not in written
    assert carol.token not in written


async def test_access_log_of_all_may_tell_a_sample(database_dsn: str) -> None:
    """The configured value reaches the log: at one in a million, a line is most unlikely."""
    async with running(
        database_dsn, log__access="all", log__access_sample_every="1000000"
    ) as server:
        await server.sign_up("erin")
    assert server.events("http_request") == []


async def test_access_log_by_default_leaves_out_what_went_well(database_dsn: str) -> None:
    """Neither a success nor a refusal that the client deserves is logged."""
    async with running(database_dsn) as server:
        dave = await server.sign_up("dave")
        assert (await dave.order("k1", asset="nothing")).status_code == 404
    assert server.events("http_request") == []


async def test_slow_look_at_the_database_holds_up_neither_start_nor_end(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database of many files is measured slowly, and only the metric waits for it."""
    monkeypatch.setattr(extent, "_EXTENT", f"select pg_sleep(8), {extent._EXTENT.lstrip()[6:]}")
    began = trio.current_time()
    async with running(await postgres.create_database_async()) as server:
        assert "holdfast_database_bytes" not in (await server.scrape()).text
    assert trio.current_time() - began < 6
