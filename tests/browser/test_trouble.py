"""Errors are explained where they happen, and repaired where possible."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.operator import make_one_time_operator
from tests.browser.visitor import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page, Route

    from tests.browser.visitor import Visitor
    from tests.e2e.server import Server


@pytest.fixture
def visitor(world: Callable[[str], Server], visit: Callable[..., Visitor]) -> Visitor:
    """Return a player who has just signed up."""
    visitor = visit(world("tutorial").url)
    visitor.sign_up()
    return visitor


def test_refused_sign_in_is_told_at_the_form(
    world: Callable[[str], Server], visit: Callable[..., Visitor]
) -> None:
    """A wrong password, a short one and a bad name each get an explanation."""
    visitor = visit(world("tutorial").url)
    visitor.refusals |= {401, 422}
    page = visitor.page
    page.fill("#username", "x y")
    page.fill("#password", "correct horse")
    page.click("form.entry button[type=submit]")
    expect(page.get_by_label("Name", exact=True)).to_have_attribute("aria-invalid", "true")
    visitor.check("refused-name")
    page.get_by_role("radio", name="Sign in").check(force=True)
    page.fill("#username", visitor.name)
    page.click("form.entry button[type=submit]")
    expect(page.get_by_role("alert")).to_have_text("Unknown name or wrong password.")
    visitor.check("refused-password")


BUSY = {"type": "/problems/overloaded", "title": "Busy", "status": 503}
"""The answer of an overloaded server."""


def refuse_once(page: Page, path: str) -> None:
    """Refuse the next request for this path, as a busy server does."""
    page.route(f"**{path}", lambda route: route.fulfill(status=503, json=BUSY), times=1)


def test_account_that_was_made_is_not_made_again(
    server: Server, visit: Callable[..., Visitor]
) -> None:
    """If a busy server refuses the step after registration, only that step is retried."""
    visitor = visit(server.url)
    visitor.refusals.add(503)
    page = visitor.page
    refuse_once(page, "/v1/sessions")
    refuse_once(page, "/v1/inventory")
    page.fill("#username", visitor.name)
    page.fill("#password", PASSWORD)
    page.click("form.entry button[type=submit]")
    alert = page.get_by_role("alert")
    expect(alert).to_have_text("The server is busy. Please try again in a moment.")
    expect(page.get_by_role("radio", name="Sign in")).to_be_checked()
    page.click("form.entry button[type=submit]")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".game")).to_be_visible()


@pytest.mark.parametrize(("path", "next_"), [("", "inventory"), ("/console", "ruleset")])
def test_one_time_password_is_changed_once(
    server: Server, visit: Callable[..., Visitor], path: str, next_: str
) -> None:
    """If a busy server refuses the step after the change, only that step is retried."""
    name, password = make_one_time_operator(server)
    visitor = visit(server.url + path)
    visitor.refusals.add(503)
    page = visitor.page
    if not path:
        page.get_by_role("radio", name="Sign in").check(force=True)
    page.fill("#username", name)
    page.fill("#password", password)
    page.click("form.entry button[type=submit]")
    page.fill("#current_password", password)
    page.fill("#new_password", PASSWORD)
    refuse_once(page, f"/v1/{next_}")
    page.locator("form button[type=submit]").click()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("navigation", name="Sections")).to_be_visible()


def test_length_of_a_password_is_told_by_the_server_alone(
    world: Callable[[str], Server], visit: Callable[..., Visitor]
) -> None:
    """The minimum length is configured, so the page names no number of its own."""
    visitor = visit(world("tutorial").url)
    visitor.refusals.add(422)
    page = visitor.page
    expect(page.locator("#password-hint")).to_have_text(re.compile(r"^\D+$"))
    page.fill("#username", visitor.name)
    page.fill("#password", "short")
    page.click("form.entry button[type=submit]")
    expect(page.locator("#password-error")).to_have_text("Must have at least 8 characters.")
    expect(page.get_by_label("Password", exact=True)).to_be_focused()


def test_transfers_say_where_there_are_more(visitor: Visitor) -> None:
    """Fifty are shown, and the page mentions more only if there are more."""
    page = visitor.page
    visitor.open("Transfers")
    line = {
        "transfer_id": "t", "from": "somebody", "to": visitor.name, "resources": {"wood": 1},
        "note": "", "state": "received", "sent_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    rows: list[object] = []
    page.route("**/v1/transfers?*", lambda route: route.fulfill(json={"transfers": rows}))
    told = page.get_by_text("These are the latest 50.")
    for there in (50, 51):
        rows[:] = [line] * there
        visitor.open("Ledger")
        visitor.open("Transfers")
        expect(page.locator(".transfers > li")).to_have_count(50)
        expect(told).to_be_visible(visible=there == 51)


def test_refused_order_is_told_at_its_card(visitor: Visitor) -> None:
    """Missing resources are named at the card whose button was pressed."""
    visitor.refusals.add(409)
    visitor.order("storehouse")
    card = visitor.card("storehouse")
    expect(card.locator(".when")).to_contain_text("Affordable in")
    card.locator("button.primary:not([aria-busy=true])").click()
    expect(card.get_by_role("alert")).to_contain_text("short.")
    visitor.check("refused-order")


def test_refused_transfer_is_told_at_its_field(visitor: Visitor) -> None:
    """An unknown receiver is reported at the field, which gets the focus."""
    visitor.refusals.add(404)
    visitor.open("Transfers")
    visitor.page.get_by_label("To", exact=True).fill("nobody-of-this-name")
    visitor.page.get_by_label("Wood").fill("5")
    visitor.page.get_by_role("button", name="Send").click()
    expect(visitor.page.locator("#to-error")).to_have_text("Nobody here has this name.")
    expect(visitor.page.get_by_label("To", exact=True)).to_be_focused()


@pytest.mark.parametrize("typed", ["1.9", "-3", "1e"])
def test_amount_that_cannot_be_sent_is_told(visitor: Visitor, typed: str) -> None:
    """If an amount is not a whole number, nothing is sent: neither another amount nor the rest."""
    page = visitor.page
    visitor.open("Transfers")
    sent: list[str] = []
    page.on("request", lambda request: request.method == "GET" or sent.append(request.url))
    page.get_by_label("To", exact=True).fill("somebody")
    page.get_by_label("Stone").fill("1")
    page.get_by_label("Wood").press_sequentially(typed)
    page.get_by_role("button", name="Send", exact=True).click()
    alert = page.locator("form .refusal[role=alert]")
    expect(alert).to_have_text("Wood: only whole numbers can be sent.")
    expect(page.get_by_label("Wood")).to_be_focused()
    assert sent == []


def test_transfer_arrives_on_the_other_page(
    visitor: Visitor, visit: Callable[..., Visitor], world: Callable[[str], Server]
) -> None:
    """The receiver sees a transfer arrive without doing anything."""
    other = visit(world("tutorial").url, size="phone")
    other.sign_up()
    other.open("Transfers")
    visitor.open("Transfers")
    visitor.page.get_by_label("To", exact=True).fill(other.name)
    visitor.page.get_by_label("Wood").fill("7")
    visitor.page.get_by_role("button", name="Send").click()
    expect(visitor.page.get_by_role("status")).to_have_text(f"Sent to {other.name}.")
    expect(other.page.locator(".transfers li").first).to_contain_text(f"From {visitor.name}")
    other.check("transfer-received")


def test_command_lost_on_the_way_is_sent_again_with_its_key(visitor: Visitor) -> None:
    """A lost answer does not cause a second order."""
    visitor.refusals.add(0)
    keys: list[str | None] = []

    def lose_the_first_answer(route: Route) -> None:
        keys.append(route.request.header_value("idempotency-key"))
        if len(keys) == 1:
            # The server has the order; the page gets no answer.
            route.fetch()
            route.abort()
        else:
            route.continue_()

    visitor.page.route("**/v1/inventory/orders", lose_the_first_answer)
    visitor.order("storehouse")
    expect(visitor.page.get_by_role("status")).to_have_text("Ordered: Storehouse, level 1.")
    expect(visitor.page.locator(".order")).to_have_count(1)
    assert len(keys) == 2
    assert keys[0] is not None
    assert keys[0] == keys[1]


def test_session_survives_a_reload_and_a_lost_token(visitor: Visitor) -> None:
    """A reload does not sign out, and a refused token is renewed once, invisibly."""
    visitor.refusals.add(401)
    visitor.page.reload()
    visitor.page.wait_for_selector(".game")
    refused: list[str] = []

    def refuse_once(route: Route) -> None:
        if refused:
            route.continue_()
            return
        refused.append(route.request.url)
        body = '{"type": "/problems/invalid-token", "title": "no", "status": 401, "detail": "no"}'
        route.fulfill(status=401, content_type="application/problem+json", body=body)

    visitor.page.route("**/v1/inventory/orders", refuse_once)
    visitor.order("cottage")
    expect(visitor.page.locator(".order-name")).to_have_text("Cottage, level 1")
    assert len(refused) == 1


def test_ended_session_leads_back_to_signing_in(visitor: Visitor) -> None:
    """The page explains that a session was ended elsewhere, and signing in continues."""
    visitor.refusals.add(401)
    visitor.page.evaluate(
        """async () => {
            const stored = JSON.parse(sessionStorage.getItem('holdfast-session'));
            const send = (method, path, options) => fetch(path, {method, ...options});
            const renewed = await send('POST', '/v1/sessions/refresh', {
                headers: {'Content-Type': 'application/json'},
                body: JSON.stringify({refresh_token: stored.refresh}),
            });
            const token = (await renewed.json()).access_token;
            await send('DELETE', '/v1/sessions', {headers: {Authorization: `Bearer ${token}`}});
        }"""
    )
    expect(visitor.page.get_by_role("alert")).to_contain_text("Your session has ended.")
    visitor.check("session-ended")
    visitor.sign_in()


def test_page_without_the_stream_asks_instead(
    world: Callable[[str], Server], visit: Callable[..., Visitor]
) -> None:
    """Without an event stream the page still shows an order finishing."""
    visitor = visit(world("tutorial").url)
    visitor.refusals.add(404)
    visitor.page.route("**/v1/events", lambda route: route.fulfill(status=404, json={}))
    visitor.sign_up()
    expect(visitor.page.locator("#live-text")).to_have_text("Connected")
    visitor.order("cottage")
    expect(visitor.page.get_by_role("status")).to_have_text("Finished: Cottage, level 1.")
    expect(visitor.card("cottage")).to_contain_text("Level 1 of 20")


def test_page_finds_back_after_the_server_was_killed(
    world: Callable[[str], Server], visit: Callable[..., Visitor]
) -> None:
    """The page reports the lost connection, and resumes by itself when the server is back."""
    server = world("tutorial")
    visitor = visit(server.url)
    visitor.refusals.add(0)
    visitor.sign_up()
    expect(visitor.page.locator("#live-text")).to_have_text("Live")
    server.kill()
    expect(visitor.page.locator("#live-text")).to_contain_text("Connection lost")
    visitor.check("connection-lost")
    server.start(HOLDFAST_HTTP__PORT=server.url.rpartition(":")[2])
    expect(visitor.page.locator("#live-text")).to_have_text("Live", timeout=40_000)
    visitor.order("cottage")
    expect(visitor.page.get_by_role("status")).to_have_text("Ordered: Cottage, level 1.")
