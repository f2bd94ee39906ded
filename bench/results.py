"""The results of a contest: medians, ratios, spread, and where Holdfast loses; pure."""

from __future__ import annotations

import platform
import statistics
import sys
from itertools import product
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from bench.generator import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MIXES = ("orders", "reads", "mixed")
HALF = "mixed-half"
EVEN = "mixed-even"
WARM = "warm-up"
NULL = "generator on a server that does nothing"
MARGIN = 3.0
"""How many times the rate of the fastest contestant the generator must be able to drive."""
OWN = "holdfast"
PERCENTILES = ("p50", "p99", "p99.9")
DISTURBED = 0.05
"""The share of the cores that other processes may use without being mentioned."""
_GOOD = ("order 201", "read 200", "hot 201")
_LOOPS = MappingProxyType({HALF: "half its own most", EVEN: "the same rate for all"})


class Phase(msgspec.Struct, frozen=True):
    """One measurement: the plan, its outcome, and what other processes used meanwhile."""

    label: str
    rate: float
    outcome: Outcome
    server_cpu_s: float
    postgres_cpu_s: float
    others_share: float = 0.0
    """The share of all cores' time that unrelated processes used."""

    def cpu_us(self) -> tuple[float, float]:
        """Return the CPU time of one answer in microseconds: the server's, and PostgreSQL's."""
        answers = max(1, sum(self.outcome.statuses.values()))
        return self.server_cpu_s / answers * 1e6, self.postgres_cpu_s / answers * 1e6


class Run(msgspec.Struct, frozen=True):
    """One start of one contestant; void if there are faults.

    Before the measurement it had to answer ``warm_up`` requests.
    """

    name: str
    label: str
    number: int
    phases: list[Phase]
    faults: list[str]
    warm_up: int = 0

    def phase(self, label: str) -> Phase:
        """Return one of its measurements."""
        return next(each for each in self.phases if each.label == label)


class Result(msgspec.Struct, frozen=True):
    """A whole contest; ``floors`` in operations per second; ``void`` says why nothing counts."""

    at: str
    machine: str
    seconds: float
    accounts: int
    connections: int
    floors: dict[str, float]
    runs: list[Run]
    void: str = ""

    def valid(self, name: str) -> list[Run]:
        """Return a contestant's valid runs."""
        return [run for run in self.runs if run.name == name and not run.faults]

    def names(self) -> list[str]:
        """Return the contestants with a valid run, Holdfast first."""
        found = dict.fromkeys(run.name for run in self.runs if not run.faults)
        return sorted(found, key=lambda name: name != OWN)

    def label(self, name: str) -> str:
        """Return a contestant's name for people."""
        return next(run.label for run in self.runs if run.name == name)


class Middle(msgspec.Struct, frozen=True):
    """Several values of one quantity."""

    median: float
    least: float
    most: float

    @property
    def spread(self) -> float:
        """Their range, as a share of the median."""
        return (self.most - self.least) / self.median if self.median else 0.0


def middle(values: Iterable[float]) -> Middle:
    """Return the median of some values, with minimum and maximum; zeros if there are none."""
    found = list(values)
    if not found:
        return Middle(0.0, 0.0, 0.0)
    return Middle(statistics.median(found), min(found), max(found))


def faults_of(phase: Phase) -> list[str]:
    """Return what voids a measurement: refusals, lost connections, unsent requests."""
    outcome = phase.outcome
    bad = {name: n for name, n in outcome.statuses.items() if name not in _GOOD}
    # The generator's one probe of the server, without a token, is not counted.
    faults = [f"{phase.label}: {n} answers {name}" for name, n in bad.items()]
    if outcome.lost:
        faults.append(f"{phase.label}: {outcome.lost} requests without an answer")
    if outcome.unsent:
        faults.append(f"{phase.label}: {outcome.unsent} requests that were due and never sent")
    return faults


