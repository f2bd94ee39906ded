"""Long queues leave room for the content below them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.operator import Api, make_operator

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.visitor import Visitor
    from tests.e2e.server import Server

SHOWN = 5
QUEUED = 6


def full_queue(server: Server, visitor: Visitor) -> None:
    """Give the visitor more queued orders than are shown at once."""
    api, operator = Api(server.url, visitor.name), Api(server.url, make_operator(server))
    changes = {"wood": 1_000_000, "gold": 1_000_000, "market": 1}
    grant = {"changes": changes, "reason": "to order"}
    granted = operator.post(f"/v1/admin/accounts/{api.account_id}/grants", grant)
    assert granted.status_code == 201, granted.text
    for _ in range(QUEUED):
        order = api.post("/v1/inventory/orders", {"asset": "scout", "count": 100})
        assert order.status_code == 201, order.text


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_long_queue_is_folded_above_the_content(
    server: Server, visit: Callable[..., Visitor], size: str
) -> None:
    """A phone shows five orders until asked for all; beside the content all are shown."""
    visitor = visit(server.url, size=size)
    visitor.sign_up()
    full_queue(server, visitor)
    page = visitor.page
    rows = page.locator(".order:visible")
    fold = page.get_by_role("button", name="Show all 6")
    if size == "desktop":
        expect(rows).to_have_count(QUEUED)
        expect(fold).to_be_hidden()
        return
    expect(fold).to_be_visible()
    expect(rows).to_have_count(SHOWN)
    visitor.check("queue-folded")
    fold.click()
    expect(rows).to_have_count(QUEUED)
    page.get_by_role("button", name="Show fewer").click()
    expect(rows).to_have_count(SHOWN)
    expect(fold).to_be_focused()
