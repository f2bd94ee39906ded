"""The operators' console: every section is sound, and every action works."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.operator import (
    SECTIONS,
    Api,
    Operator,
    make_one_time_operator,
    make_operator,
)
from tests.browser.visitor import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Route

    from tests.browser.visitor import Visitor
    from tests.e2e.server import Server


@pytest.fixture(scope="module")
def operator_name(server: Server) -> str:
    """Return the name of an operator's account."""
    return make_operator(server)


@pytest.fixture(scope="module")
def api(server: Server, operator_name: str) -> Api:
    """Return the API as the operator calls it."""
    return Api(server.url, operator_name)


@pytest.fixture
def arrive(server: Server, visit: Callable[..., Visitor]) -> Callable[..., Operator]:
    """Return a function that opens the console in a new window."""

    def arrive(**look: str) -> Operator:
        return Operator(visit(f"{server.url}/console", **look))

    return arrive


@pytest.fixture
def operator(arrive: Callable[..., Operator], operator_name: str) -> Operator:
    """Return an operator at the console."""
    operator = arrive()
    operator.enter(operator_name)
    return operator


@pytest.fixture
def player(server: Server) -> tuple[str, Api]:
    """Return a new player: the name, and the API as the player calls it."""
    name = f"player-{uuid.uuid4().hex[:8]}"
    return name, Api.join(server.url, name)


# --- looks ------------------------------------------------------------------


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_console_is_sound_in_every_section(
    arrive: Callable[..., Operator], operator_name: str, player: tuple[str, Api], size: str
) -> None:
    """Sign-in, each section, an account and a dialog fit the window and are accessible."""
    name, theirs = player
    assert theirs.post("/v1/inventory/orders", {"asset": "cottage"}).status_code == 201
    operator = arrive(size=size)
    visitor, page = operator.visitor, operator.visitor.page
    visitor.check_in_both_colours(size, "sign-in")
    operator.enter(operator_name)
    expect(page.locator(".legend b").first).not_to_have_text("\u2013")
    for section in SECTIONS:
        visitor.open(section)
        expect(page.locator("tbody tr").first).to_be_visible()
        visitor.check_in_both_colours(size, section.lower().replace(" ", "-"))
    operator.open_account(name)
    visitor.check_in_both_colours(size, "account")
    operator.ask_for("Grant")
    visitor.check_in_both_colours(size, "grant")


def test_charts_can_be_read_by_keyboard_and_as_a_table(operator: Operator) -> None:
    """A chart shows the values at the time that the arrow keys select; a table shows all."""
    page = operator.visitor.page
    plot = page.get_by_role("slider", name="Requests, the last minutes")
    expect(plot).to_have_attribute("aria-valuemax", "2")
    page.get_by_role("button", name="As a table").focus()
    page.keyboard.press("Tab")
    expect(plot).to_be_focused()
    page.keyboard.press("Home")
    expect(plot).to_have_attribute("aria-valuenow", "0")
    first = plot.get_attribute("aria-valuetext")
    page.keyboard.press("ArrowRight")
    expect(plot).to_have_attribute("aria-valuenow", "1")
    assert plot.get_attribute("aria-valuetext") != first
    expect(page.locator(".moment")).to_contain_text("at ")
    page.keyboard.press("Escape")
    expect(page.locator(".moment")).to_have_text("the last minute")
    page.get_by_role("button", name="As a table").click()
    table = page.get_by_role("region", name="The last five minutes as a table")
    expect(table.get_by_role("columnheader", name="Answer time: p95 (ms)")).to_be_visible()
    operator.visitor.check("console-as-a-table")


def test_rules_are_drawn_and_tabled(operator: Operator) -> None:
    """An asset's curve can be read level by level, also on a logarithmic scale."""
    visitor, page = operator.visitor, operator.visitor.page
    visitor.open("Rules")
    page.get_by_role("navigation", name="Assets").get_by_role("link", name="Woodcutter").click()
    plot = page.get_by_role("slider", name="Cost of Woodcutter by level")
    linear = page.locator(".curve .line-0").get_attribute("d")
    page.get_by_label("Logarithmic").check()
    expect(page.locator(".curve .line-0")).not_to_have_attribute("d", linear or "")
    page.get_by_role("radio", name="Production").check(force=True)
    plot = page.get_by_role("slider", name="Production of Woodcutter by level")
    plot.focus()
    page.keyboard.press("Home")
    expect(plot).to_have_attribute("aria-valuetext", "level 1: Wood 18,000/h")
    levels = page.get_by_role("region", name="Levels of Woodcutter").get_by_role("row")
    expect(levels).to_have_count(21)
    visitor.check("console-rules-logarithmic")


