"""The page is drawn from the ruleset alone: every shipped ruleset fits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.visitor import Visitor
    from tests.e2e.server import Server

UNUSUAL = Path(__file__).parent / "unusual.toml"
FIRST = {"travian": "woodcutter", "ogame": "solar_plant", "tutorial": "cottage"}


@pytest.mark.parametrize(("size", "scheme"), [("phone", "dark"), ("desktop", "light")])
@pytest.mark.parametrize("ruleset", FIRST)
def test_page_fits_the_ruleset(
    world: Callable[[str], Server],
    visit: Callable[..., Visitor],
    ruleset: str,
    size: str,
    scheme: str,
) -> None:
    """Every section of every shipped ruleset is drawn, fits the window and is accessible."""
    visitor = visit(world(ruleset).url, size=size, scheme=scheme)
    visitor.sign_up()
    visitor.order(FIRST[ruleset])
    expect(visitor.page.locator(".order")).to_have_count(1)
    links = visitor.page.get_by_role("navigation", name="Sections").get_by_role("link")
    for section in links.all_inner_texts():
        visitor.open(section)
        visitor.check(f"{ruleset}-{size}-{scheme}-{section.lower()}")


def test_page_groups_the_instances_of_a_building(
    world: Callable[[str], Server], visit: Callable[..., Visitor]
) -> None:
    """Four woodcutters share one card; the selected one is built."""
    visitor = visit(world("travian").url)
    visitor.sign_up()
    card = visitor.card("woodcutter")
    expect(card.get_by_role("radio")).to_have_count(4)
    card.locator("label", has_text="Woodcutter 3, level 0").click()
    visitor.order("woodcutter")
    expect(visitor.page.locator(".order-name")).to_have_text("Woodcutter 3, level 1")


@pytest.mark.parametrize(("size", "scheme"), [("phone", "light"), ("desktop", "dark")])
def test_page_fits_rules_unlike_the_shipped_ones(
    world: Callable[[str], Server], visit: Callable[..., Visitor], size: str, scheme: str
) -> None:
    """Many resources, large numbers, units from the start, no research and no transfers fit too."""
    visitor = visit(world(str(UNUSUAL)).url, size=size, scheme=scheme)
    visitor.sign_up()
    page = visitor.page
    expect(page.get_by_role("navigation", name="Sections").get_by_role("link")).to_have_text(
        ["Buildings", "Units", "Ledger"]
    )
    visitor.order("reading_room")
    visitor.check(f"unusual-{size}-{scheme}-buildings")
    visitor.open("Units")
    page.get_by_label("How many Scribe").fill("12")
    expect(visitor.card("scribe").locator(".prices")).to_contain_text("3M")
    visitor.order("scribe")
    expect(page.locator(".order-name").last).to_have_text("12 \u00d7 Scribe")
    visitor.check(f"unusual-{size}-{scheme}-units")
