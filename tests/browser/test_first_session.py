"""The whole first session of a new player; test_rulesets has the other sizes and colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.visitor import Visitor
    from tests.e2e.server import Server


@pytest.mark.parametrize(("size", "scheme"), [("phone", "light"), ("desktop", "dark")])
def test_page_carries_a_first_session(
    world: Callable[[str], Server], visit: Callable[..., Visitor], size: str, scheme: str
) -> None:
    """A new player signs up, builds, sees it finish, cancels, reads the ledger, signs out."""
    visitor = visit(world("tutorial").url, size=size, scheme=scheme)
    page, look = visitor.page, f"tutorial-{size}-{scheme}"
    visitor.check(f"{look}-gate")
    visitor.sign_up()
    expect(page.get_by_role("heading", level=1, name="Buildings")).to_be_focused()
    expect(visitor.card("woodcutter")).to_contain_text("Cottage level 1")

    visitor.order("cottage")
    expect(page.get_by_role("progressbar", name="Progress of Cottage, level 1")).to_be_visible()
    visitor.check(f"{look}-building")
    expect(page.get_by_role("status")).to_have_text("Finished: Cottage, level 1.")
    expect(visitor.card("cottage")).to_contain_text("Level 1 of 20")

    visitor.order("woodcutter")
    page.get_by_role("button", name="Cancel Woodcutter, level 1").click()
    page.get_by_role("button", name="Yes, cancel").click()
    expect(page.get_by_role("status")).to_have_text("Cancelled: Woodcutter, level 1.")
    expect(page.get_by_role("heading", name="Construction site")).to_be_focused()

    for section in ("Research", "Units", "Transfers", "Ledger"):
        visitor.open(section)
        visitor.check(f"{look}-{section.lower()}")
    expect(page.locator(".ledger tbody tr").last).to_contain_text("A new beginning")
    expect(page.locator(".ledger")).to_contain_text("Cancelled")

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Name", exact=True)).to_be_focused()


def test_page_counts_on_between_events(
    world: Callable[[str], Server], visit: Callable[..., Visitor]
) -> None:
    """Stocks rise on the page without requests, and never beyond the server's values."""
    visitor = visit(world("tutorial").url)
    visitor.sign_up()
    before = visitor.amount("Wood")
    visitor.page.route("**/v1/inventory", lambda route: route.abort())
    visitor.refusals.add(0)
    expect(visitor.page.locator(".stock").first.locator(".amount")).not_to_have_text(str(before))
    seen = visitor.amount("Wood")
    visitor.page.unroute("**/v1/inventory")
    visitor.page.reload()
    visitor.page.wait_for_selector(".game")
    assert before < seen <= visitor.amount("Wood")


def test_sign_of_a_duration_needs_no_font(
    world: Callable[[str], Server], visit: Callable[..., Visitor]
) -> None:
    """Durations are marked by a drawing, not by a character."""
    visitor = visit(world("tutorial").url)
    visitor.sign_up()
    time = visitor.card("cottage").locator(".time")
    expect(time.locator("svg")).to_be_visible()
    assert time.evaluate("(node) => getComputedStyle(node, '::before').content") == "none"