def test_figures_are_worked_out_right(operator: Operator) -> None:
    """Rates are differences over time; percentiles lie within their buckets."""
    found = operator.visitor.page.evaluate(
        """async () => {
            const link = document.querySelector('link[rel=modulepreload]').href;
            const url = link.replace(/shared.*/, 'console/history.js');
            const {quantile, History} = await import(url);
            const none = {bounds: [0.1], counts: [0, 0], sum: 0, count: 0};
            const status = (now, started, gets, puts, batches, units) => ({
                started_at: started, now, world: {lag_ms: 5},
                actors: {group: null, children: [{group: {live: 3}, children: []}]},
                http: {methods: {GET: gets, POST: puts}, connections: {open: 2}, duration: none},
                streams: {open: 1},
                storage: {commits: batches, units_committed: units, commit_duration: none,
                    batch_units: {...none, sum: units, count: batches}},
            });
            const history = new History();
            const restarts = [
                status('2026-01-01T00:00:00Z', 'a', 10, 4, 1, 3),
                status('2026-01-01T00:00:02Z', 'a', 20, 8, 3, 11),
                status('2026-01-01T00:00:03Z', 'b', 1, 0, 0, 0),
            ].map((each) => history.take(each));
            const [, {requests, commands, commits, changes, batch, live, lag, p95}, anew] =
                history.points;
            return {
                restarts, requests, commands, commits, changes, batch, live, lag, p95,
                anew: [anew.requests, anew.broken],
                half: quantile({bounds: [1, 2, 4], counts: [1, 2, 1, 0]}, 0.5),
                most: quantile({bounds: [1, 2, 4], counts: [0, 0, 0, 5]}, 0.5),
                nothing: quantile({bounds: [1], counts: [0, 0]}, 0.5),
            };
        }"""
    )
    assert found["restarts"] == [False, False, True]
    rates = ("requests", "commands", "commits", "changes", "batch")
    assert [found[name] for name in rates] == [7, 2, 1, 4, 4]
    assert (found["live"], found["lag"], found["p95"]) == (3, 0.005, None)
    assert found["anew"] == [None, True]
    assert (found["half"], found["most"], found["nothing"]) == (1.5, 4, None)


# --- access -----------------------------------------------------------------


def test_one_time_password_must_be_changed_first(
    server: Server, arrive: Callable[..., Operator]
) -> None:
    """After a one-time password the console asks for a new password, then opens."""
    name, password = make_one_time_operator(server)
    operator = arrive()
    page = operator.visitor.page
    operator.visitor.refusals.add(422)
    operator.sign_in(name, password)
    expect(page.get_by_role("heading", level=1, name="Choose your own password")).to_be_visible()
    page.get_by_label("Current password", exact=True).fill(password)
    page.get_by_label("New password", exact=True).fill(password)
    page.get_by_role("button", name="Change and open the console").click()
    expect(page.locator("#new_password-error")).not_to_be_empty()
    operator.visitor.check("console-choose-password")
    page.get_by_label("New password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Change and open the console").click()
    expect(page.get_by_role("heading", level=1, name="Overview")).to_be_visible()
    me = Api(server.url, name).get("/v1/accounts/me")
    assert me["must_change_password"] is False


def test_console_is_for_operators_alone(
    arrive: Callable[..., Operator], player: tuple[str, Api]
) -> None:
    """A player is told that the console is not for them; a wrong password is reported as wrong."""
    operator = arrive()
    operator.visitor.refusals.add(401)
    operator.sign_in(player[0])
    alert = operator.visitor.page.get_by_role("alert")
    expect(alert).to_contain_text("is not an operator's account")
    operator.sign_in(player[0], "some other password")
    expect(alert).to_have_text("Unknown name or wrong password.")


# --- actions ----------------------------------------------------------------


