"""Screenshots of the console in use, for the documentation; taken only on request."""

from __future__ import annotations

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.operator import Api, Operator, make_operator
from tests.browser.visitor import PICTURES
from tests.e2e.server import serving
from tests.postgres import reachable_directory

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.visitor import Visitor
    from tests.postgres import PostgresServer

PLAYERS = ("Dagny", "Caspar", "Sigrid", "Alwin", "Runa", "Tove", "Ragnar", "Elin")
ASSETS = ("metal_mine", "crystal_mine", "solar_plant", "metal_storage")
IN_USE_S = 56
PAUSE_S = 0.5
SETTINGS = {
    "HOLDFAST_WORLD__RULESET": "ogame",
    "HOLDFAST_WORLD__SPEED": "5",
    "HOLDFAST_WORLD__TICK_MS": "1000",
}


def play(api: Api, over: threading.Event) -> None:
    """Build and look around, now and then, until stopped."""
    random = Random(api.account_id)
    while not over.wait(PAUSE_S * random.expovariate(1)):
        api.get("/v1/inventory")
        order = api.post("/v1/inventory/orders", {"asset": random.choice(ASSETS)})
        assert order.status_code in {201, 409}, order.text


@pytest.mark.skipif(PICTURES is None, reason="no pictures are wanted")
def test_console_in_use(postgres: PostgresServer, visit: Callable[..., Visitor]) -> None:
    """With players in the world, screenshots show the overview, an account and the rules."""
    dsn = postgres.create_database()
    with (
        reachable_directory() as place,
        serving(place, HOLDFAST_DATABASE__DSN=dsn, **SETTINGS) as server,
        ThreadPoolExecutor(len(PLAYERS)) as pool,
    ):
        name = make_operator(server)
        players = [Api.join(server.url, f"{each}-{uuid.uuid4().hex[:3]}") for each in PLAYERS]
        over = threading.Event()
        playing = [pool.submit(play, api, over) for api in players]
        try:
            picture(Operator(visit(f"{server.url}/console", scheme="dark")), name)
        finally:
            over.set()
        assert [each.exception() for each in playing] == [None] * len(players)


def picture(operator: Operator, name: str) -> None:
    """Watch the console for a minute and take the screenshots."""
    page, visitor = operator.visitor.page, operator.visitor
    operator.enter(name)
    deadline = time.monotonic() + IN_USE_S
    while time.monotonic() < deadline:
        page.wait_for_timeout(1_000)
    visitor.picture("console-in-use-overview")
    visitor.open("Rules")
    page.get_by_role("link", name="Crystal mine").click()
    page.get_by_label("Logarithmic").check()
    visitor.picture("console-in-use-rules")
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    visitor.open("Accounts")
    page.get_by_role("link", name="Dagny").first.click()
    expect(page.locator(".ledger tbody tr").first).to_be_visible()
    visitor.picture("console-in-use-account")
    # The server stops before the window closes.
    page.goto("about:blank")
