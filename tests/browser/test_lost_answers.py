"""Commands whose answers were lost for good: pressing again makes no second one."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.operator import Api

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page, Route

    from tests.browser.visitor import Visitor
    from tests.e2e.server import Server

LOST = "The server cannot be reached."

AT_ONCE = """() => {
    const later = window.setTimeout;
    window.setTimeout = (task, ms, ...rest) => later(task, Math.min(ms, 250), ...rest);
}"""
"""Lets the page wait less between its attempts; what it counts to stays the same."""


class Losing:
    """The way to a command: while ``losing``, it arrives and its answer does not come back."""

    def __init__(self, page: Page, path: str) -> None:
        self.losing = True
        self.keys: list[str | None] = []
        page.route(f"**{path}", self._take)

    def _take(self, route: Route) -> None:
        if route.request.method != "POST":
            route.continue_()
            return
        self.keys.append(route.request.header_value("idempotency-key"))
        if self.losing:
            route.fetch()
            route.abort()
        else:
            route.continue_()


@pytest.fixture
def visitor(server: Server, visit: Callable[..., Visitor]) -> Visitor:
    """Give a player whose page gives up soon."""
    visitor = visit(server.url)
    visitor.refusals.add(0)
    visitor.page.add_init_script(f"({AT_ONCE})()")
    visitor.page.reload()
    visitor.sign_up()
    return visitor


@pytest.fixture
def other(server: Server) -> tuple[str, Api]:
    """Give another player."""
    name = f"other-{uuid.uuid4().hex[:8]}"
    return name, Api.join(server.url, name)


def test_transfer_that_is_sent_again_is_made_once(visitor: Visitor, other: tuple[str, Api]) -> None:
    """The same transfer keeps its key until an answer comes; then the same is another one."""
    name, theirs = other
    page, way = visitor.page, Losing(visitor.page, "/v1/transfers")
    visitor.open("Transfers")
    send = page.get_by_role("button", name="Send", exact=True)
    page.get_by_label("To", exact=True).fill(name)
    page.get_by_label("Wood").fill("7")
    send.click()
    expect(page.locator("form .refusal[role=alert]")).to_contain_text(LOST)
    way.losing = False
    send.click()
    expect(page.get_by_role("status")).to_have_text(f"Sent to {name}.")
    assert len(set(way.keys)) == 1
    assert len(theirs.get("/v1/transfers")["transfers"]) == 1
    page.get_by_label("Wood").fill("7")
    send.click()
    expect(page.locator(".transfers > li")).to_have_count(2)
    assert len(set(way.keys)) == 2


def test_another_transfer_after_a_lost_one_has_a_key_of_its_own(
    visitor: Visitor, other: tuple[str, Api]
) -> None:
    """Whoever changes what is to be sent sends something else."""
    name, theirs = other
    page, way = visitor.page, Losing(visitor.page, "/v1/transfers")
    visitor.open("Transfers")
    page.get_by_label("To", exact=True).fill(name)
    page.get_by_label("Wood").fill("7")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("form .refusal[role=alert]")).to_contain_text(LOST)
    way.losing = False
    page.get_by_label("Wood").fill("8")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("status")).to_have_text(f"Sent to {name}.")
    assert len(theirs.get("/v1/transfers")["transfers"]) == 2


def test_order_that_is_pressed_again_is_placed_once(visitor: Visitor, server: Server) -> None:
    """An order that the page has not seen arrive keeps its key."""
    page, way = visitor.page, Losing(visitor.page, "/v1/inventory/orders")
    card = visitor.card("storehouse")
    # The page hears of nothing: neither by the stream, which breaks, nor by asking.
    page.route("**/v1/inventory", lambda route: route.abort())
    page.route("**/v1/events", lambda route: route.abort())
    page.context.set_offline(True)
    page.context.set_offline(False)
    expect(page.locator("#live-text")).to_contain_text("Connection lost")
    visitor.order("storehouse")
    expect(card.get_by_role("alert")).to_contain_text(LOST)
    way.losing = False
    page.unroute("**/v1/inventory")
    card.locator("button.primary").click()
    expect(page.get_by_role("status")).to_have_text("Ordered: Storehouse, level 1.")
    assert len(set(way.keys)) == 1
    entries = Api(server.url, visitor.name).get("/v1/inventory/ledger")["entries"]
    assert [entry["cause"] for entry in entries].count("order-placed") == 1