def test_grant_is_made_once_with_its_reason(
    operator: Operator, api: Api, player: tuple[str, Api]
) -> None:
    """A grant whose answer was lost is made once, and is in inventory, ledger and audit log."""
    name, theirs = player
    operator.visitor.refusals.add(0)
    page = operator.visitor.page
    operator.open_account(name)
    keys: list[str | None] = []

    def lose_the_first_answer(route: Route) -> None:
        keys.append(route.request.header_value("idempotency-key"))
        if len(keys) == 1:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route("**/grants", lose_the_first_answer)
    operator.ask_for("Grant")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Asset 1", exact=True).select_option(label="Gold")
    dialog.get_by_label("Amount 1").fill("5")
    dialog.get_by_role("button", name="Another asset").click()
    dialog.get_by_label("Asset 2", exact=True).select_option(label="Cottage")
    dialog.get_by_label("Amount 2").fill("2")
    operator.confirm("Grant", "lost to a fire")
    operator.expect_done("Gold +5, now 25")
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert theirs.get("/v1/inventory")["buildings"]["cottage"] == 2
    entry = api.last_audited()
    assert entry["action"] == "assets-granted"
    assert (entry["username"], entry["reason"]) == (name, "lost to a fire")
    expect(page.locator(".ledger")).to_contain_text("Granted by an operator")
    operator.visitor.open("Audit log")
    expect(page.locator(".audit tbody tr").first).to_contain_text("lost to a fire")
    operator.visitor.check("console-audited")


def test_refused_grant_is_told_in_its_dialog(operator: Operator, player: tuple[str, Api]) -> None:
    """Missing or excessive input is reported at its field, and nothing is granted."""
    name, theirs = player
    operator.visitor.refusals.update({409, 422})
    operator.open_account(name)
    operator.ask_for("Grant")
    dialog = operator.visitor.page.get_by_role("dialog")
    operator.confirm("Grant", "a mistake")
    expect(dialog).to_contain_text("Enter how much to change.")
    dialog.get_by_label("Asset 1", exact=True).select_option(label="Gold")
    dialog.get_by_label("Amount 1").fill("-1000000")
    operator.confirm("Grant", " ")
    expect(dialog.locator("#reason-error")).to_have_text("Please say why.")
    operator.confirm("Grant", "a mistake")
    expect(dialog.get_by_role("alert")).to_contain_text("less than")
    operator.visitor.check("console-refused-grant")
    dialog.get_by_label("Amount 1").fill("1000000000000001")
    operator.confirm("Grant", "a mistake")
    expect(dialog.locator(".grant-more .refusal")).to_contain_text("Gold must change by")
    operator.visitor.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(operator.visitor.page.get_by_role("button", name="Grant\u2026")).to_be_focused()
    assert theirs.get("/v1/inventory/ledger")["entries"][-1]["cause"] != "grant"


def test_account_is_suspended_and_resumed(
    server: Server, operator: Operator, api: Api, player: tuple[str, Api]
) -> None:
    """Suspending ends the sessions and prevents signing in; resuming allows it again."""
    name, theirs = player
    operator.open_account(name)
    operator.ask_for("Suspend")
    operator.confirm("Suspend", "cheated")
    operator.expect_done(f"{name} is suspended.")
    assert theirs.status_of("/v1/inventory") == 401
    credentials = {"username": name, "password": PASSWORD}
    assert httpx.post(f"{server.url}/v1/sessions", json=credentials).status_code != 201
    assert api.get(f"/v1/admin/accounts/{theirs.account_id}")["suspended"] is True
    expect(operator.visitor.page.locator(".marks")).to_contain_text("suspended")
    operator.visitor.check("console-suspended")
    operator.ask_for("Resume")
    operator.confirm("Resume", "did not cheat")
    operator.expect_done(f"{name} is active again.")
    assert httpx.post(f"{server.url}/v1/sessions", json=credentials).status_code == 201
    assert api.last_audited()["reason"] == "did not cheat"


