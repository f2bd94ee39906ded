"""The contents of a page: its fenced blocks, and its commands with the answers shown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(
    r"^(?P<not_run> *<!-- not run[^>]*-->\n)?"
    r"(?P<indent> *)```(?P<language>[a-z]*)(?P<options>[^\n]*)\n"
    r"(?P<text>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language, its text, and its first line number."""

    language: str
    text: str
    line: int
    run: bool


@dataclass(frozen=True, slots=True)
class Step:
    """Commands that a reader types, and the answer that the page shows to the last of them."""

    commands: Block
    answer: Block | None


def blocks(page: Path) -> Iterator[Block]:
    """Yield every fenced block of a page."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        indent = found["indent"]
        lines = [line.removeprefix(indent) for line in found["text"].splitlines()]
        yield Block(
            found["language"],
            "\n".join(lines),
            text.count("\n", 0, found.start()) + 1,
            found["not_run"] is None,
        )


def steps(page: Path, *, under: str = "") -> list[Step]:
    """Return the commands that a page tells its reader to type, in order, with the answers shown.

    ``under`` selects the part of the page below one heading.
    """
    first, last = _lines_under(page, under)
    found: list[Step] = []
    open_step = False
    for block in blocks(page):
        if not first <= block.line < last:
            continue
        if block.language == "sh":
            open_step = block.run
            if block.run:
                found.append(Step(block, None))
        elif block.language in {"http", "console"} and open_step:
            found[-1] = Step(found[-1].commands, block)
            open_step = False
    return found


def _lines_under(page: Path, heading: str) -> tuple[float, float]:
    if not heading:
        return 0, float("inf")
    lines = page.read_text(encoding="utf-8").splitlines()
    first = lines.index(heading) + 1
    level = heading.partition(" ")[0]
    rest = (
        number for number, line in enumerate(lines[first:], first) if line.startswith(f"{level} ")
    )
    return first, next(rest, float("inf"))
