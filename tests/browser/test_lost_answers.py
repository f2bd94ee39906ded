"""Commands whose answers were lost for good: pressing again does not repeat them."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.operator import Api, Operator, make_operator

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page, Route

    from tests.browser.visitor import Visitor
    from tests.e2e.server import Server

LOST = "The server cannot be reached."

AT_ONCE = """() => {
    Math.random = () => 0;
    const pauses = new Set([600, 1200, 2400, 4800]);
    const later = window.setTimeout;
    window.setTimeout = (task, ms, ...rest) => later(task, pauses.has(ms) ? 250 : ms, ...rest);
}"""
"""Shortens the page's pauses between attempts; their number stays the same."""

KEEP_SAID = """() => new MutationObserver(() => {
    const said = document.getElementById("status")?.textContent;
    if (said) document.body.dataset.said = `${document.body.dataset.said ?? ""}${said}\\n`;
}).observe(document, {subtree: true, childList: true})"""
"""Records in the body every status message, since the next may replace it quickly."""


CUTTABLE = """() => {
    const fetch = window.fetch;
    window.fetch = (path, init) => {
        if (path !== "/v1/events") return fetch(path, init);
        const end = new AbortController();
        window.cut = () => end.abort();
        return fetch(path, { ...init, signal: AbortSignal.any([init.signal, end.signal]) });
    };
}"""
"""Allows the event stream to be cut: a browser put offline leaves it open."""

ORDER = """async (api) => {
    const { command } = await import(api);
    window.given = [...(window.given ?? []), command("/v1/inventory/orders", { asset: "cottage" })];
}"""
"""Sends a command as a card does, even while another is in flight."""

SLOW_STOREHOUSE = {"storehouse": 6, "wood": 6_000, "stone": 4_000}
"""With this an order for the next level lasts long enough to cancel, and another is affordable."""


class Losing:
    """The path of a command: while ``losing``, it arrives and its answer does not come back.

    A ``refusal`` comes from an intermediary: the command does not arrive. Nor does it while not
    ``arriving``.
    """

    def __init__(self, page: Page, path: str) -> None:
        self.losing = True
        self.arriving = True
        self.refusal: dict[str, object] | None = None
        self.keys: list[str | None] = []
        page.route(f"**{path}", self._take)

    def _take(self, route: Route) -> None:
        if route.request.method != "POST":
            route.continue_()
            return
        self.keys.append(route.request.header_value("idempotency-key"))
        if self.refusal is not None:
            route.fulfill(status=int(str(self.refusal["status"])), json=self.refusal)
        elif self.losing:
            if self.arriving:
                route.fetch()
            route.abort()
        else:
            route.continue_()


@pytest.fixture
def visitor(server: Server, visit: Callable[..., Visitor]) -> Visitor:
    """Return a player whose page gives up quickly."""
    visitor = visit(server.url)
    visitor.refusals.add(0)
    visitor.page.add_init_script(f"({AT_ONCE})(); ({KEEP_SAID})(); ({CUTTABLE})()")
    visitor.page.reload()
    visitor.sign_up()
    return visitor


@pytest.fixture
def other(server: Server) -> tuple[str, Api]:
    """Return another player."""
    name = f"other-ss-{uuid.uuid4().hex[:8]}"
    return name, Api.join(server.url, name)


class Sending:
    """The form that sends wood to a player, with the path of its transfers."""

    def __init__(self, visitor: Visitor, name: str) -> None:
        self._page = visitor.page
        self._name = name
        self.hear_again = lambda: None
        self.way = Losing(visitor.page, "/v1/transfers")
        self.alert = visitor.page.locator("form .refusal[role=alert]")
        # Until the list has been read the page cannot tell what is new.
        with visitor.page.expect_response("**/v1/transfers?*"):
            visitor.open("Transfers")

    def send(self, wood: int) -> None:
        """Fill in the form and press its button."""
        self._page.get_by_label("To", exact=True).fill(self._name)
        self._page.get_by_label("Wood").fill(str(wood))
        self.press()

    def press(self) -> None:
        """Press the button once it is no longer busy with the last transfer."""
        button = self._page.get_by_role("button", name="Send", exact=True)
        expect(button).not_to_have_attribute("aria-busy", "true")
        button.click()

    def expect_said(self, *, earlier: bool) -> None:
        """Wait until the page says that it was sent, now or by an earlier press."""
        words = f"Sent to {self._name} earlier, not again now."
        expect_said(self._page, words if earlier else f"Sent to {self._name}.")


@pytest.fixture
def sending(visitor: Visitor, other: tuple[str, Api]) -> Sending:
    """Return the form of a player who sends to the other and sees no transfer arrive."""
    form = Sending(visitor, other[0])
    form.hear_again = hear_nothing(visitor.page)
    return form