def test_sessions_are_ended_one_by_one_and_all(
    server: Server, operator: Operator, api: Api, player: tuple[str, Api]
) -> None:
    """One session is ended alone, then all."""
    name, first = player
    others = [Api(server.url, name) for _ in range(2)]
    operator.open_account(name)
    rows = operator.visitor.page.locator(".sessions tbody tr")
    expect(rows).to_have_count(3)
    rows.first.get_by_role("button").click()
    operator.confirm("End session", "a lost phone")
    operator.expect_done(f"1 session of {name} ended.")
    expect(rows).to_have_count(2)
    alive = [each for each in (first, *others) if each.status_of("/v1/accounts/me") == 200]
    assert len(alive) == 2
    operator.ask_for("End sessions")
    operator.confirm("End sessions", "a lost computer")
    operator.expect_done(f"2 sessions of {name} ended.")
    assert api.get(f"/v1/admin/accounts/{first.account_id}/sessions")["sessions"] == []
    assert api.last_audited()["reason"] == "a lost computer"


def test_search_finds_as_one_types_and_pages(operator: Operator, server: Server) -> None:
    """The list follows the typing, and a button shows more of it."""
    prefix = f"s{uuid.uuid4().hex[:6]}"
    for number in range(3):
        Api.join(server.url, f"{prefix}-{number}")
    page = operator.visitor.page
    page.route(
        "**/v1/admin/accounts?*",
        lambda route: route.continue_(url=route.request.url.replace("limit=50", "limit=2")),
    )
    operator.visitor.open("Accounts")
    page.get_by_label("Name begins with").press_sequentially(prefix)
    names = page.locator(".accounts tbody th")
    expect(names).to_have_text([f"{prefix}-0", f"{prefix}-1"])
    page.get_by_role("button", name="Show more").click()
    expect(names).to_have_text([f"{prefix}-{number}" for number in range(3)])
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    page.get_by_label("Name begins with").fill("nobody-is-called-so")
    expect(page.locator("p[role=status]")).to_have_text("No name here begins with that.")


def test_audit_log_is_read_page_by_page(
    operator: Operator, api: Api, player: tuple[str, Api]
) -> None:
    """Older entries follow newer ones, none twice."""
    reasons = [f"{name} {uuid.uuid4().hex[:6]}" for name in ("earlier", "later")]
    for action, reason in zip(("suspend", "resume"), reasons, strict=True):
        path = f"/v1/admin/accounts/{player[1].account_id}/{action}"
        assert api.post(path, {"reason": reason}).status_code == 200
    page = operator.visitor.page
    page.route(
        "**/v1/admin/audit?*",
        lambda route: route.continue_(url=route.request.url.replace("limit=50", "limit=1")),
    )
    operator.visitor.open("Audit log")
    rows = page.locator(".audit tbody tr")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text(reasons[1])
    page.get_by_role("button", name="Show older entries").dblclick()
    expect(rows).to_have_count(2)
    expect(rows.last).to_contain_text(reasons[0])
    with page.expect_response("**/v1/admin/audit?*"):
        page.get_by_role("button", name="Reload").dblclick()
    expect(rows).to_have_count(1)


def test_events_are_followed_paused_and_filtered(operator: Operator, server: Server) -> None:
    """The server's log appears live, unless it is paused or filtered out by level."""
    visitor, page = operator.visitor, operator.visitor.page
    visitor.open("Events")
    rows = page.locator(".log tbody tr")
    first = Api.join(server.url, f"event-{uuid.uuid4().hex[:8]}")
    expect(rows.filter(has_text=first.account_id)).to_have_count(1)
    page.get_by_role("button", name="Pause").click()
    second = Api.join(server.url, f"event-{uuid.uuid4().hex[:8]}")
    with page.expect_response("**/v1/admin/status"):
        pass
    expect(rows.filter(has_text=second.account_id)).to_have_count(0)
    page.get_by_role("button", name="Follow").click()
    expect(rows.filter(has_text=second.account_id)).to_have_count(1)
    page.get_by_label("Level").select_option("error")
    expect(page.get_by_text("Nothing at this level was logged recently.")).to_be_visible()


# --- leftovers --------------------------------------------------------------


