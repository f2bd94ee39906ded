"""A tab's session across reloads: it continues, or the page says why it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.operator import Api, Operator, make_operator
from tests.browser.visitor import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page, Route

    from tests.browser.visitor import Visitor
    from tests.e2e.server import Server

ENDED = "Your session has ended. Please sign in again."


@pytest.fixture
def visitor(server: Server, visit: Callable[..., Visitor]) -> Visitor:
    """Return a player who has just signed up."""
    visitor = visit(server.url)
    visitor.sign_up()
    return visitor


def end_sessions(server: Server, name: str) -> None:
    """End every session of an account from elsewhere."""
    credentials = {"username": name, "password": PASSWORD}
    token = httpx.post(f"{server.url}/v1/sessions", json=credentials).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.delete(f"{server.url}/v1/sessions", headers=headers).status_code == 204


def leave_asleep(page: Page) -> None:
    """Leave for a page that sends no requests; the tab's storage stays."""
    page.goto("about:blank")


def test_session_that_ended_is_told_after_a_reload(visitor: Visitor, server: Server) -> None:
    """A visitor who returns too late is told so, and asked to sign in rather than sign up."""
    visitor.refusals.add(401)
    page = visitor.page
    leave_asleep(page)
    end_sessions(server, visitor.name)
    page.goto(server.url)
    expect(page.get_by_role("alert")).to_have_text(ENDED)
    expect(page.get_by_role("radio", name="Sign in")).to_be_checked()
    visitor.check("session-over")
    page.reload()
    expect(page.get_by_role("radio", name="Create account")).to_be_checked()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_console_session_that_ended_is_told_after_a_reload(
    server: Server, visit: Callable[..., Visitor]
) -> None:
    """The console does the same."""
    name = make_operator(server)
    operator = Operator(visit(f"{server.url}/console"))
    operator.visitor.refusals.add(401)
    operator.enter(name)
    page = operator.visitor.page
    leave_asleep(page)
    end_sessions(server, name)
    page.goto(f"{server.url}/console")
    expect(page.get_by_role("alert")).to_have_text(ENDED)


def test_duplicated_tab_is_told_to_sign_in(visitor: Visitor, server: Server) -> None:
    """A duplicated tab does not take over the session, and says why it asks to sign in."""
    page = visitor.page
    with page.context.expect_page() as opened:
        page.evaluate("window.open(location.href)")
    copy = opened.value
    expect(copy.get_by_role("alert")).to_contain_text("goes on in another tab")
    expect(copy.get_by_role("radio", name="Sign in")).to_be_checked()
    visitor.order("cottage")
    expect(page.locator(".order-name")).to_have_text("Cottage, level 1")


def test_session_survives_reloads_that_follow_each_other(visitor: Visitor) -> None:
    """A page abandoned before it is drawn leaves no spent refresh token behind."""
    page = visitor.page
    refreshed: list[str] = []
    held: list[Route] = []
    page.on("request", lambda request: refreshed.append(request.url))

    def hold(route: Route) -> None:
        # The server has answered, but the page is abandoned before the answer arrives.
        route.fetch()
        held.append(route)

    page.route("**/v1/sessions/refresh", hold)
    page.route("**/v1/accounts/me", hold)
    with page.expect_request("**/v1/accounts/me"):
        page.reload()
    page.unroute("**/v1/accounts/me")
    page.unroute("**/v1/sessions/refresh")
    page.reload()
    page.wait_for_selector(".game")
    assert not [url for url in refreshed if url.endswith("/refresh")]


def test_session_survives_a_reload_that_loses_the_answer_to_its_refresh(visitor: Visitor) -> None:
    """The refresh that spent the token is sent again with its key, by the page that comes after."""
    page = visitor.page
    kept = page.evaluate("() => JSON.parse(sessionStorage.getItem('holdfast-session'))")
    page.evaluate(
        "kept => sessionStorage.setItem('holdfast-session', JSON.stringify(kept))",
        {**kept, "expires": 1},
    )

    def lose(route: Route) -> None:
        assert route.fetch().status == 200

    page.route("**/v1/sessions/refresh", lose)
    with page.expect_request("**/v1/sessions/refresh"):
        page.reload()
    page.unroute("**/v1/sessions/refresh")
    with page.expect_response("**/v1/sessions/refresh") as refreshed:
        page.reload()
    assert refreshed.value.status == 200
    page.wait_for_selector(".game")
    expect(page.locator("#who-name")).to_have_text(visitor.name)


