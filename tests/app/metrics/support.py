"""A whole server in the test's process, on a database of its own."""

from __future__ import annotations

import io
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import trio
from prometheus_client.parser import text_string_to_metric_families

from app.config import Log, load_config
from app.logs import make_logger
from app.recent import RecentEvents
from app.root import run_server
from app.stopping import StopRequest
from tests.postgres import reachable_directory

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from prometheus_client import Metric

    from app.listening import Listening

TEST_SECONDS_MAX = 30
PASSWORD = "correct horse"


@dataclass
class Server:
    """A running server, a client of it, and its log."""

    client: httpx.AsyncClient
    log: io.StringIO
    exit_status: int | None = None

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of one name logged so far."""
        lines = map(json.loads, self.log.getvalue().splitlines())
        return [event for event in lines if event["event"] == name]

    async def sign_up(self, username: str) -> Player:
        """Make an account and log in."""
        credentials = {"username": username, "password": PASSWORD}
        made = await self.client.post("/v1/accounts", json=credentials)
        assert made.status_code == 201, made.text
        opened = await self.client.post("/v1/sessions", json=credentials)
        assert opened.status_code == 201, opened.text
        return Player(self.client, opened.json()["account_id"], opened.json()["access_token"])

    async def scrape(self, **headers: str) -> Scrape:
        """Read the metrics."""
        answer = await self.client.get("/metrics", headers=headers)
        assert answer.status_code == 200, answer.text
        return Scrape(answer.text)


@dataclass(frozen=True)
class Player:
    """A logged-in account."""

    client: httpx.AsyncClient
    account_id: str
    token: str

    async def order(self, key: str, asset: str = "cottage", **headers: str) -> httpx.Response:
        """Place an order under an idempotency key."""
        return await self.client.post(
            "/v1/inventory/orders",
            json={"asset": asset},
            headers={"Idempotency-Key": key, "Authorization": f"Bearer {self.token}", **headers},
        )

    async def get(self, path: str) -> httpx.Response:
        """Read something as this player."""
        return await self.client.get(path, headers={"Authorization": f"Bearer {self.token}"})


class Scrape:
    """The result of one read of the metrics."""

    def __init__(self, text: str) -> None:
        self.families: dict[str, Metric] = {
            family.name: family for family in text_string_to_metric_families(text)
        }
        self.text = text

    def value(self, name: str, **labels: str) -> float:
        """Return the value of the one sample with this name and these labels."""
        [value] = [
            sample.value
            for family in self.families.values()
            for sample in family.samples
            if sample.name == name and sample.labels == labels
        ]
        return value

    def labels(self) -> Mapping[str, set[str]]:
        """Return the label names of every sample by the sample's name."""
        found: dict[str, set[str]] = {}
        for family in self.families.values():
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
        return found


@asynccontextmanager
async def running(dsn: str, **settings: str) -> AsyncGenerator[Server]:
    """Run a server for the duration of the block; it must end in order.

    ``settings`` are named as in the environment, without the prefix: ``log__access="all"``.
    """
    stream = io.StringIO()
    recent = RecentEvents(1_000)
    log = make_logger(Log(format="json"), stream, recent=recent)
    request = StopRequest()
    ready, listening = trio.Event(), list["Listening"]()

    def announce(where: Listening) -> None:
        listening.append(where)
        ready.set()

    with reachable_directory() as directory, trio.fail_after(TEST_SECONDS_MAX):
        chosen = {
            "database__dsn": dsn,
            "storage__data_dir": str(directory),
            "http__port": "0",
            "auth__argon2_memory_kib": "8",
            "auth__argon2_time_cost": "1",
            **settings,
        }
        config = load_config(
            environ={f"HOLDFAST_{name.upper()}": value for name, value in chosen.items()}
        )
        async with trio.open_nursery() as nursery:
            server: Server | None = None

            async def serve() -> None:
                status = await run_server(
                    config, request, log=log, recent=recent, announce=announce
                )
                if server is not None:
                    server.exit_status = status
                assert status == 0, stream.getvalue()

            nursery.start_soon(serve)
            await ready.wait()
            async with httpx.AsyncClient(base_url=listening[0].url, timeout=10) as client:
                server = Server(client, stream)
                yield server
            request.ask("the test is over")