def test_dialog_goes_with_what_it_belongs_to(
    server: Server, operator: Operator, operator_name: str, player: tuple[str, Api]
) -> None:
    """Going back cancels an open dialog, and so does the end of the session."""
    page = operator.visitor.page
    operator.visitor.refusals.add(401)
    operator.open_account(player[0])
    operator.ask_for("Grant")
    page.go_back()
    expect(page.get_by_role("heading", level=1, name="Accounts")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.go_forward()
    operator.ask_for("Suspend")
    credentials = {"username": operator_name, "password": PASSWORD}
    session = httpx.post(f"{server.url}/v1/sessions", json=credentials).json()
    headers = {"Authorization": f"Bearer {session['access_token']}"}
    assert httpx.delete(f"{server.url}/v1/sessions", headers=headers).status_code == 204
    expect(page.get_by_role("alert")).to_contain_text("Your session has ended.")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_label("Name", exact=True)).to_be_focused()


def test_action_under_way_is_told_though_its_dialog_is_gone(
    operator: Operator, player: tuple[str, Api]
) -> None:
    """An action that completes after the operator went back is reported, and redraws no section."""
    page = operator.visitor.page
    operator.open_account(player[0])
    asked: list[Route] = []

    def hold(route: Route) -> None:
        asked.append(route)

    page.route("**/suspend", hold)
    operator.ask_for("Suspend")
    with page.expect_request("**/suspend"):
        operator.confirm("Suspend", "cheated")
    page.go_back()
    expect(page.get_by_role("dialog")).to_have_count(0)
    asked[0].continue_()
    expect(page.locator("#status")).to_have_text(f"{player[0]} is suspended.")
    expect(page.get_by_role("heading", level=1, name="Accounts")).to_be_visible()


def test_unreadable_address_is_nothing_that_is_there(server: Server, operator: Operator) -> None:
    """A badly encoded address is reported like any other that leads nowhere."""
    operator.visitor.refusals.add(404)
    page = operator.visitor.page
    page.goto(f"{server.url}/console#/accounts/%zz")
    expect(page.get_by_role("alert").first).to_have_text("There is no such account (any more).")
    operator.visitor.open("Overview")
    expect(page.locator(".tree tbody tr").first).to_be_visible()


# --- with and without a server ----------------------------------------------

HIDE = """(hidden) => {
    Object.defineProperty(document, 'hidden', {configurable: true, get: () => hidden});
    document.dispatchEvent(new Event('visibilitychange'));
}"""


def test_console_asks_nothing_while_nobody_looks(operator: Operator) -> None:
    """A hidden tab sends no requests; shown again, it sends them at once."""
    page = operator.visitor.page
    with page.expect_response("**/v1/admin/status"):
        pass
    page.evaluate(HIDE, True)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2_200)
    assert asked == []
    with page.expect_response("**/v1/admin/status"):
        page.evaluate(HIDE, False)


def test_console_finds_back_after_the_server_was_killed(operator: Operator, server: Server) -> None:
    """The console reports an absent server, polls less often, and resumes when it is back."""
    visitor, page = operator.visitor, operator.visitor.page
    visitor.refusals.add(0)
    expect(page.locator("#live-text")).to_have_text("Live")
    server.kill()
    expect(page.locator("#live-text")).to_contain_text("Connection lost")
    visitor.check("console-lost")
    server.start(HOLDFAST_HTTP__PORT=server.url.rpartition(":")[2])
    expect(page.locator("#live-text")).to_have_text("Live", timeout=40_000)
    expect(page.get_by_role("status").last).to_have_text("The server has been restarted.")
    expect(page.locator(".tree .badge").first).to_contain_text("ready")


def test_rules_in_sight_are_those_in_force(operator: Operator) -> None:
    """When the server comes back with other rules, the rules on display are redrawn."""
    visitor, page = operator.visitor, operator.visitor.page
    visitor.open("Rules")
    page.get_by_role("link", name="Woodcutter").click()
    expect(page.locator(".sheet-title")).to_have_text("Woodcutter")

    def change(route: Route) -> None:
        answer = route.fetch().json()
        if route.request.url.endswith("/status"):
            answer["world"]["ruleset"]["version"] = "another"
        else:
            answer["version"] = "another"
            answer["buildings"]["woodcutter"]["title"] = "Lumberjack"
        route.fulfill(json=answer)

    page.route("**/v1/ruleset", change)
    page.route("**/v1/admin/status", change)
    expect(page.locator(".sheet-title")).to_have_text("Lumberjack")
    expect(page.locator(".facts-panel code")).to_have_text("another")
    page.unroute_all(behavior="ignoreErrors")