def test_old_tokens_are_renewed_when_a_page_is_loaded(visitor: Visitor, server: Server) -> None:
    """An access token that has expired in the meantime is not used."""
    page = visitor.page
    page.evaluate(
        """() => {
            const kept = JSON.parse(sessionStorage.getItem('holdfast-session'));
            sessionStorage.setItem('holdfast-session', JSON.stringify({...kept, expires: 1}));
        }"""
    )
    with page.expect_response("**/v1/sessions/refresh") as refreshed:
        page.reload()
    assert refreshed.value.status == 200
    page.wait_for_selector(".game")
    expect(page.locator("#who-name")).to_have_text(visitor.name)
    assert Api(server.url, visitor.name).status_of("/v1/accounts/me") == 200


HOLD_TIMERS = """() => {
    const later = window.setTimeout;
    window.pauses = [];
    Math.random = () => 0;
    window.setTimeout = (task, ms, ...rest) => {
        if (ms > 60_000) window.renew = task;
        else if (ms === 600) window.pauses.push(task);
        else return later(task, ms, ...rest);
    };
}"""
"""Defers token renewal and a command's second attempt until the test calls them."""


@pytest.fixture
def held(server: Server, visit: Callable[..., Visitor]) -> Visitor:
    """Return a player who has just signed up, with timers deferred."""
    visitor = visit(server.url)
    visitor.refusals.add(0)
    visitor.page.evaluate(HOLD_TIMERS)
    visitor.sign_up()
    return visitor


def hand_over(visitor: Visitor) -> None:
    """Sign out and let another player sign up in the same page."""
    visitor.page.click("#sign-out")
    visitor.page.get_by_role("radio", name="Create account").check(force=True)
    visitor.name = f"w{visitor.name}"
    visitor.sign_up()
    expect(visitor.page.locator("#who-name")).to_have_text(visitor.name)


def test_command_is_not_sent_again_for_the_next_who_signs_in(held: Visitor) -> None:
    """An order of one player that could not be sent is not placed for the next."""
    page = held.page
    sent: list[str] = []

    def lose(route: Route) -> None:
        sent.append(route.request.method)
        route.abort()

    page.route("**/v1/inventory/orders", lose)
    script = page.locator("script[type=module]").get_attribute("src") or ""
    page.evaluate(
        """async (api) => {
            const { command } = await import(api);
            const told = command("/v1/inventory/orders", { asset: "cottage" });
            window.outcome = told.then(() => "made", (error) => error.message);
        }""",
        script.replace("/play/main.js", "/shared/api.js"),
    )
    page.wait_for_function("() => window.pauses.length > 0")
    assert sent == ["POST"]
    hand_over(held)
    page.evaluate("() => window.pauses.forEach((task) => task())")
    assert page.evaluate("() => window.outcome") == ENDED
    assert sent == ["POST"]


def test_refresh_of_an_earlier_session_does_not_end_the_next(held: Visitor) -> None:
    """A refresh answered after another player has signed in does not affect that session."""
    held.refusals.add(401)
    page = held.page
    late: list[Route] = []
    page.route("**/v1/sessions/refresh", lambda route: late.append(route))  # noqa: PLW0108 - no builtin
    with page.expect_request("**/v1/sessions/refresh"):
        page.evaluate("() => void window.renew()")
    hand_over(held)
    with page.expect_response("**/v1/sessions/refresh") as refused:
        late[0].continue_()
    assert refused.value.status == 401
    held.order("cottage")
    expect(page.locator(".order-name")).to_have_text("Cottage, level 1")
    expect(page.locator("#who-name")).to_have_text(held.name)


def test_signing_out_twice_does_not_sign_out_the_next(held: Visitor) -> None:
    """A second press while the server is silent does not end the session of the next player."""
    page = held.page
    late: list[Route] = []
    page.route("**/v1/sessions/current", lambda route: late.append(route))  # noqa: PLW0108 - no builtin
    page.click("#sign-out")
    with page.expect_request("**/v1/sessions/current"):
        page.click("#sign-out")
    first, second = late
    first.abort()
    page.get_by_role("radio", name="Create account").check(force=True)
    held.name = f"w{held.name}"
    held.sign_up()
    with page.expect_event("requestfailed"):
        second.abort()
    held.order("cottage")
    expect(page.locator(".order-name")).to_have_text("Cottage, level 1")
    expect(page.locator("#who-name")).to_have_text(held.name)
