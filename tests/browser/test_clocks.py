"""The world's clock stops while the server is down; the pages say which clock they mean."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

import httpx
from playwright.sync_api import expect

from tests.browser.operator import Api, Operator, make_operator

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.visitor import Visitor
    from tests.e2e.server import Server

BEHIND = timedelta(hours=2)
BEHIND_TEXT = re.compile(r"is (2 h|2 h \d min|1 h 5\d min) behind yours")
SHIFTED = "const now = Date.now; Date.now = () => now() + {};"


def set_clock(server: Server, visitor: Visitor, world_behind: timedelta) -> timedelta:
    """Put the world's clock behind the visitor's; return how far the visitor's is shifted."""
    now = datetime.fromisoformat(httpx.get(f"{server.url}/v1/world").json()["now"])
    shift = now + world_behind - datetime.now(UTC)
    visitor.page.add_init_script(SHIFTED.format(shift / timedelta(milliseconds=1)))
    visitor.page.reload()
    return shift


def test_player_is_told_that_past_times_are_the_worlds(
    server: Server, visit: Callable[..., Visitor]
) -> None:
    """Ledger and transfers say how far the world's clock is behind, if it is."""
    visitor = visit(server.url, size="phone")
    set_clock(server, visitor, timedelta(0))
    visitor.sign_up()
    for section in ("Ledger", "Transfers"):
        visitor.open(section)
        expect(visitor.page.get_by_text("behind yours")).to_be_hidden()
    late = visit(server.url, size="phone")
    set_clock(server, late, BEHIND)
    late.sign_up()
    for section in ("Ledger", "Transfers"):
        late.open(section)
        expect(late.page.get_by_text(BEHIND_TEXT)).to_be_visible()
        late.check(f"clocks-{section.lower()}")


def test_operator_sees_when_an_order_ends_by_the_clock_on_the_wall(
    server: Server, visit: Callable[..., Visitor]
) -> None:
    """Future times use the operator's clock; for a suspended account the console shows none."""
    operators = make_operator(server)
    name = f"clock-{operators[-8:]}"
    theirs = Api.join(server.url, name)
    order = theirs.post("/v1/inventory/orders", {"asset": "storehouse"}).json()
    api = Api(server.url, operators)
    path = f"/v1/admin/accounts/{theirs.account_id}"
    operator = Operator(visit(f"{server.url}/console"))
    shift = set_clock(server, operator.visitor, BEHIND)
    page = operator.visitor.page
    # The order finishes soon, so the answer shows it as it was when placed.
    inventory = {**api.get(f"{path}/inventory"), "at": order["placed_at"], "orders": [order]}
    page.route(f"**{path}/inventory", lambda route: route.fulfill(json=inventory))
    operator.enter(operators)
    operator.open_account(name)
    told = page.locator(".inventory").get_by_text("until")
    shown = re.search(r"until .*?(\d\d:\d\d:\d\d)", told.inner_text())
    assert shown is not None
    lasts = datetime.fromisoformat(order["finishes_at"]) - datetime.fromisoformat(inventory["at"])
    due = (datetime.now().astimezone() + shift + lasts).replace(tzinfo=None)
    apart = abs(datetime.combine(due, time.fromisoformat(shown[1])) - due)
    assert min(apart, timedelta(days=1) - apart) < timedelta(seconds=20)
    expect(page.locator(".panel-ledger")).to_contain_text(re.compile("behind yours"))
    operator.ask_for("Suspend")
    operator.confirm("Suspend", "to see")
    operator.expect_done(f"{name} is suspended.")
    expect(page.locator(".inventory")).to_contain_text("stands still")
    expect(page.locator(".panel-ledger").get_by_text("behind yours")).to_be_hidden()