def generator_fault(result: Result) -> str:
    """Say where the generator may have been the bottleneck; empty if it was not."""
    closed = [each for run in result.runs for each in run.phases if not each.rate]
    fastest = max((each.outcome.per_second for each in closed), default=0.0)
    null = result.floors[NULL]
    if null >= MARGIN * fastest:
        return ""
    return (
        f"the generator drives {null:,.0f} requests/s, less than {MARGIN:g} times "
        f"the fastest contestant ({fastest:,.0f})"
    )


def rates(result: Result, name: str, mix: str) -> Middle:
    """Return a contestant's requests per second in a closed loop."""
    return middle(run.phase(mix).outcome.per_second for run in result.valid(name))


def latencies(result: Result, name: str, label: str, percentile: str) -> Middle:
    """Return a contestant's latency, in milliseconds, in one of the open loops."""
    return middle(
        run.phase(label).outcome.latency_ms["all"][percentile] for run in result.valid(name)
    )


def cpu_us(result: Result, name: str, mix: str) -> tuple[float, float]:
    """Return the medians of `Phase.cpu_us` over a contestant's runs."""
    used = [run.phase(mix).cpu_us() for run in result.valid(name)]
    server, postgres = zip(*used, strict=True)
    return statistics.median(server), statistics.median(postgres)


def ratio(result: Result, name: str, mix: str) -> Middle:
    """Return how many times as fast as a peer Holdfast is, comparing round by round."""
    own = {run.number: run for run in result.valid(OWN)}
    return middle(
        own[run.number].phase(mix).outcome.per_second / run.phase(mix).outcome.per_second
        for run in result.valid(name)
        if run.number in own
    )


def losses(result: Result) -> list[str]:
    """Say where a peer is ahead of Holdfast."""
    peers = [name for name in result.names() if name != OWN]
    told: list[str] = []
    if OWN not in result.names():
        return ["no run of Holdfast counts"]
    for name in peers:
        label = result.label(name)
        for mix in MIXES:
            times = ratio(result, name, mix).median
            if 0 < times < 1:
                told.append(f"{mix}: {label} is {1 / times:.2f} times as fast")
            own_us, other_us = (cpu_us(result, each, mix)[0] for each in (OWN, name))
            if own_us > other_us:
                told.append(f"{mix}, CPU of the server: {label} {other_us:.0f} us, {own_us:.0f} us")
        for loop, percentile in product(_LOOPS, PERCENTILES):
            own, other = (latencies(result, each, loop, percentile).median for each in (OWN, name))
            if own > other:
                where = f"{percentile} at {_LOOPS[loop]}"
                told.append(f"{where}: {label} {other:.1f} ms, {own:.1f} ms")
    return told


def disturbance(result: Result) -> float:
    """Return the share of the cores that other processes used, on average."""
    shares = [each.others_share for run in result.runs for each in run.phases]
    return statistics.mean(shares) if shares else 0.0


def table(result: Result) -> str:
    """Format everything for people."""
    sections = (_throughput, _latency, _cpu, _floors, _disturbed, _cold, _lost)
    lines = [f"VOID: {result.void}", ""] if result.void else []
    lines += [result.machine, _extent(result)]
    for section in sections:
        lines += section(result)
    return "\n".join(lines)


def _throughput(result: Result) -> list[str]:
    names = result.names()
    lines = ["", _row("requests/s, closed loop", [f"{mix} (spread)" for mix in MIXES])]
    for name in names:
        found = [rates(result, name, mix) for mix in MIXES]
        several = len(result.valid(name)) > 1
        told = [f" ({100 * rate.spread:.0f} %)" if several else "" for rate in found]
        cells = [f"{rate.median:,.0f}{spread}" for rate, spread in zip(found, told, strict=True)]
        lines.append(_row(result.label(name), cells))
    lines += ["", _row("Holdfast is so many times as fast as", MIXES)]
    return lines + [_row(result.label(each), _ratios(result, each)) for each in _peers(result)]


