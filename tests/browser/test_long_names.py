"""The longest and widest names that players and rules may have fit every view."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.operator import Api, Operator, make_operator

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.visitor import Visitor
    from tests.e2e.server import Server

NAME_LENGTH_MAX = 32
WIDE = Path(__file__).parent / "wide.toml"

STICKING_OUT = """() => [...document.querySelectorAll('body *')]
    .filter((node) => !node.closest('.sr, .scroll, .level-table'))
    .filter((node) => node.getBoundingClientRect().right > innerWidth + 1)
    .map((node) => `${node.tagName} ${node.className} ${node.textContent.slice(0, 40)}`)"""


def wide_name() -> str:
    """Make a name of the widest letter, with just enough others to be unique."""
    return uuid.uuid4().hex[:6].ljust(NAME_LENGTH_MAX, "W")


def check(visitor: Visitor, what: str) -> None:
    """Check a view, and that nothing is cut off at its edge."""
    visitor.check(what)
    assert visitor.page.evaluate(STICKING_OUT) == []


def test_long_name_fits_the_page_to_play(server: Server, visit: Callable[..., Visitor]) -> None:
    """Header, transfers, and the account with its dialogs stay within the window."""
    visitor = visit(server.url, size="phone")
    visitor.name = wide_name()
    visitor.sign_up()
    other = wide_name()
    Api.join(server.url, other)
    check(visitor, "long-name-buildings")
    visitor.open("Transfers")
    visitor.page.get_by_label("To", exact=True).fill(other)
    visitor.page.get_by_label("Wood").fill("7")
    visitor.page.get_by_role("button", name="Send", exact=True).click()
    expect(visitor.page.locator(".transfers li").first).to_contain_text(other)
    check(visitor, "long-name-transfers")
    visitor.page.locator("#who").click()
    expect(visitor.page.locator(".sessions tbody tr")).to_have_count(1)
    check(visitor, "long-name-account")
    visitor.page.get_by_role("button", name="Erase account\u2026").click()
    check(visitor, "long-name-erase")


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_long_name_fits_the_console(
    server: Server, visit: Callable[..., Visitor], size: str
) -> None:
    """Lists, an account, its dialogs and the audit log stay within the window."""
    operators, name = make_operator(server), wide_name()
    theirs = Api.join(server.url, name)
    operator = Operator(visit(f"{server.url}/console", size=size))
    visitor, page = operator.visitor, operator.visitor.page
    operator.enter(operators)
    operator.open_account(name)
    check(visitor, f"long-name-{size}-console-account")
    operator.ask_for("Suspend")
    check(visitor, f"long-name-{size}-console-suspend")
    operator.confirm("Suspend", "R" * 200)
    operator.expect_done(f"{name} is suspended.")
    check(visitor, f"long-name-{size}-console-suspended")
    visitor.open("Accounts")
    page.get_by_label("Name begins with").fill(name[:6])
    expect(page.locator(".accounts tbody tr")).to_have_count(1)
    check(visitor, f"long-name-{size}-console-accounts")
    visitor.open("Audit log")
    first = page.locator(".audit tbody tr").first
    expect(first).to_contain_text(name)
    check(visitor, f"long-name-{size}-console-audit")
    assert theirs.status_of("/v1/inventory") == 401


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_long_words_of_the_rules_fit(
    world: Callable[[str], Server], visit: Callable[..., Visitor], size: str
) -> None:
    """Long titles wrap where they must, and leave the buttons beside them within reach."""
    server = world(str(WIDE))
    visitor = visit(server.url, size=size)
    check(visitor, f"wide-{size}-gate")
    visitor.sign_up()
    for orders in (1, 2):
        visitor.order("mill")
        expect(visitor.page.locator(".order")).to_have_count(orders)
    for section in ("Buildings", "Transfers", "Ledger"):
        visitor.open(section)
        check(visitor, f"wide-{size}-{section.lower()}")
    cancel = visitor.page.locator(".order-actions button")
    cancel.last.click()
    check(visitor, f"wide-{size}-cancel")
    visitor.page.get_by_role("button", name="Yes, cancel").click()
    expect(cancel).to_have_count(1)
    operator = Operator(visit(f"{server.url}/console", size=size))
    operator.enter(make_operator(server))
    operator.visitor.open("Rules")
    expect(operator.visitor.page.get_by_label("Asset", exact=True)).to_be_attached()
    check(operator.visitor, f"wide-{size}-rules")
