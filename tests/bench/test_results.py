"""The arithmetic of the benchmark's table: medians, ratios, spread, and where Holdfast loses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from bench.chart import draw
from bench.contest import tell
from bench.generator import Outcome
from bench.results import (
    EVEN,
    HALF,
    MIXES,
    NULL,
    WARM,
    Phase,
    Result,
    Run,
    cpu_us,
    faults_of,
    generator_fault,
    losses,
    middle,
    rates,
    ratio,
    table,
)

if TYPE_CHECKING:
    from pathlib import Path


def phase(label: str, per_second: float, p99: float = 5.0) -> Phase:
    """Return a measurement of one second with a thousand answers."""
    latency = {"p50": 1.0, "p99": p99, "p99.9": 9.0, "max": 10.0}
    outcome = Outcome(
        answered=1000,
        seconds=1.0,
        per_second=per_second,
        latency_ms={"all": latency},
        statuses={"order 201": 1000},
        lost=0,
        unsent=0,
        cpu_s=0.1,
        bytes_per_answer={"order": 300.0},
    )
    return Phase(label, 0.0, outcome, server_cpu_s=0.5, postgres_cpu_s=0.25)


def run(name: str, number: int, per_second: float, *faults: str, p99: float = 5.0) -> Run:
    """Return a run whose mixes are all equally fast."""
    phases = [phase(mix, per_second) for mix in MIXES]
    phases += [phase(HALF, per_second, p99), phase(EVEN, 500.0, p99 / 2)]
    return Run(name, name.title(), number, phases, list(faults))


def result(*runs: Run) -> Result:
    """Return a contest of these runs."""
    return Result("2026-01-01", "a machine", 1.0, 10, 4, {NULL: 9_000.0}, list(runs))


def test_results_middle_is_median_and_outermost() -> None:
    """The spread is the range of the values, as a share of the median."""
    found = middle([30.0, 10.0, 20.0])
    assert (found.median, found.least, found.most, found.spread) == (20.0, 10.0, 30.0, 1.0)
    assert middle([]).spread == 0.0


def test_results_ratio_compares_the_same_round() -> None:
    """Each round of a peer is compared with the same round of Holdfast before taking the median."""
    told = result(
        run("holdfast", 0, 200.0), run("holdfast", 1, 90.0), run("x", 0, 100.0), run("x", 1, 30.0)
    )
    found = ratio(told, "x", "orders")
    assert (found.least, found.median, found.most) == (2.0, 2.5, 3.0)


def test_results_leave_void_runs_out() -> None:
    """A run with a fault counts nowhere."""
    told = result(run("holdfast", 0, 100.0), run("holdfast", 1, 900.0, "one order is missing"))
    assert rates(told, "holdfast", "reads").most == 100.0
    assert result(run("holdfast", 0, 1.0, "void")).names() == []


def test_results_tell_where_holdfast_loses() -> None:
    """A peer with a higher rate or a lower latency is named; a slower one is not."""
    told = result(
        run("holdfast", 0, 100.0, p99=8.0), run("fast", 0, 150.0), run("slow", 0, 50.0, p99=9.0)
    )
    lost = losses(told)
    assert "orders: Fast is 1.50 times as fast" in lost
    assert "p99 at half its own most: Fast 5.0 ms, 8.0 ms" in lost
    assert "p99 at the same rate for all: Fast 2.5 ms, 4.0 ms" in lost
    assert not any("Slow" in each for each in lost)
    assert "Where Holdfast loses:" in table(told)
    assert "Holdfast loses nowhere." in table(result(run("holdfast", 0, 2.0), run("x", 0, 1.0)))


def test_results_boast_of_nothing_where_no_peer_counts() -> None:
    """Where every run of a peer is void, or no peer ran, no win is claimed."""
    for alone in ((), (run("x", 0, 1.0, "one order is missing"),)):
        told = table(result(run("holdfast", 0, 2.0), *alone))
        assert "loses" not in told
        assert "Nobody ran beside Holdfast whose run counts." in told


def test_results_cpu_time_is_per_answer() -> None:
    """CPU time is divided by all answers of the measurement, warm-up included."""
    assert cpu_us(result(run("holdfast", 0, 1.0)), "holdfast", "orders") == (500.0, 250.0)


@pytest.mark.parametrize("status", ["order 409", "read 503", "hot 500"])
def test_results_refusals_make_a_measurement_void(status: str) -> None:
    """Any unexpected answer voids the measurement; so does a lost or unsent request."""
    good = phase("orders", 1.0)
    assert faults_of(good) == []
    statuses = {"order 201": 9, status: 2}
    outcome = msgspec.structs.replace(good.outcome, statuses=statuses, lost=3, unsent=4)
    faults = faults_of(Phase("orders", 0.0, outcome, 0.0, 0.0))
    assert faults == [
        f"orders: 2 answers {status}",
        "orders: 3 requests without an answer",
        "orders: 4 requests that were due and never sent",
    ]


def test_results_are_drawn() -> None:
    """The chart has a bar for each contestant in each mix."""
    drawn = draw(result(run("holdfast", 0, 200.0), run("x & y", 0, 100.0)))
    assert drawn.count("<rect") == 1 + 2 * len(MIXES)
    assert "X &amp; Y" in drawn


def test_results_say_where_the_generator_may_have_been_measured() -> None:
    """A generator under three times as fast as the fastest voids all, in table and chart."""
    told = result(run("holdfast", 0, 3_000.0), run("x", 0, 100.0))
    assert generator_fault(told) == ""
    assert "VOID" not in table(told) + draw(told)
    told = result(run("holdfast", 0, 3_001.0), run("x", 0, 100.0))
    reason = generator_fault(told)
    assert reason.startswith("the generator drives 9,000 requests/s, less than 3 times")
    void = msgspec.structs.replace(told, void=reason)
    assert table(void).startswith(f"VOID: {reason}")
    assert f"VOID: {reason}" in draw(void)


def test_results_void_contest_is_written_as_one(tmp_path: Path) -> None:
    """The files and the exit status of a void contest say that it is void."""
    assert tell(result(run("holdfast", 0, 3_000.0)), tmp_path) == 0
    assert json.loads((tmp_path / "contest.json").read_bytes())["void"] == ""
    assert tell(result(run("holdfast", 0, 3_001.0)), tmp_path) == 1
    assert "the generator" in json.loads((tmp_path / "contest.json").read_bytes())["void"]
    assert "VOID" in (tmp_path / "contest.svg").read_text(encoding="utf-8")
    assert tell(result(run("holdfast", 0, 1.0, "one order is missing")), tmp_path) == 1


def test_results_name_who_was_not_warm() -> None:
    """A program measured before its warm-up was complete is named."""
    first = run("holdfast", 0, 1.0)
    warm = [phase(WARM, 1.0), *first.phases]
    warmed = msgspec.structs.replace(first, phases=warm, warm_up=1_000)
    assert "warm-up" not in table(result(warmed))
    cold = msgspec.structs.replace(warmed, warm_up=1_001)
    assert "after 1,000 of the 1,001 requests of its warm-up" in table(result(cold))
