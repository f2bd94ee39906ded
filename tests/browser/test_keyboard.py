"""Without a mouse: everything can be reached, is seen when reached, and works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.visitor import PASSWORD

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


def tab_to(page: Page, wanted: str) -> None:
    """Press Tab until the focus is on something of this name; each stop must be visible."""
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
    """Signing up, ordering, cancelling, changing the section and the colours need keys alone."""
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


def test_skip_link_leads_to_the_content(
    world: Callable[[str], Server], visit: Callable[..., Visitor]
) -> None:
    """The first stop leads past the header."""
    page = visit(world("tutorial").url).page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
