"""Draws the rates of a contest as an SVG; pure."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from bench.results import MIXES, OWN, Result, rates

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH = 860
LABEL = 220
BAR = 18
GAP = 6
HEAD = 34
ROOM = 130
OWN_COLOUR, PEER_COLOUR, VOID_COLOUR = "#1f6f5c", "#9aa5b1", "#b91c1c"


def draw(result: Result) -> str:
    """Return the drawing: a group of bars for each mix, with the range of the rounds as a line."""
    names = result.names()
    group = HEAD + len(names) * (BAR + GAP) + GAP
    height = len(MIXES) * group + 30
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            'font-family="sans-serif" font-size="13" role="img" '
            'aria-label="Requests per second of Holdfast and its peers">'
        ),
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for index, mix in enumerate(MIXES):
        parts += _group(result, mix, index * group)
    void = f"VOID: {result.void}. " if result.void else ""
    told = escape(f"{void}{result.at[:10]}, {result.machine}")
    colour = VOID_COLOUR if result.void else "#52606d"
    parts.append(f'<text x="10" y="{height - 10}" font-size="11" fill="{colour}">{told}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _group(result: Result, mix: str, top: int) -> Iterator[str]:
    names = result.names()
    most = max((rates(result, name, mix).most for name in names), default=1.0)
    scale = (WIDTH - LABEL - ROOM) / most
    yield f'<text x="10" y="{top + 24}" font-weight="bold">{mix}, requests/s</text>'
    for index, name in enumerate(names):
        rate = rates(result, name, mix)
        y = top + HEAD + index * (BAR + GAP)
        colour = OWN_COLOUR if name == OWN else PEER_COLOUR
        end = LABEL + rate.median * scale
        low, high = LABEL + rate.least * scale, LABEL + rate.most * scale
        yield f'<text x="10" y="{y + 14}">{escape(result.label(name))}</text>'
        yield (
            f'<rect x="{LABEL}" y="{y}" width="{end - LABEL:.1f}" height="{BAR}" fill="{colour}"/>'
        )
        yield (
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y + BAR / 2}" y2="{y + BAR / 2}" '
            'stroke="#102a43" stroke-width="2"/>'
        )
        yield f'<text x="{high + 8:.1f}" y="{y + 14}">{rate.median:,.0f}</text>'
