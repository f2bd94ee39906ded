"""An operator at the console, and the API to check the effects of their actions."""

from __future__ import annotations

import re
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
from playwright.sync_api import expect

from tests.browser.visitor import PASSWORD, TIMEOUT_MS
from tests.e2e.server import run_command

if TYPE_CHECKING:
    from tests.browser.visitor import Visitor
    from tests.e2e.server import Server

SECTIONS = ("Overview", "Accounts", "Audit log", "Rules", "Events")


def make_operator(server: Server) -> str:
    """Make an operator's account with its command; return its name."""
    name = f"operator-{uuid.uuid4().hex[:8]}"
    command = ("accounts", "create", name, "--admin", "--password-stdin")
    done = run_command(server.directory, *command, stdin=f"{PASSWORD}\n", **server.settings)
    assert done.returncode == 0, done.stderr
    return name


def make_one_time_operator(server: Server) -> tuple[str, str]:
    """Make an operator's account with a one-time password; return name and password."""
    name = f"operator-{uuid.uuid4().hex[:8]}"
    command = ("accounts", "create", name, "--admin", "--one-time")
    done = run_command(server.directory, *command, **server.settings)
    assert done.returncode == 0, done.stderr
    found = re.search(r"one-time password: (\S+)", done.stdout)
    assert found is not None
    return name, found[1]


class Api:
    """The API as an operator calls it, beside the browser."""

    def __init__(self, url: str, name: str, password: str = PASSWORD) -> None:
        self._url = url
        self._headers: dict[str, str] = {}
        answer = self.post("/v1/sessions", {"username": name, "password": password})
        assert answer.status_code == 201, answer.text
        tokens = answer.json()
        self.account_id: str = tokens["account_id"]
        self._headers = {"Authorization": f"Bearer {tokens['access_token']}"}

    @classmethod
    def join(cls, url: str, name: str) -> Api:
        """Register a player and log in."""
        credentials = {"username": name, "password": PASSWORD}
        assert httpx.post(f"{url}/v1/accounts", json=credentials).status_code == 201
        return cls(url, name)

    def status_of(self, path: str) -> int:
        """Return the status of a GET."""
        return httpx.get(self._url + path, headers=self._headers).status_code

    def get(self, path: str) -> Any:
        """Return the body of a GET that must succeed."""
        answer = httpx.get(self._url + path, headers=self._headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: object) -> httpx.Response:
        """Send a command once."""
        headers = {**self._headers, "Idempotency-Key": uuid.uuid4().hex}
        return httpx.post(self._url + path, json=body, headers=headers)

    def delete(self, path: str) -> int:
        """Return the status of a DELETE without a body."""
        return httpx.delete(self._url + path, headers=self._headers).status_code

    def wait_for_level(self, building: str, level: int) -> None:
        """Wait until one of the player's buildings reaches the level."""
        deadline = time.monotonic() + TIMEOUT_MS / 1000
        while self.get("/v1/inventory")["buildings"].get(building, 0) < level:
            assert time.monotonic() < deadline, f"{building} does not rise to {level}"

    def last_audited(self) -> dict[str, Any]:
        """Return the latest entry of the audit log."""
        entry: dict[str, Any] = self.get("/v1/admin/audit?limit=1")["entries"][0]
        return entry


@dataclass(frozen=True)
class Operator:
    """A visitor at the console, who signs in as an operator."""

    visitor: Visitor

    def sign_in(self, name: str, password: str = PASSWORD) -> None:
        """Enter a name and a password, and submit them."""
        page = self.visitor.page
        page.fill("#username", name)
        page.fill("#password", password)
        page.click("form.entry button[type=submit]")

    def enter(self, name: str) -> None:
        """Sign in, and wait until the console shows the state of the server."""
        self.sign_in(name)
        expect(self.visitor.page.locator(".tree tbody tr").first).to_contain_text("holdfast")

    def open_account(self, name: str) -> None:
        """Find an account by name and open it."""
        page = self.visitor.page
        self.visitor.open("Accounts")
        page.get_by_label("Name begins with").fill(name)
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()
        expect(page.locator(".ledger tbody tr").first).to_be_visible()

    def ask_for(self, action: str) -> None:
        """Press the button of an action, which opens its dialog."""
        self.visitor.page.get_by_role("button", name=f"{action}\u2026", exact=True).click()
        expect(self.visitor.page.get_by_role("dialog")).to_be_visible()

    def confirm(self, action: str, reason: str) -> None:
        """Give the reason and confirm."""
        dialog = self.visitor.page.get_by_role("dialog")
        dialog.get_by_label("Reason").fill(reason)
        dialog.get_by_role("button", name=action, exact=True).click()

    def expect_done(self, words: str) -> None:
        """Wait until the dialog closes and the page reports what was done."""
        expect(self.visitor.page.get_by_role("dialog")).to_have_count(0)
        expect(self.visitor.page.locator(".done")).to_contain_text(words)
