"""The documentation page and the dashboard name exactly the metrics that exist."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import promql_parser
import pytest
import trio

from tests.app.metrics.support import Scrape, running

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "metrics.md"
DASHBOARD = ROOT / "deploy" / "grafana" / "holdfast.json"
TARGET_LABELS = {"job", "instance"}
"""The labels that Prometheus itself puts on every series."""
OF_PROMETHEUS = {"up"}
"""The series that Prometheus itself makes for every target."""


@pytest.fixture
async def scrape(database_dsn: str, request: pytest.FixtureRequest) -> Scrape:
    """Read the metrics of a real server that has been played on."""
    async with running(database_dsn) as server:
        player = await server.sign_up(re.sub(r"\W", "", request.node.name)[-30:])
        assert (await player.order("k1")).status_code == 201
        await server.scrape()
        found = await server.scrape()
        while "holdfast_database_bytes" not in found.text:
            # The first measurement of the database is a task of the server.
            await trio.sleep(0.01)
            found = await server.scrape()
        return found


def exposed(scrape: Scrape) -> dict[str, set[str]]:
    """Return the families of the exposition, with the labels of their samples."""
    names = re.findall(r"^# TYPE (\S+)", scrape.text, re.MULTILINE)
    labels = scrape.labels()
    return {
        name: (labels.get(name) or labels.get(f"{name}_count") or set[str]()) - {"le"}
        for name in names
    }


def documented() -> dict[str, set[str]]:
    """Return the metrics of the page's tables, with their labels."""
    row = r"^\| `([a-z_]+)` \|([^|]*)\| ([^|]+) \| ([^|]+) \|$"
    rows = re.findall(row, PAGE.read_text(), re.MULTILINE)
    assert all(meaning and question for _, _, meaning, question in rows)
    return {name: set(re.findall(r"`(\w+)`", labels)) for name, labels, _, _ in rows}


def dashboard() -> dict[str, Any]:
    """Read the dashboard."""
    loaded: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return loaded


def expressions() -> list[str]:
    """Return every expression of dashboard and page, with Grafana's variables filled in."""
    board = dashboard()
    found = [t["expr"] for panel in board["panels"] for t in panel.get("targets", [])]
    found += [annotation["expr"] for annotation in board["annotations"]["list"]]
    [block] = re.findall(r"```promql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    found += [line.partition("#")[0].strip() for line in block.splitlines()]
    return [
        e.replace("$__rate_interval", "1m").replace("$job", "a").replace("$instance", "b")
        for e in found
    ]


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Return each metric that an expression names, with the labels it uses."""
    found: list[tuple[str, set[str]]] = []
    grouped: set[str] = set()

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append((node.name or "", {m.name for m in node.matchers.matchers}))
        elif isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            grouped.update(node.modifier.labels)

    promql_parser.walk(promql_parser.parse(expression), visit)
    for name, labels in found:
        yield name, labels | grouped


async def test_page_documents_every_metric_and_its_labels(scrape: Scrape) -> None:
    """Each family that a server exposes is in one table of the page, and nothing else is."""
    told = documented()
    if not sys.platform.startswith("linux"):
        told = {name: labels for name, labels in told.items() if not name.startswith("process_")}
    assert told == exposed(scrape)


async def test_dashboard_names_only_metrics_that_exist(scrape: Scrape) -> None:
    """Each expression is PromQL, over series that a server exposes, by labels they have."""
    known = {**scrape.labels(), **{name: set[str]() for name in OF_PROMETHEUS}}
    missing: list[str] = []
    for expression in expressions():
        for name, labels in selectors(expression):
            if not labels <= known.get(name, set[str]()) | TARGET_LABELS or name not in known:
                missing.append(f"{name} {sorted(labels)} in {expression}")
    assert missing == []


async def test_dashboard_shows_every_metric_of_the_program(scrape: Scrape) -> None:
    """Every metric of the program is shown somewhere."""
    shown = {name for expression in expressions() for name, _ in selectors(expression)}
    families = {name for name in exposed(scrape) if name.startswith("holdfast_")}
    assert {name for name in families if not any(each.startswith(name) for each in shown)} == set()


def test_page_wakes_somebody_for_a_server_that_is_gone() -> None:
    """Its own series are gone with it: one alert asks Prometheus, by the page's job."""
    [job] = re.findall(r"job_name: (\S+)", PAGE.read_text())
    assert f'up{{job="{job}"}} == 0' in expressions()


def test_page_wakes_somebody_for_a_server_that_ends_again_and_again() -> None:
    """It is back before the next scrape with its counters reset: only its start time shows it."""
    [job] = re.findall(r"job_name: (\S+)", PAGE.read_text())
    assert f'changes(process_start_time_seconds{{job="{job}"}}[1h]) > 3' in expressions()


def test_page_wakes_somebody_when_nobody_can_log_in() -> None:
    """A full disk may refuse sessions while the world's writes still have room."""
    assert 'sum(rate(holdfast_logins_total{outcome="failed"}[5m])) > 0' in expressions()


def test_dashboard_is_laid_out() -> None:
    """Panels have unique ids, titles and units, and do not overlap."""
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert panel["title"]
        assert place["x"] + place["w"] <= 24
        assert not cells & taken
        taken |= cells
        if panel["type"] != "row":
            assert panel["fieldConfig"]["defaults"]["unit"]


def test_dashboard_asks_the_data_source_that_is_chosen() -> None:
    """Nothing in it is bound to the data source of one Grafana."""
    text = DASHBOARD.read_text()
    assert set(re.findall(r'"uid": "([^"]+)"', text)) == {"${datasource}", "holdfast"}


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("rate(x_total[1m])", [("x_total", set[str]())]),
        ('sum by (a) (x{b="1"}) / y', [("x", {"a", "b"}), ("y", {"a"})]),
        ("histogram_quantile(0.9, sum by (le) (rate(x_bucket[1m])))", [("x_bucket", {"le"})]),
    ],
)
def test_selectors_are_found_wherever_they_stand(
    expression: str, found: list[tuple[str, set[str]]]
) -> None:
    """The tests above see through functions, operators and groupings."""
    assert list(selectors(expression)) == found
