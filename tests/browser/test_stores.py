"""Instances of a building, and how many units can be ordered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.operator import Api, make_operator

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.visitor import Visitor
    from tests.e2e.server import Server

STORES = Path(__file__).parent / "stores.toml"


@pytest.fixture
def stores(world: Callable[[str], Server]) -> Server:
    """Give the server of a world with stores."""
    return world(str(STORES))


def grant(server: Server, account: Api, **changes: int) -> str:
    """Let an operator change what an account has; give the operator's name."""
    name = make_operator(server)
    body = {"changes": changes, "reason": "to see it"}
    path = f"/v1/admin/accounts/{account.account_id}/grants"
    assert Api(server.url, name).post(path, body).status_code == 201
    return name


def test_card_tells_of_the_instance_that_is_chosen(
    stores: Server, visit: Callable[..., Visitor]
) -> None:
    """Level, orders and button are those of the instance that the card names, from the first."""
    visitor = visit(stores.url)
    account = Api.join(stores.url, visitor.name)
    grant(stores, account, **{"vat:1": 2})
    assert account.post("/v1/inventory/orders", {"asset": "vat:1"}).status_code == 201
    visitor.sign_in()
    card = visitor.card("vat")
    expect(card.locator("button.primary")).to_have_text("Build level 1")
    expect(card.locator(".stand")).to_have_text("Vat 2: not built yet")
    expect(card).not_to_have_attribute("data-busy", "")
    card.locator("label", has_text="Vat 1, level 2").click()
    expect(card.locator(".stand")).to_have_text("Vat 1: level 2 of 5 · level 3 ordered")
    expect(card).to_have_attribute("data-busy", "")


def test_prerequisites_are_no_names_of_instances(
    stores: Server, visit: Callable[..., Visitor]
) -> None:
    """What is needed first is told with the word level, or by how many."""
    visitor = visit(stores.url)
    visitor.sign_up()
    needs = visitor.card("pump").locator(".needs li > span:nth-child(2)")
    expect(needs).to_have_text(["Vat level 2", "3 \u00d7 Barge"])


def test_no_more_units_are_offered_than_one_order_may_be_for(
    stores: Server, visit: Callable[..., Visitor]
) -> None:
    """Units that add room come two thousand at a time, however many can be paid."""
    visitor = visit(stores.url)
    visitor.sign_up()
    visitor.open("Units")
    card = visitor.card("barge")
    most = card.get_by_role("button", name="As many Barge as can be paid")
    expect(most).to_have_text("Max 2,000")
    count = visitor.page.get_by_label("How many Barge")
    expect(count).to_have_attribute("max", "2000")
    most.click()
    expect(count).to_have_value("2000")
    count.fill("5000")
    visitor.order("barge")
    expect(visitor.page.locator(".order-name").last).to_have_text("2,000 \u00d7 Barge")
    expect(card.locator(".refusal")).to_have_text("")
    feeder = visitor.card("feeder").get_by_role("button", name="As many Feeder as can be paid")
    expect(feeder).to_have_text("Max 9,800")
