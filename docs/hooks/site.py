"""MkDocs's hooks: pages made from the program, texts from the top of the project, diagrams."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from docs.hooks.commands import commands_page
from docs.hooks.configuration import configuration_page
from docs.hooks.diagrams import inlined
from docs.hooks.outside import outside_page
from docs.hooks.reference import api_page, problems_page

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
MADE = {
    "reference/api.md": api_page,
    "reference/problems.md": problems_page,
    "reference/configuration.md": configuration_page,
    "reference/commands.md": commands_page,
    "architecture.md": lambda: outside_page("ARCHITECTURE.md"),
    "changelog.md": lambda: outside_page("CHANGELOG.md"),
    "contributing.md": lambda: outside_page("CONTRIBUTING.md"),
}
"""Pages that are generated while the site is built."""

OPTIONAL = ("performance.md",)
"""Pages that may be missing."""

_ELSEWHERE = re.compile(
    r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>",
    re.IGNORECASE,
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Leave missing optional pages out of the navigation."""
    config.nav = _present(config.nav, Path(config.docs_dir))
    return config


def _present(nav: Any, docs: Path) -> Any:
    if isinstance(nav, list):
        kept = [_present(each, docs) for each in nav]
        return [each for each in kept if each is not None]
    if isinstance(nav, dict):
        kept = {title: _present(each, docs) for title, each in nav.items()}
        kept = {title: each for title, each in kept.items() if each is not None}
        return kept or None
    return None if nav in OPTIONAL and not (docs / nav).exists() else nav


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages generated from the program and from the top of the project."""
    for path, make in MADE.items():
        files.append(File.generated(config, path, content=make()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Inline diagrams into the page, so that they follow its light or dark theme."""
    return inlined(markdown)


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Reject a page that would load anything from another site.

    Raises:
        PluginError: it does.
    """
    found = _ELSEWHERE.search(output)
    # A link such as `canonical` loads nothing, but there are none of those either.
    if found is not None:
        raise PluginError(f"{page.file.src_uri} loads {found[0]}")
    return output