def expect_said(page: Page, words: str) -> None:
    """Wait until the page has shown this message."""
    said = re.compile(f"^{re.escape(words)}$", re.MULTILINE)
    expect(page.locator("body")).to_have_attribute("data-said", said)


def hear_nothing(page: Page) -> Callable[[], None]:
    """Cut the page off from the stream and the inventory until the returned function is called."""
    waiting: list[Route] = []
    page.route("**/v1/inventory", lambda route: route.abort())
    page.route("**/v1/events", lambda route: waiting.append(route))  # noqa: PLW0108 - no builtin
    page.evaluate("() => window.cut()")
    expect(page.locator("#live-text")).to_contain_text("Connection lost")

    def hear_again() -> None:
        page.unroute("**/v1/inventory")
        page.unroute("**/v1/events")
        for route in waiting:
            route.continue_()
        page.context.set_offline(True)
        page.context.set_offline(False)

    return hear_again


def orders_of(server: Server, name: str) -> int:
    """Return how many orders a player has placed."""
    entries = Api(server.url, name).get("/v1/inventory/ledger")["entries"]
    return [entry["cause"] for entry in entries].count("order-placed")


def give(server: Server, name: str, changes: dict[str, int]) -> None:
    """Grant assets as an operator."""
    path = f"/v1/admin/accounts/{Api(server.url, name).account_id}/grants"
    body = {"changes": changes, "reason": "lost to a fire"}
    assert Api(server.url, make_operator(server)).post(path, body).is_success


def cancel(page: Page, order: str) -> None:
    """Cancel an order and wait until it is gone."""
    page.get_by_role("button", name=f"Cancel {order}").click()
    page.get_by_role("button", name="Yes, cancel").click()
    expect(page.locator(".order")).to_have_count(0)


# --- transfers --------------------------------------------------------------


def test_transfer_that_is_sent_again_is_made_once(
    visitor: Visitor, other: tuple[str, Api], sending: Sending
) -> None:
    """A repeated transfer keeps its key until an answer comes; after that it is a new one."""
    _, theirs = other
    sending.send(7)
    expect(sending.alert).to_contain_text(LOST)
    sending.way.losing = False
    sending.press()
    sending.expect_said(earlier=True)
    assert len(set(sending.way.keys)) == 1
    assert len(theirs.get("/v1/transfers")["transfers"]) == 1
    sending.send(7)
    sending.expect_said(earlier=False)
    expect(visitor.page.locator(".transfers > li")).to_have_count(2)
    assert len(set(sending.way.keys)) == 2


def test_transfer_that_is_sent_again_from_a_new_form_is_made_once(
    visitor: Visitor, other: tuple[str, Api], sending: Sending
) -> None:
    """Visiting another section in between makes no second transfer either."""
    _, theirs = other
    sending.send(7)
    expect(sending.alert).to_contain_text(LOST)
    sending.way.losing = False
    visitor.open("Ledger")
    visitor.open("Transfers")
    sending.send(7)
    sending.expect_said(earlier=True)
    assert len(set(sending.way.keys)) == 1
    assert len(theirs.get("/v1/transfers")["transfers"]) == 1


@pytest.mark.parametrize(
    ("status", "slug"),
    [
        (408, "request-timeout"),
        (429, "too-many-requests"),
        (500, "internal-error"),
        (409, "insufficient-resources"),
    ],
)
def test_transfer_keeps_its_key_through_a_refusal(
    visitor: Visitor, other: tuple[str, Api], sending: Sending, status: int, slug: str
) -> None:
    """The lost attempt may have arrived, so a later refusal does not change the key."""
    _, theirs = other
    visitor.refusals.add(status)
    sending.send(7)
    expect(sending.alert).to_contain_text(LOST)
    sending.way.refusal = {"status": status, "type": f"/problems/{slug}", "missing": {"wood": 1}}
    sending.press()
    expect(sending.alert).not_to_be_empty()
    expect(sending.alert).not_to_contain_text(LOST)
    sending.way.refusal, sending.way.losing = None, False
    sending.press()
    sending.expect_said(earlier=True)
    assert len(set(sending.way.keys)) == 1
    assert len(theirs.get("/v1/transfers")["transfers"]) == 1


def test_transfer_that_came_back_is_sent_anew(visitor: Visitor, sending: Sending) -> None:
    """A return is its key's final answer, so the next transfer has a new key."""
    visitor.refusals.add(409)
    sending.way.refusal = {"status": 409, "type": "/problems/transfer-returned"}
    sending.send(7)
    expect(sending.alert).to_contain_text("everything came back")
    sending.way.refusal, sending.way.losing = None, False
    sending.press()
    sending.expect_said(earlier=False)
    assert len(set(sending.way.keys)) == 2


