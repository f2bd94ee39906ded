"""Durations are measured where things happen, by the actor that was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.inventory import COURIER_KEY
from actors.storage import STORAGE_KEY
from actors.ticker import TICKER_KEY
from app.metrics.meters import BusMeter, StorageMeter, WorldMeter
from bus import ActorStopped, Interest, ReplyTimeout, Topic, open_broadcast_channel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio.testing import MockClock


def ticking(*moments: float) -> Iterator[float]:
    """Return one moment after the other."""
    return iter(moments)


@pytest.mark.parametrize(
    ("topic", "key", "actor"),
    [
        (Topic.AUTH, None, "authx"),
        (Topic.TASK, STORAGE_KEY, "storage"),
        (Topic.TASK, TICKER_KEY, "ticker"),
        (Topic.TASK, COURIER_KEY, "transfers"),
        (Topic.TASK, "leaderboard", "other"),
        (Topic.TASK, "0197f0a0-0000-7000-8000-000000000001", "inventory"),
    ],
)
def test_bus_meter_knows_whom_a_question_is_for(topic: Topic, key: str | None, actor: str) -> None:
    """Every account is the one actor "inventory": no account becomes a series of its own."""
    moments = ticking(10.0, 10.2)
    meter = BusMeter(lambda: next(moments))
    mark, trace = meter.begin(topic, key, None)
    meter.finish(mark, None)
    assert trace is None
    assert {name: filled.count for name, filled in meter.replies.items() if filled.count} == {
        actor: 1
    }
    assert meter.replies[actor].sum == pytest.approx(0.2)
    assert dict(meter.replies[actor].buckets())["0.25"] == 1
    assert dict(meter.replies[actor].buckets())["0.1"] == 0


async def test_bus_meter_measures_every_outcome(autojump_clock: MockClock) -> None:
    """Refused, timed out, stopped: each request is counted, and its error propagates."""
    meter = BusMeter(autojump_clock.current_time)
    with open_broadcast_channel(observer=meter) as bus:
        with pytest.raises(ActorStopped):
            await bus.ask(Topic.TASK, "?", key=STORAGE_KEY, timeout_s=3)
        silent = bus.subscribe(Interest(Topic.TASK, STORAGE_KEY), buffer=1)
        with pytest.raises(ReplyTimeout):
            await bus.ask(Topic.TASK, "?", key=STORAGE_KEY, timeout_s=3)
        assert silent.receive_nowait().trace is None
    assert meter.replies["storage"].count == 2
    assert meter.replies["storage"].sum == pytest.approx(3)


def test_storage_meter_keeps_sizes_and_durations() -> None:
    """A commit is one batch with a number of units and a duration; a read has a duration."""
    meter = StorageMeter()
    meter.committed(3, 0.02)
    meter.committed(512, 0.3)
    meter.read(9, 0.004)
    assert (meter.batches.count, meter.batches.sum) == (2, 515)
    assert meter.commits.sum == pytest.approx(0.32)
    assert (meter.reads.count, meter.reads.sum) == (1, 0.004)


def test_bus_meter_counts_what_is_in_flight() -> None:
    """A request is in flight until its outcome, whatever that is."""
    meter = BusMeter()
    first, _ = meter.begin(Topic.AUTH, None, None)
    second, _ = meter.begin(Topic.TASK, "0197f0a0-0000-7000-8000-000000000001", None)
    assert (meter.in_flight["authx"], meter.in_flight["inventory"]) == (1, 1)
    meter.finish(second, ReplyTimeout())
    assert (meter.in_flight["authx"], meter.in_flight["inventory"]) == (1, 0)
    meter.finish(first, None)
    assert not any(meter.in_flight.values())


def test_world_meter_keeps_how_late_ticks_were() -> None:
    """Each tick is counted."""
    meter = WorldMeter()
    meter.ticked(0.0)
    meter.ticked(0.3)
    assert (meter.ticks.count, meter.ticks.sum) == (2, 0.3)
