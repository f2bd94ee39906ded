"""Makes pages of the texts at the top of the project, with their links adapted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]

_PAGES: Final = {
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "index.md",
}
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def outside_page(name: str) -> str:
    """Return a text from the top of the project as a page of the site.

    Links into ``docs/`` and to other such texts lead to their pages; links to other files of the
    project, which the site does not have, become plain text.
    """
    return relinked((ROOT / name).read_text(encoding="utf-8"))


def relinked(text: str) -> str:
    """Adapt the links of such a text; see `outside_page`."""
    return _LINK.sub(_relink, text)


def _relink(found: re.Match[str]) -> str:
    text, target, anchor = found["text"], found["target"], found["anchor"] or ""
    if "://" in target:
        return found[0]
    if target.startswith("docs/"):
        return f"[{text}]({target.removeprefix('docs/')}{anchor})"
    if target in _PAGES:
        return f"[{text}]({_PAGES[target]}{anchor})"
    return text