def test_another_transfer_after_a_lost_one_has_a_key_of_its_own(
    other: tuple[str, Api], sending: Sending
) -> None:
    """A changed amount makes another transfer."""
    _, theirs = other
    sending.send(7)
    expect(sending.alert).to_contain_text(LOST)
    sending.way.losing = False
    sending.send(8)
    sending.expect_said(earlier=False)
    assert len(theirs.get("/v1/transfers")["transfers"]) == 2


def test_transfer_that_is_seen_to_arrive_is_behind(
    visitor: Visitor, other: tuple[str, Api]
) -> None:
    """A transfer seen in the list asks for no retry, and sending the same again makes another."""
    name, theirs = other
    sending = Sending(visitor, name.upper().replace("SS", "\u00df"))
    sending.send(7)
    expect_said(visitor.page, f"Sent to {name}.")
    expect(sending.alert).to_be_empty()
    expect(visitor.page.get_by_label("Wood")).to_have_value("")
    sending.way.losing = False
    sending.send(7)
    expect(visitor.page.locator(".transfers > li")).to_have_count(2)
    assert len(set(sending.way.keys)) == 2
    assert len(theirs.get("/v1/transfers")["transfers"]) == 2


def test_transfer_that_is_seen_later_takes_its_refusal_back(
    visitor: Visitor, sending: Sending
) -> None:
    """This holds even after the form gave up, and keeps what was typed meanwhile."""
    sending.send(7)
    expect(sending.alert).to_contain_text(LOST)
    visitor.page.get_by_label("Wood").fill("8")
    sending.hear_again()
    sending.expect_said(earlier=False)
    expect(sending.alert).to_be_empty()
    expect(visitor.page.get_by_label("Wood")).to_have_value("8")


def test_transfer_is_not_taken_for_one_like_it(
    visitor: Visitor, server: Server, other: tuple[str, Api]
) -> None:
    """Neither an earlier transfer nor another amount is mistaken for the lost one."""
    name, theirs = other
    sending = Sending(visitor, name)
    rows = visitor.page.locator(".transfers > li")
    sending.way.losing = False
    sending.send(7)
    expect(rows).to_have_count(1)
    sending.way.losing, sending.way.arriving = True, False
    sending.send(7)
    expect(sending.alert).to_contain_text(LOST)
    mine = Api(server.url, visitor.name)
    body = {"to": name, "resources": {"wood": 8}, "note": ""}
    assert mine.post("/v1/transfers", body).status_code == 201
    expect(rows).to_have_count(2)
    expect(sending.alert).to_contain_text(LOST)
    sending.way.losing = False
    sending.press()
    expect(rows).to_have_count(3)
    assert len(set(sending.way.keys)) == 2
    assert len(theirs.get("/v1/transfers")["transfers"]) == 3


# --- orders -----------------------------------------------------------------


def test_order_that_is_pressed_again_is_placed_once(visitor: Visitor, server: Server) -> None:
    """An order that the page has not seen arrive keeps its key."""
    page, way = visitor.page, Losing(visitor.page, "/v1/inventory/orders")
    card = visitor.card("storehouse")
    hear_nothing(page)
    visitor.order("storehouse")
    expect(card.get_by_role("alert")).to_contain_text(LOST)
    way.losing = False
    card.locator("button.primary").click()
    words = "Ordered earlier, not again now: Storehouse, level 1."
    expect_said(page, words)
    assert len(set(way.keys)) == 1
    assert orders_of(server, visitor.name) == 1


def test_order_that_is_seen_to_arrive_is_behind(visitor: Visitor, server: Server) -> None:
    """An order seen in the list asks for no retry, and pressing again places another."""
    page, way = visitor.page, Losing(visitor.page, "/v1/inventory/orders")
    card = visitor.card("cottage")
    visitor.order("cottage")
    expect_said(page, "Ordered: Cottage, level 1.")
    expect(card.locator(".refusal")).to_be_empty()
    way.losing = False
    visitor.order("cottage")
    expect_said(page, "Ordered: Cottage, level 2.")
    assert len(set(way.keys)) == 2
    assert orders_of(server, visitor.name) == 2


def test_order_that_is_seen_later_takes_its_refusal_back(visitor: Visitor, server: Server) -> None:
    """Even an order that finishes before the page is back online asks for no retry."""
    page, way = visitor.page, Losing(visitor.page, "/v1/inventory/orders")
    card = visitor.card("cottage")
    hear_again = hear_nothing(page)
    visitor.order("cottage")
    expect(card.get_by_role("alert")).to_contain_text(LOST)
    Api(server.url, visitor.name).wait_for_level("cottage", 1)
    hear_again()
    expect(card).to_contain_text("Level 1 of 20")
    expect_said(page, "Ordered: Cottage, level 1.")
    expect(card.locator(".refusal")).to_be_empty()
    way.losing = False
    visitor.order("cottage")
    expect_said(page, "Ordered: Cottage, level 2.")
    assert len(set(way.keys)) == 2


