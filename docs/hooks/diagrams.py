"""Inlines the diagrams' SVG into their pages, where they follow the light or dark theme."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Final

DIAGRAMS: Final = Path(__file__).resolve().parents[1] / "diagrams"

_IMAGE = re.compile(r"^!\[(?P<alt>[^\]]+)\]\(diagrams/(?P<name>[a-z-]+)\.svg\)$", re.MULTILINE)
_STYLE = re.compile(r"<(style|title)>.*?</\1>\s*", re.DOTALL)


def inlined(markdown: str) -> str:
    """Replace each diagram's image that is alone on its line by the diagram itself."""
    return _IMAGE.sub(_inline, markdown)


def _inline(found: re.Match[str]) -> str:
    svg = (DIAGRAMS / f"{found['name']}.svg").read_text(encoding="utf-8")
    svg = _STYLE.sub("", svg)
    # Markdown ends a block of HTML at an empty line, and takes indented lines for code.
    lines = [line.strip() for line in svg.splitlines() if line.strip()]
    alt = html.escape(found["alt"], quote=True)
    return (
        f'<figure class="diagram" role="img" aria-label="{alt}" markdown="0">\n'
        + "\n".join(lines)
        + "\n</figure>"
    )