def _latency(result: Result) -> list[str]:
    lines: list[str] = []
    for loop, where in _LOOPS.items():
        lines += ["", _row(f"ms at {where}, open loop", (*PERCENTILES, "us of CPU"))]
        for name in result.names():
            found = [latencies(result, name, loop, each) for each in PERCENTILES]
            cells = [f"{each.median:.1f} (to {each.most:.1f})" for each in found]
            lines.append(_row(result.label(name), [*cells, _cpu_cell(result, name, loop)]))
    return lines


def _cpu(result: Result) -> list[str]:
    lines = ["", _row("us of CPU for each request: server + PostgreSQL", MIXES)]
    for name in result.names():
        cells = [_cpu_cell(result, name, mix) for mix in MIXES]
        lines.append(_row(result.label(name), cells))
    lines += ["", _row("by the server's CPU time Holdfast is so many times as fast as", MIXES)]
    for name in _peers(result):
        shares = [cpu_us(result, name, mix)[0] / cpu_us(result, OWN, mix)[0] for mix in MIXES]
        lines.append(_row(result.label(name), [f"{share:.2f}" for share in shares]))
    return lines


def _cpu_cell(result: Result, name: str, mix: str) -> str:
    own, postgres = cpu_us(result, name, mix)
    return f"{own:.0f} + {postgres:.0f}"


def _floors(result: Result) -> list[str]:
    return ["", *(_row(name, [f"{rate:,.0f}/s"]) for name, rate in result.floors.items())]


def _disturbed(result: Result) -> list[str]:
    disturbed = disturbance(result)
    if disturbed <= DISTURBED:
        return []
    told = f"Others used {100 * disturbed:.0f} % of the cores meanwhile: rates and latencies"
    return ["", f"{told} are worse than they would be; the CPU times tell more."]


def _cold(result: Result) -> list[str]:
    told: list[str] = []
    for run in result.runs:
        warmed = sum(run.phase(WARM).outcome.statuses.values()) if run.warm_up else 0
        if warmed < run.warm_up:
            told.append(
                f"{run.label}, round {run.number + 1}: measured after {warmed:,} of the "
                f"{run.warm_up:,} requests of its warm-up, so that it costs more than it would."
            )
    return ["", *told] if told else []


def _lost(result: Result) -> list[str]:
    lost = losses(result)
    told = "Where Holdfast loses:" if lost else "Holdfast loses nowhere."
    if not lost and not _peers(result):
        told = "Nobody ran beside Holdfast whose run counts."
    return ["", told, *(f"  {each}" for each in lost)]


def _peers(result: Result) -> list[str]:
    """Return the contestants that Holdfast is compared with: none if it did not run itself."""
    names = result.names()
    return [name for name in names if name != OWN] if OWN in names else []


def _extent(result: Result) -> str:
    rounds = max((run.number for run in result.runs), default=0) + 1
    asked = f"{result.accounts:,} accounts, {result.connections} connections"
    return f"{asked}; {result.seconds:g} s of each, {rounds} round{'s' if rounds > 1 else ''}"


def _ratios(result: Result, name: str) -> list[str]:
    found = [ratio(result, name, mix) for mix in MIXES]
    if len(result.valid(name)) == 1:
        return [f"{each.median:.2f}" for each in found]
    return [f"{each.median:.2f} ({each.least:.2f} to {each.most:.2f})" for each in found]


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:<52}" + "".join(f"{cell:>24}" for cell in cells)


def show_progress(run: Run) -> None:
    """Print the results of a run to standard error."""
    rates_of = ", ".join(f"{each.label} {each.outcome.per_second:,.0f}/s" for each in run.phases)
    void = f" VOID: {run.faults[0]}" if run.faults else ""
    print(f"round {run.number + 1}, {run.label}: {rates_of}{void}", file=sys.stderr, flush=True)


def machine(server_cores: set[int], other_cores: set[int]) -> str:
    """Describe what it ran on."""
    return (
        f"{platform.machine()}, Python {platform.python_version()}, server on "
        f"{len(server_cores)} core, PostgreSQL and generator on {len(other_cores)} other"
    )
