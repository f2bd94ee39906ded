"""How the core's measurements are taken and reported: wall time, CPU time, medians of rounds."""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator


@dataclass(slots=True)
class Watch:
    """What some work took, in seconds: wall time, and this process's CPU time.

    ``gc_s`` is the garbage collector's part of the CPU time.
    """

    wall_s: float = 0.0
    cpu_s: float = 0.0
    gc_s: float = 0.0


@contextmanager
def watch() -> Iterator[Watch]:
    """Time the block; the watch is filled when it ends."""
    taken = Watch()
    began = 0.0

    def collecting(phase: str, _info: dict[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = time.process_time()
        else:
            taken.gc_s += time.process_time() - began

    gc.callbacks.append(collecting)
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield taken
    finally:
        taken.wall_s = time.perf_counter() - wall
        taken.cpu_s = time.process_time() - cpu
        gc.callbacks.remove(collecting)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; if other work runs at the same time, compare CPU time."""

    name: str
    value: float
    unit: str
    cpu: float | None = None
    """The same by CPU time instead of wall time, if that is meaningful."""
    spread: float | None = None
    """The spread of the rounds: (largest - smallest) / median."""
    gc_share: float | None = None
    """The garbage collector's share of the CPU time."""


@dataclass(slots=True)
class Report:
    """The figures of one script, printed as they come."""

    title: str
    figures: list[Figure] = field(default_factory=list[Figure])

    def add(self, figure: Figure) -> Figure:
        """Add a figure and print it."""
        if not self.figures:
            print(f"== {self.title}")
        self.figures.append(figure)
        cpu = "" if figure.cpu is None else f"   by CPU time {number(figure.cpu)}"
        spread = "" if figure.spread is None else f"   spread {100 * figure.spread:.0f} %"
        gc_share = "" if figure.gc_share is None else f"   gc {100 * figure.gc_share:.0f} %"
        told = f"{figure.name:<52} {number(figure.value)} {figure.unit:<6}{cpu}{spread}{gc_share}"
        print(told, flush=True)
        return figure

    def ratio(self, name: str, above: Figure, below: Figure) -> None:
        """Add the ratio of two figures, by CPU time if both have it."""
        cpu = None if not (above.cpu and below.cpu) else above.cpu / below.cpu
        self.add(Figure(name, above.value / below.value, "x", cpu))

    def write(self, file: Path | None) -> None:
        """Write the figures as JSON, if a file is named."""
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            told = {"title": self.title, "figures": [asdict(each) for each in self.figures]}
            file.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def number(value: float) -> str:
    """Write a number with its significant digits."""
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2
    return f"{value:10,.{digits}f}"


def per_second(name: str, count: int, rounds: list[Watch]) -> Figure:
    """Return the median rate of rounds that did ``count`` things each."""
    wall_s, cpu_s, spread, gc_share = _middle(rounds)
    return Figure(name, count / wall_s, "/s", count / cpu_s, spread, gc_share)


def each_us(name: str, count: int, rounds: list[Watch]) -> Figure:
    """Return the median time in microseconds of one of ``count`` things."""
    wall_s, cpu_s, spread, gc_share = _middle(rounds)
    return Figure(name, wall_s / count * 1e6, "us", cpu_s / count * 1e6, spread, gc_share)


def _middle(rounds: list[Watch]) -> tuple[float, float, float, float]:
    """Return median wall and CPU time, the spread, and the garbage collector's share."""
    walls = [each.wall_s for each in rounds]
    wall_s = statistics.median(walls)
    cpu_s = statistics.median(each.cpu_s for each in rounds)
    gc_share = sum(each.gc_s for each in rounds) / sum(each.cpu_s for each in rounds)
    return wall_s, cpu_s, (max(walls) - min(walls)) / wall_s, gc_share


async def rounds_of(run: Callable[[], Awaitable[object]], rounds: int) -> list[Watch]:
    """Time some rounds, each after collecting the garbage of the previous one."""
    taken: list[Watch] = []
    for _ in range(rounds):
        gc.collect()
        with watch() as each:
            await run()
        taken.append(each)
    return taken


def percentile(values: list[float], share: float) -> float:
    """Return the value below which ``share`` of all lie; 0 if there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return an argument parser with the options that every script has."""
    made = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    made.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    made.add_argument("--rounds", type=int, default=5)
    return made
