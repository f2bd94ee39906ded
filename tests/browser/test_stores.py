"""Stocks between two answers, instances of a building, and the units that can be ordered."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.browser.operator import Api, Operator, make_operator

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.visitor import Visitor
    from tests.e2e.server import Server

STORES = Path(__file__).parent / "stores.toml"

COUNT = """
async ([stock, seconds]) => {
  const { src } = document.querySelector("script[type=module]");
  const { Model } = await import(new URL("model.js", src));
  const none = { resources: { algae: {} }, buildings: {}, technologies: {}, units: {} };
  const model = new Model({}, none);
  const inventory = { ...none, at: "2026-03-01T12:00:00Z", version: 1, balances: {}, orders: [] };
  model.take({ ...inventory, resources: { algae: stock } }, performance.now() - seconds * 1000);
  return [model.amount("algae"), model.held("algae")];
}
"""


@pytest.fixture
def stores(world: Callable[[str], Server]) -> Server:
    """Return the server of a world with stores."""
    return world(str(STORES))


def grant(server: Server, account: Api, **changes: int) -> str:
    """Change an account's assets as an operator; return the operator's name."""
    name = make_operator(server)
    body = {"changes": changes, "reason": "to see it"}
    path = f"/v1/admin/accounts/{account.account_id}/grants"
    assert Api(server.url, name).post(path, body).status_code == 201
    return name


@pytest.mark.parametrize(
    ("stock", "seconds", "expected"),
    [
        ({"amount": 100, "per_hour": 3600, "capacity": 250}, 200, [250, 0]),
        ({"amount": 300, "per_hour": 3600, "capacity": 250}, 200, [300, 0]),
        ({"amount": 100, "per_hour": 3600, "capacity": None}, 200, [300, 0]),
        ({"amount": 100, "per_hour": -3600, "capacity": 250}, 200, [0, 0]),
        ({"amount": 250, "per_hour": 0, "capacity": 250, "held": 110}, 100, [250, 110]),
        ({"amount": 250, "per_hour": 3600, "capacity": 250, "held": 110}, 100, [250, 110]),
        ({"amount": 250, "per_hour": -3600, "capacity": 250, "held": 110}, 100, [250, 10]),
        ({"amount": 250, "per_hour": -3600, "capacity": 250, "held": 110}, 200, [160, 0]),
        ({"amount": 250, "per_hour": -3600, "capacity": 250, "held": 110}, 400, [0, 0]),
        ({"amount": 300, "per_hour": -3600, "capacity": 250, "held": 110}, 20, [280, 110]),
        ({"amount": 300, "per_hour": -3600, "capacity": 250, "held": 110}, 100, [250, 60]),
    ],
)
def test_stock_is_counted_on_as_the_server_counts(
    stores: Server,
    visit: Callable[..., Visitor],
    stock: dict[str, Any],
    seconds: int,
    expected: list[int],
) -> None:
    """Stock above capacity stays; held goods are used up before the stock falls below capacity."""
    page = visit(stores.url).page
    # Half a second after the last whole unit, so that the test's own delay does not matter.
    late = seconds + (0.5 if stock["per_hour"] > 0 else -0.5)
    assert page.evaluate(COUNT, [stock, late]) == expected


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_held_goods_are_shown_and_used_up_first(
    stores: Server, visit: Callable[..., Visitor], size: str
) -> None:
    """Goods waiting for room are shown beside the stock, which falls only once none wait."""
    visitor = visit(stores.url, size=size)
    visitor.sign_up()
    stock = visitor.page.locator(".stock", has_text="Algae")
    held = stock.locator(".held")
    expect(held).to_be_hidden()
    giver = Api.join(stores.url, f"g{uuid.uuid4().hex[:8]}")
    sent = giver.post("/v1/transfers", {"to": visitor.name, "resources": {"algae": 9}})
    assert sent.status_code == 201, sent.text
    expect(held).to_have_text("+9 held")
    expect(stock.locator(".state")).to_have_text("full")
    visitor.check(f"stores-{size}-held")
    grant(stores, Api(stores.url, visitor.name), feeder=1)
    expect(held).to_have_text(re.compile(r"\+[1-7] held"))
    assert visitor.amount("Algae") == 250
    expect(held).to_be_hidden()
    expect(stock.locator(".amount")).to_have_text(re.compile(r"2[0-4]\d"))


def test_held_goods_are_shown_at_the_console(stores: Server, visit: Callable[..., Visitor]) -> None:
    """An operator sees the goods waiting for room, too."""
    giver, receiver = (Api.join(stores.url, f"g{uuid.uuid4().hex[:8]}") for _ in range(2))
    name = receiver.get("/v1/accounts/me")["username"]
    assert giver.post("/v1/transfers", {"to": name, "resources": {"algae": 9}}).status_code == 201
    operator = Operator(visit(f"{stores.url}/console"))
    operator.enter(make_operator(stores))
    operator.open_account(name)
    row = operator.visitor.page.get_by_role("region", name="Resources").get_by_role("row")
    expect(row.filter(has_text="Algae")).to_contain_text("250 + 9 held")


def test_card_tells_of_the_instance_that_is_chosen(
    stores: Server, visit: Callable[..., Visitor]
) -> None:
    """Level, orders and button always belong to the instance that the card names."""
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
    """Prerequisites are written with the word level, or as a count."""
    visitor = visit(stores.url)
    visitor.sign_up()
    needs = visitor.card("pump").locator(".needs li > span:nth-child(2)")
    expect(needs).to_have_text(["Vat level 2", "3 \u00d7 Barge"])


def test_prerequisites_at_the_console_are_no_names_of_instances(
    stores: Server, visit: Callable[..., Visitor]
) -> None:
    """The console uses the same words."""
    operator = Operator(visit(f"{stores.url}/console"))
    operator.enter(make_operator(stores))
    operator.visitor.open("Rules")
    page = operator.visitor.page
    page.get_by_role("navigation", name="Assets").get_by_role("link", name="Pump").click()
    sheet = page.get_by_role("region", name="Pump", exact=True)
    expect(sheet).to_contain_text("needs Vat level 2, 3 \u00d7 Barge")


def test_no_more_units_are_offered_than_one_order_may_be_for(
    stores: Server, visit: Callable[..., Visitor]
) -> None:
    """At most two thousand units that add room fit one order, however many are affordable."""
    visitor = visit(stores.url)
    visitor.sign_up()
    visitor.open("Units")
    card = visitor.card("barge")
    most = card.get_by_role("button", name="As many Barge as you can afford")
    expect(most).to_have_text("Max 2,000")
    count = visitor.page.get_by_label("How many Barge")
    expect(count).to_have_attribute("max", "2000")
    most.click()
    expect(count).to_have_value("2000")
    count.fill("5000")
    visitor.order("barge")
    expect(visitor.page.locator(".order-name").last).to_have_text("2,000 \u00d7 Barge")
    expect(card.locator(".refusal")).to_have_text("")
    feeder = visitor.card("feeder").get_by_role("button", name="As many Feeder as you can afford")
    expect(feeder).to_have_text("Max 9,800")
