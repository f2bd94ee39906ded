"""Without a mouse everything can be reached, shows its focus, and works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.visitor import PASSWORD, TIMEOUT_MS

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.browser.visitor import Visitor
    from tests.e2e.server import Server

NAME_OF_FOCUS = """() => {
    const node = document.activeElement;
    const visible = node.matches('.sr, .switch input') || getComputedStyle(node).outlineStyle;
    return [node.getAttribute('aria-label') || node.id || node.textContent.trim(), visible];
}"""
STEPS_MAX = 40
REPEATS = 12


def tab_to(page: Page, wanted: str) -> None:
    """Press Tab until an element with this name has the focus; each stop must be visible."""
    for _ in range(STEPS_MAX):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(NAME_OF_FOCUS)
        assert outline != "none", f"nobody sees the focus on {name!r}"
        if name == wanted:
            return
    raise AssertionError(f"Tab does not lead to {wanted!r}")


def test_page_can_be_played_by_keyboard(
    world: Callable[[str], Server], visit: Callable[..., Visitor]
) -> None:
    """Signing up, ordering, cancelling and changing the section and colours need only keys."""
    visitor = visit(world("tutorial").url)
    page = visitor.page
    tab_to(page, "username")
    page.keyboard.type(visitor.name)
    tab_to(page, "password")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Buildings")).to_be_focused()

    tab_to(page, "Build level 1: Storehouse")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Ordered: Storehouse, level 1.")
    expect(page.get_by_role("button", name="Storehouse").last).to_be_focused()

    page.get_by_role("link", name="Buildings").focus()
    tab_to(page, "Cancel Storehouse, level 1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Yes, cancel")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Construction site")).to_be_focused()

    page.get_by_role("link", name="Holdfast").focus()
    tab_to(page, "Dark colours")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Dark colours")).to_have_attribute(
        "aria-pressed", "true"
    )
    tab_to(page, "Ledger")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Ledger")).to_be_focused()


def hold_enter(page: Page) -> None:
    """Hold Enter until the keyboard has repeated it a few times."""
    for _ in range(REPEATS):
        page.keyboard.down("Enter")
        page.wait_for_timeout(50)
    page.keyboard.up("Enter")


def test_enter_that_is_held_presses_once(server: Server, visit: Callable[..., Visitor]) -> None:
    """One order is placed, no confirmation is given, and one password is tried."""
    visitor = visit(server.url)
    visitor.refusals.add(401)
    visitor.sign_up()
    page = visitor.page
    sent: list[str] = []
    page.on("request", lambda request: request.method == "GET" or sent.append(request.method))
    visitor.card("storehouse").locator("button.primary[data-ready]").focus()
    hold_enter(page)
    cancel = page.get_by_role("button", name="Cancel Storehouse, level 1")
    expect(cancel).to_be_visible()
    assert sent == ["POST"]

    cancel.focus()
    sent.clear()
    hold_enter(page)
    expect(page.get_by_role("button", name="Yes, cancel")).to_be_focused()
    assert sent == []

    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("radio", name="Sign in").check(force=True)
    page.fill("#username", visitor.name)
    page.fill("#password", f"not {PASSWORD}")
    sent.clear()
    hold_enter(page)
    alert = page.get_by_role("alert")
    expect(alert).to_have_text("Unknown name or wrong password.", timeout=TIMEOUT_MS)
    assert sent == ["POST"]


def test_skip_link_leads_to_the_content(
    world: Callable[[str], Server], visit: Callable[..., Visitor]
) -> None:
    """The first Tab stop skips the header."""
    page = visit(world("tutorial").url).page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
