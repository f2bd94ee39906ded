"""The documentation's lists are complete, and everything that it names exists."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from app.config.keys import all_keys
from app.http.catalogue import PROBLEM_KINDS
from app.http.exchange import Headers
from app.http.policy import Policy
from docs.hooks.commands import commands, commands_page
from docs.hooks.configuration import configuration_page
from docs.hooks.diagrams import inlined
from docs.hooks.outside import outside_page, relinked
from docs.hooks.reference import api_page, endpoints, problems_page
from tests.docs.pages import DOCS, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [*PAGES, *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"))]
MADE: dict[str, Callable[[], str]] = {
    "reference/api.md": api_page,
    "reference/problems.md": problems_page,
    "reference/configuration.md": configuration_page,
    "reference/commands.md": commands_page,
    "architecture.md": lambda: outside_page("ARCHITECTURE.md"),
    "changelog.md": lambda: outside_page("CHANGELOG.md"),
    "contributing.md": lambda: outside_page("CONTRIBUTING.md"),
}
"""The pages that the site's build generates, as in docs/hooks/site.py."""

FOLDERS = ("actors", "app", "bench", "bus", "deploy", "docs", "examples", "rulesets", "tests")
SERIOUS = {"warning", "error", "exception", "critical"}


def name(path: Path) -> str:
    """Return a file's path relative to the project's root."""
    return str(path.relative_to(ROOT))


def prose(text: str) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)


def test_reference_has_every_endpoint() -> None:
    """Each row of the table has a section in the page, which says who may call it."""
    page = api_page()
    for endpoint in endpoints():
        call = f"{endpoint.method} {endpoint.template}"
        section = page.partition(f"{{#{endpoint.name}}}\n\n```http\n{call}\n```\n")[2]
        assert section.partition("\n### ")[0].count("*Who:*") == 1, call


def test_reference_links_lead_somewhere() -> None:
    """Each anchor that a generated page links to, in itself or the other, exists."""
    made = {"api.md": api_page(), "problems.md": problems_page()}
    anchors = {page: set(re.findall(r"\{#([^}]+)\}", text)) for page, text in made.items()}
    for page, text in made.items():
        for target, anchor in re.findall(r"\]\(([a-z]+\.md)?#([^)]+)\)", text):
            assert anchor in anchors[target or page], f"{page}: {target}#{anchor}"


def test_reference_has_every_problem() -> None:
    """Each problem has a section that says what it means."""
    page = problems_page()
    for kind in PROBLEM_KINDS.values():
        assert f"## {kind.slug} {{#{kind.slug}}}" in page
        assert " ".join(kind.description.replace("``", "`").split()) in page


def test_reference_has_every_key_of_the_configuration() -> None:
    """Each key has a line, with its default and meaning."""
    page = configuration_page()
    for key in all_keys().values():
        [line] = [each for each in page.splitlines() if f'id="{key.path}"' in each]
        assert key.description.replace("|", "\\|") in line


def test_reference_has_every_command() -> None:
    """Each command, including those of groups, is listed with its own help."""
    page = commands_page()
    named = [called for called, context in commands() if context.parent is not None]
    assert {"holdfast serve", "holdfast rules check", "holdfast accounts create"} <= set(named)
    for called in named:
        assert f"{called} {{#{called.replace(' ', '-')}}}" in page


def test_readme_has_every_command() -> None:
    """Its table lists every command, those of a group with their group, and no others."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    told: set[str] = set()
    for cell in re.findall(r"^\| `holdfast ([^`]+)`", readme, re.MULTILINE):
        *group, first = cell.partition(" / ")[0].split()
        told |= {" ".join(["holdfast", *group, name]) for name in [first, *cell.split(" / ")[1:]]}
    groups = {called.rpartition(" ")[0] for called, _ in commands()}
    assert told == {called for called, _ in commands()} - groups


@pytest.mark.parametrize("start", [ROOT / "README.md", DOCS / "index.md"], ids=name)
def test_every_page_can_be_found_from_the_start(start: Path) -> None:
    """The README and the site's first page link to each page, directly or through one other."""
    seen, last = {start}, {start}
    for _ in range(2):
        last = {
            (page.parent / target.partition("#")[0]).resolve()
            for page in last
            for target in links(page.read_text(encoding="utf-8"))
            if target.partition("#")[0].endswith(".md")
        }
        last = {page for page in last if page.exists()} - seen
        seen |= last
    assert set(PAGES) - {DOCS / "index.md"} <= seen


