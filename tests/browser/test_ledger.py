"""The ledger's table catches up, however far behind it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.operator import Api

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.visitor import Visitor
    from tests.e2e.server import Server

CHANGES = 12

FALL_BEHIND = """(size) => {
    const far = window.fetch;
    window.behind = true;
    window.fetch = (path, init) => {
        if (!path.includes('/ledger?')) return far(path, init);
        if (window.behind) return Promise.reject(new TypeError('no way to the server'));
        return far(path.replace('limit=100', `limit=${size}`), init);
    };
}"""


@pytest.mark.parametrize("page_size", [4, 1])
def test_ledger_catches_up_with_all_that_was_missed(
    world: Callable[[str], Server], visit: Callable[..., Visitor], page_size: int
) -> None:
    """More entries than fit a page are all read; a great many rebuild the table."""
    server = world("tutorial")
    visitor = visit(server.url)
    visitor.sign_up()
    visitor.open("Ledger")
    api, page = Api(server.url, visitor.name), visitor.page
    numbers = page.locator(".ledger tbody .seq")
    expect(numbers.last).to_have_text("1")
    page.evaluate(FALL_BEHIND, page_size)
    Api.join(server.url, f"to-{visitor.name}")
    body = {"to": f"to-{visitor.name}", "resources": {"wood": 1}}
    for _ in range(CHANGES):
        assert api.post("/v1/transfers", body).status_code == 201
    expect(page.locator(".ledger-box .refusal")).to_contain_text("cannot be reached")
    page.evaluate("window.behind = false")
    assert api.post("/v1/transfers", body).status_code == 201
    entries = api.get("/v1/inventory/ledger?limit=500")["entries"]
    last = max(entry["seq"] for entry in entries if entry["cause"] == "transfer-sent")
    expect(numbers.get_by_text(str(last), exact=True)).to_be_visible()
    shown = [int(each) for each in numbers.all_inner_texts()]
    assert shown == list(range(shown[0], shown[-1] - 1, -1))
