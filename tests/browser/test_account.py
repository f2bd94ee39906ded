"""A player's own account on the page: password, sessions and erasure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.operator import Api
from tests.browser.visitor import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.visitor import Visitor
    from tests.e2e.server import Server

OTHER = "another good password"


@pytest.fixture
def visitor(server: Server, visit: Callable[..., Visitor]) -> Visitor:
    """Return a player with their account open."""
    visitor = visit(server.url)
    visitor.sign_up()
    open_account(visitor)
    return visitor


def open_account(visitor: Visitor) -> None:
    """Open the account through the name in the header."""
    visitor.page.locator("#who").click()
    expect(visitor.page.get_by_role("heading", level=1, name="Account")).to_be_focused()
    expect(visitor.page.locator(".sessions tbody tr")).not_to_have_count(0)


def login(server: Server, name: str, password: str) -> int:
    """Try to log in; return the status."""
    credentials = {"username": name, "password": password}
    return httpx.post(f"{server.url}/v1/sessions", json=credentials).status_code


@pytest.mark.parametrize(("size", "scheme"), [("phone", "dark"), ("desktop", "light")])
def test_account_is_sound(
    server: Server, visit: Callable[..., Visitor], size: str, scheme: str
) -> None:
    """The account and the confirmation of its erasure fit the window and are accessible."""
    visitor = visit(server.url, size=size, scheme=scheme)
    visitor.sign_up()
    open_account(visitor)
    visitor.check(f"account-{size}-{scheme}")
    visitor.page.get_by_role("button", name="Erase account\u2026").click()
    visitor.check(f"account-{size}-{scheme}-erase")


def test_password_change_ends_every_other_session(visitor: Visitor, server: Server) -> None:
    """The new password works, the old one does not, and only this session continues."""
    visitor.refusals.add(401)
    other, page = Api(server.url, visitor.name), visitor.page
    page.get_by_label("Current password", exact=True).fill(OTHER)
    page.get_by_label("New password", exact=True).fill(OTHER)
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("alert").last).to_have_text("The current password is wrong.")
    page.get_by_label("Current password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("status")).to_contain_text("Your password is changed.")
    expect(page.locator(".sessions tbody tr")).to_have_count(1)
    assert other.status_of("/v1/accounts/me") == 401
    assert login(server, visitor.name, PASSWORD) == 401
    assert login(server, visitor.name, OTHER) == 201


@pytest.mark.parametrize("gone", [False, True])
def test_player_ends_one_session(server: Server, visit: Callable[..., Visitor], gone: bool) -> None:
    """A lost phone's session is ended, even if it has ended already; this one continues."""
    visitor = visit(server.url, size="phone")
    visitor.sign_up()
    lost, page = Api(server.url, visitor.name), visitor.page
    open_account(visitor)
    expect(page.locator(".sessions tbody tr")).to_have_count(2)
    if gone:
        visitor.refusals.add(404)
        assert lost.delete("/v1/sessions/current") == 204
    # This session has no such button: signing out ends it.
    page.get_by_role("button", name="End the session of").click()
    dialog = page.get_by_role("dialog")
    visitor.check(f"account-end-session-{gone}")
    dialog.get_by_role("button", name="End session").click()
    expect(page.get_by_role("status").last).to_have_text("The session has ended.")
    expect(page.locator(".sessions tbody tr")).to_have_count(1)
    expect(page.get_by_role("button", name="Sign out everywhere")).to_be_focused()
    assert lost.status_of("/v1/accounts/me") == 401
    assert Api(server.url, visitor.name).status_of("/v1/accounts/me") == 200


def test_player_signs_out_everywhere(visitor: Visitor, server: Server) -> None:
    """Every session ends, including this one."""
    other, page = Api(server.url, visitor.name), visitor.page
    page.get_by_role("button", name="Sign out everywhere").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Sign out everywhere").click()
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    assert other.status_of("/v1/accounts/me") == 401


def test_player_erases_the_account(visitor: Visitor, server: Server) -> None:
    """A wrong password erases nothing; after the right one signing in fails."""
    visitor.refusals.add(401)
    page = visitor.page
    page.get_by_role("button", name="Erase account\u2026").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Nobody can bring them back")
    dialog.get_by_label("Your password", exact=True).fill(OTHER)
    dialog.get_by_role("button", name="Erase for good").click()
    expect(dialog.get_by_role("alert")).to_have_text("This is not your password.")
    dialog.get_by_label("Your password", exact=True).fill(PASSWORD)
    dialog.get_by_role("button", name="Erase for good").click()
    expect(page.get_by_role("status").last).to_have_text("Your account is erased.")
    assert login(server, visitor.name, PASSWORD) == 401