def test_operators_guide_lists_every_action_of_the_audit_log() -> None:
    """Each action that is recorded has a row, and no other action has."""
    guide = (DOCS / "operate.md").read_text(encoding="utf-8")
    table = guide.partition("| `action` | what was done |")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    told = {action for cell in cells for action in re.findall(r"`([a-z-]+)`", cell)}
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "actors").rglob("*.py"))
    assert told == set(
        re.findall(r'"((?:account|assets|password|role|sessions|world)-[a-z]+)"', code)
    )


def test_guide_tells_what_to_do_about_every_status() -> None:
    """The guide's table has every status of a problem in exactly one row, and no others."""
    guide = (DOCS / "api.md").read_text(encoding="utf-8")
    table = guide.partition("| status | what it means for a client |")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ")]
    told = [int(status) for cell in cells for status in re.findall(r"\d{3}", cell)]
    assert sorted(told) == sorted({kind.status.value for kind in PROBLEM_KINDS.values()})


def test_guides_name_every_header_that_the_server_minds() -> None:
    """The guides list the headers that a page of another site may send and read."""
    guides = (DOCS / "api.md").read_text() + (DOCS / "events.md").read_text()
    policy = Policy.of(security_headers=True, tls=False, origins=frozenset({"*"}))
    asked = Headers([(b"origin", b"https://a"), (b"access-control-request-method", b"PUT")])
    preflight = policy.preflight("OPTIONS", asked)
    assert preflight is not None
    listed = dict((*preflight.headers, *policy.sharing(asked)))
    for kind in (b"access-control-allow-headers", b"access-control-expose-headers"):
        for header in listed[kind].decode().split(", "):
            assert re.search(rf"`{header}|['\"]{header}", guides, re.IGNORECASE), header


def test_security_page_tells_every_header_that_is_always_sent() -> None:
    """The headers that browsers get with each answer, some binding for a year, are documented."""
    page = (DOCS / "security.md").read_text(encoding="utf-8")
    for header, value in Policy.of(security_headers=True, tls=True, origins=frozenset()).always:
        told = f"`{header.decode()}: {value.decode()}`"
        assert told.lower() in page.lower(), told