def test_order_that_never_arrived_is_not_taken_for_one(visitor: Visitor, server: Server) -> None:
    """Cancelling the previous order, or a grant, changes the next level but places no order."""
    page, way = visitor.page, Losing(visitor.page, "/v1/inventory/orders")
    card = visitor.card("storehouse")
    give(server, visitor.name, SLOW_STOREHOUSE)
    expect(card).to_contain_text("Level 6 of")
    way.losing = False
    visitor.order("storehouse")
    expect_said(page, "Ordered: Storehouse, level 7.")
    way.losing, way.arriving = True, False
    visitor.order("storehouse")
    cancel(page, "Storehouse, level 7")
    expect(card.get_by_role("alert")).to_contain_text(LOST)
    give(server, visitor.name, {"storehouse": 3})
    expect(card).to_contain_text("Level 9 of")
    expect(card.get_by_role("alert")).to_contain_text(LOST)
    said = set((page.get_attribute("body", "data-said") or "").splitlines())
    assert {words for words in said if "rdered" in words} == {"Ordered: Storehouse, level 7."}
    assert orders_of(server, visitor.name) == 1


def test_order_after_one_of_an_earlier_session_is_another(visitor: Visitor, server: Server) -> None:
    """A command seen to arrive stays settled after signing out and in again."""
    page, way = visitor.page, Losing(visitor.page, "/v1/inventory/orders")
    give(server, visitor.name, SLOW_STOREHOUSE)
    expect(visitor.card("storehouse")).to_contain_text("Level 6 of")
    visitor.order("storehouse")
    expect_said(page, "Ordered: Storehouse, level 7.")
    cancel(page, "Storehouse, level 7")
    way.losing = False
    page.click("#sign-out")
    visitor.sign_in()
    visitor.order("storehouse")
    expect(page.locator(".order")).to_have_count(1)
    assert len(set(way.keys)) == 2
    assert orders_of(server, visitor.name) == 2


def test_answer_that_comes_late_leaves_the_key_of_the_next_command(visitor: Visitor) -> None:
    """Two presses of one command are answered, and the next one starts between the answers."""
    page = visitor.page
    held: list[Route] = []
    page.route("**/v1/inventory/orders", lambda route: held.append(route))  # noqa: PLW0108 - no builtin
    script = page.locator("script[type=module]").get_attribute("src") or ""
    api = re.sub("/play/.*", "/shared/api.js", script)

    def press() -> Route:
        before = len(held)
        page.evaluate(ORDER, api)
        for _ in range(500):
            if len(held) > before:
                return held[-1]
            page.wait_for_timeout(20)
        raise AssertionError("the command was not sent")

    def key_of(route: Route) -> str | None:
        return route.request.header_value("idempotency-key")

    one, two = press(), press()
    assert key_of(one) == key_of(two)
    one.continue_()
    page.evaluate("() => window.given[0]")
    following = press()
    assert key_of(following) != key_of(one)
    two.continue_()
    page.evaluate("() => window.given[1]")
    assert key_of(press()) == key_of(following)


# --- grants -----------------------------------------------------------------


def test_grant_that_is_given_again_from_a_new_dialog_is_made_once(
    server: Server, visit: Callable[..., Visitor], other: tuple[str, Api]
) -> None:
    """Cancelling the dialog and opening it again makes no second grant."""
    name, theirs = other
    operator = Operator(visit(f"{server.url}/console"))
    operator.visitor.refusals.add(0)
    page = operator.visitor.page
    page.add_init_script(f"({AT_ONCE})()")
    page.reload()
    operator.enter(make_operator(server))
    operator.open_account(name)
    way = Losing(page, "/grants")
    dialog = page.get_by_role("dialog")

    def grant() -> None:
        operator.ask_for("Grant")
        dialog.get_by_label("Asset 1", exact=True).select_option(label="Gold")
        dialog.get_by_label("Amount 1").fill("5")
        operator.confirm("Grant", "lost to a fire")

    grant()
    expect(dialog.get_by_role("alert")).to_contain_text(LOST)
    page.keyboard.press("Escape")
    way.losing = False
    grant()
    operator.expect_done(f"Granted to {name} earlier, not again now: Gold +5, now 25.")
    assert len(set(way.keys)) == 1
    assert theirs.get("/v1/inventory")["resources"]["gold"]["amount"] == 25
