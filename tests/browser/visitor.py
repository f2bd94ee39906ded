"""A visitor to the page: their actions, and the faults that the browser finds."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page

PASSWORD = "correct horse battery"
TIMEOUT_MS = 15_000
SIZES = {"phone": (360, 740), "desktop": (1280, 860)}

PICTURES = os.environ.get("HOLDFAST_PICTURES")
"""Where to save screenshots; none are taken if it is not set."""


@dataclass
class Visitor:
    """One window with its own session; ``refusals`` are the expected statuses."""

    context: BrowserContext
    page: Page
    name: str
    refusals: set[int] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    @classmethod
    def arrive(cls, browser: Browser, url: str, *, size: str, scheme: str) -> Visitor:
        """Open the page in a window of that size and colour scheme."""
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            has_touch=size == "phone",
            # So that no check or screenshot catches an animation halfway.
            reduced_motion="reduce",
        )
        context.set_default_timeout(TIMEOUT_MS)
        expect.set_options(timeout=TIMEOUT_MS)
        page = context.new_page()
        visitor = cls(context, page, f"v{uuid.uuid4().hex[:10]}")
        page.on("console", visitor._console)
        page.on("pageerror", lambda error: visitor.faults.append(str(error)))
        page.goto(url)
        page.wait_for_selector("form.entry")
        return visitor

    def _console(self, message: ConsoleMessage) -> None:
        if message.type not in {"error", "warning"}:
            return
        text = message.text
        # The browser reports every refused request; those that a test provokes are not faults.
        if any(f"status of {status}" in text for status in self.refusals):
            return
        if 0 in self.refusals and "net::ERR" in text:
            return
        self.faults.append(text)

    def leave(self) -> None:
        """Close the window; nothing unexpected may have been reported."""
        self.context.close()
        assert self.faults == []

    # ----------------------------------------------------------------- doing

    def sign_up(self) -> None:
        """Create an account and enter the world."""
        self.page.fill("#username", self.name)
        self.page.fill("#password", PASSWORD)
        self.page.click("form.entry button[type=submit]")
        self.page.wait_for_selector(".game")

    def sign_in(self) -> None:
        """Enter the world again."""
        self.page.get_by_role("radio", name="Sign in").check(force=True)
        self.page.fill("#username", self.name)
        self.page.fill("#password", PASSWORD)
        self.page.click("form.entry button[type=submit]")
        self.page.wait_for_selector(".game")

    def open(self, section: str) -> None:
        """Go to a section by its link."""
        self.page.get_by_role("navigation", name="Sections").get_by_role(
            "link", name=section
        ).click()
        heading = self.page.get_by_role("heading", level=1, name=section)
        expect(heading).to_be_focused()

    def card(self, asset: str) -> Locator:
        """Find the card of an asset."""
        return self.page.locator(f'article[data-asset="{asset}"]')

    def order(self, asset: str) -> None:
        """Press the button of an asset's card as soon as the price is there."""
        self.card(asset).locator("button.primary[data-ready]:not([aria-busy=true])").click()

    def amount(self, resource: str) -> int:
        """Read a stock."""
        stock = self.page.locator(".stock", has_text=resource).locator(".amount")
        return int((stock.text_content() or "").replace(",", ""))

    # --------------------------------------------------------------- judging

    def check(self, what: str) -> None:
        """Check that a view is accessible and nothing overflows; take a screenshot."""
        self.picture(what)
        found = Axe().run(self.page, options={"resultTypes": ["violations"]})
        assert _told(found.response["violations"]) == []
        too_wide = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert too_wide <= 0, f"{what} is {too_wide} pixels too wide"

    def check_in_both_colours(self, size: str, what: str) -> None:
        """Check a view in light colours, then in dark only what colours can affect."""
        self.page.emulate_media(color_scheme="light", reduced_motion="reduce")
        self.check(f"console-{size}-light-{what}")
        self.page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        self.picture(f"console-{size}-dark-{what}")
        only = {"resultTypes": ["violations"], "runOnly": ["color-contrast"]}
        assert _told(Axe().run(self.page, options=only).response["violations"]) == []

    def picture(self, what: str) -> None:
        """Save a screenshot, if screenshots are wanted."""
        if PICTURES:
            self.page.screenshot(path=Path(PICTURES) / f"{what}.png")


def _told(violations: list[dict[str, Any]]) -> list[str]:
    return [
        f"{violation['id']}: {json.dumps(node['target'])} {node.get('failureSummary', '')}"
        for violation in violations
        for node in violation["nodes"]
    ]