def serious_events() -> set[str]:
    """Return every event that the product logs as a warning or worse."""
    found: set[str] = set()
    for folder in ("actors", "app", "bus"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                match node:
                    case ast.Call(
                        func=ast.Attribute(attr=level), args=[ast.Constant(value=str(event)), *_]
                    ) if level in SERIOUS and re.fullmatch(r"[a-z]+(_[a-z]+)+", event):
                        found.add(event)
                    # ``log`` chooses its level at run time; one of the choices is serious.
                    case ast.Call(
                        func=ast.Name(id="log"), args=[ast.Constant(value=str(event)), *_]
                    ):
                        found.add(event)
                    case _:
                        pass
    return found


def test_troubleshooting_explains_every_serious_event() -> None:
    """Every event that is a warning or worse is explained, and no others."""
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    part = page.partition("## Events in the log")[2].partition("## What clients are told")[0]
    cells = [line.split("|")[1] for line in part.splitlines() if line.startswith("| `")]
    explained = {event for cell in cells for event in re.findall(r"`([a-z_]+)`", cell)}
    assert explained == serious_events()


@pytest.mark.parametrize("page", TEXTS, ids=name)
def test_pages_name_keys_that_there_are(page: Path) -> None:
    """A key of the configuration that a page names exists."""
    keys = all_keys()
    sections = {key.section for key in keys.values()}
    named = re.findall(r"`([a-z]+)\.([a-z0-9_]+)`", prose(page.read_text(encoding="utf-8")))
    wrong = [
        f"{section}.{key}"
        for section, key in named
        if section in sections
        and f"{section}.{key}" not in keys
        and key not in {"md", "py", "toml", "txt"}
    ]
    assert wrong == []


@pytest.mark.parametrize("page", TEXTS, ids=name)
def test_pages_name_files_that_there_are(page: Path) -> None:
    """A file of the project that a page names exists."""
    spans = re.findall(r"`([\w./-]+/[\w./-]*)`", prose(page.read_text(encoding="utf-8")))
    missing = [
        span for span in spans if span.partition("/")[0] in FOLDERS and not (ROOT / span).exists()
    ]
    assert missing == []


def links(text: str) -> Iterator[str]:
    """Yield the targets of a page's links and images, except those outside the project."""
    for target in re.findall(r"\]\(<?([^)\s>]+)>?\)", prose(text)):
        if not re.match(r"[a-z]+:", target):
            # The fragment of an image says in which colour scheme it is shown.
            yield re.sub(r"#only-(?:light|dark)$", "", target)


@pytest.mark.parametrize("page", TEXTS, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    """Each link in a text leads to an existing file, or to a page that the site generates."""
    broken: list[str] = []
    for target in links(page.read_text(encoding="utf-8")):
        path = target.partition("#")[0]
        place = (page.parent / path).resolve()
        made = place.is_relative_to(DOCS) and str(place.relative_to(DOCS)) in MADE
        if path and not made and not place.exists():
            broken.append(target)
    assert broken == []


def slug(heading: str) -> str:
    """Return the anchor that the site and code hosts derive from a heading."""
    words = re.sub(r"[^\w\s-]", "", heading.replace("`", "").strip().lower())
    return re.sub(r"[\s]+", "-", words)


def anchors(text: str) -> set[str]:
    """Return every anchor of a page."""
    found = set(re.findall(r"\{#([^}\s]+)\}", text)) | set(re.findall(r'id="([^"]+)"', text))
    for heading in re.findall(r"^#+ +(.+?)(?: \{#[^}]+\})?$", prose(text), re.MULTILINE):
        found |= {slug(heading), re.sub(r"-+", "-", slug(heading))}
    return found


@cache
def anchors_of(place: Path, made: str) -> set[str]:
    """Return every anchor of a text, or of the page that the site generates under this name."""
    return anchors(MADE[made]() if made in MADE else place.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", TEXTS, ids=name)
def test_anchors_lead_somewhere(page: Path) -> None:
    """Each anchor that a text links to is a heading of its target."""
    broken: list[str] = []
    for target in links(page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if not anchor:
            continue
        place = (page.parent / path).resolve() if path else page
        made = str(place.relative_to(DOCS)) if place.is_relative_to(DOCS) else ""
        if anchor not in anchors_of(place, made):
            broken.append(target)
    assert broken == []


def test_texts_from_the_top_become_pages() -> None:
    """Their links into docs/ still work, and links to files that the site lacks become text."""
    for text in ("ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md"):
        for target in links(outside_page(text)):
            path = target.partition("#")[0]
            assert path in MADE or (DOCS / path).exists(), f"{text}: {target}"
    assert "[guide](rulesets.md)" in relinked("[guide](docs/rulesets.md)")
    assert relinked("see [LICENSE](LICENSE).") == "see LICENSE."


def test_snippets_are_there() -> None:
    """Each piece of code that a page includes exists, by file and section."""
    for page in PAGES:
        for file, section in re.findall(r'--8<-- "([^":]+):([a-z]+)"', page.read_text()):
            assert f"[start:{section}]" in (ROOT / file).read_text(), f"{page.name}: {section}"


def test_diagrams_are_shown_and_told() -> None:
    """Each diagram is well-formed, belongs to a page, and is described in words."""
    shown = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    drawings = sorted((DOCS / "diagrams").glob("*.svg"))
    assert drawings
    for drawing in drawings:
        assert ET.parse(drawing).getroot().get("viewBox")  # noqa: S314 - our own file
        told = re.search(rf"^!\[([^\]]+)\]\(diagrams/{drawing.name}\)$", shown, re.MULTILINE)
        assert told is not None, drawing.name
        assert len(told[1]) > 60
        assert "<style>" not in inlined(told[0])
        assert "aria-label=" in inlined(told[0])


def test_site_lists_every_page() -> None:
    """The navigation lists every page."""
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    listed = set(re.findall(r": ([\w/-]+\.md)$", nav, re.MULTILINE))
    there = {str(page.relative_to(DOCS)) for page in PAGES} | MADE.keys()
    assert there <= listed
    assert listed - there <= {"performance.md"}


def test_site_builds_with_what_is_locked() -> None:
    """The extra has every package that the site needs, and the lock has the extra."""
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    locked = (ROOT / "requirements" / "docs.txt").read_text()
    assert all(f"{re.split('[<>=]', need)[0]}==" in locked for need in extra["docs"])
