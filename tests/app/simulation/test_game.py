"""What a simulation promises: the server's own rules, and the same result for the same setup."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from actors.inventory.proof import Proof
from actors.inventory.ruleset import load_ruleset
from actors.storage import Create, Read
from actors.storage.memory import MemoryEngine
from actors.storage.schema import declared_tables
from app.simulation import Progress, Setup, play
from app.simulation.memory import PresentOnly
from app.simulation.report import write_csv
from app.simulation.sight import Wanted
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from pathlib import Path

    from app.simulation import Figure, Played
    from app.simulation.sight import Sight


BARGES = """
[resources.wood]
start = 10000
base_capacity = 10000
[queues.yard]
length = 2
[units.barge]
cost = { wood = 1 }
duration = 7
capacity = { wood = 10 }
"""
"""Each of a batch adds room, so that every delivery is a moment of its own."""


async def played(ruleset: str, setup: Setup) -> Played:
    """Play a shipped ruleset."""
    return await play(load_ruleset(ruleset), setup, log=quiet_log())


def csv_of(result: Played) -> str:
    """Return the figures as they are written."""
    file = io.StringIO(newline="")
    write_csv(result.samples, file)
    return file.getvalue()


def last(result: Played, kind: str, name: str) -> Figure:
    """Return a figure of the last sample."""
    [found] = [f for f in result.samples[-1].figures if (f.kind, f.name) == (kind, name)]
    return found


@pytest.mark.parametrize("policy", ["greedy", "random"])
async def test_play_gives_the_same_figures_for_the_same_seed(policy: str) -> None:
    """Neither chance, nor order ids, nor the order of tasks affects the result."""
    setup = Setup(6, 1.5, policy, 7, samples=6)
    first, second = await played("ogame", setup), await played("ogame", setup)
    assert csv_of(first) == csv_of(second)
    assert (first.visits, first.orders) == (second.visits, second.orders)


async def test_play_gives_other_figures_for_another_seed() -> None:
    """The seed decides."""
    first, second = [await played("ogame", Setup(6, 1, "random", seed)) for seed in (1, 2)]
    assert csv_of(first) != csv_of(second)


@pytest.mark.parametrize("policy", ["greedy", "random"])
@pytest.mark.parametrize("ruleset", ["ogame", "travian", "tutorial"])
async def test_play_orders_only_what_the_server_accepts(ruleset: str, policy: str) -> None:
    """The bots' own accounting while they order agrees with the server's."""
    result = await played(ruleset, Setup(6, 3, policy, 3, visits_per_day=8))
    assert result.refusals == 0
    assert result.orders > 50


async def test_play_greedy_grows() -> None:
    """Income rises through energy, mines and stores; whatever brings no income is left out."""
    result = await played("ogame", Setup(8, 10, "greedy", 5))
    assert last(result, "income", "metal").p10 > 300
    assert last(result, "income", "deuterium").p10 > 50
    assert last(result, "level", "solar_plant").mean > 5
    assert last(result, "level", "metal_storage").mean > 0
    assert last(result, "count", "rocket_launcher").mean == 0


async def test_play_greedy_outdoes_random() -> None:
    """Planning earns more."""
    greedy, random = [
        last(await played("travian", Setup(6, 6, policy, 5)), "income", "wood").mean
        for policy in ("greedy", "random")
    ]
    assert greedy > random


async def test_play_ends_when_nothing_is_left_to_do() -> None:
    """A greedy player of a small game eventually has everything, and stops visiting."""
    ruleset = load_ruleset("tutorial", parameters={"speed": 1000})
    result = await play(ruleset, Setup(3, 30, "greedy", 1, visits_per_day=48), log=quiet_log())
    assert last(result, "level", "market").p10 == 20
    assert result.visits < 3 * 30 * 48 / 2


class Stubborn:
    """A policy that wants what does not exist."""

    def orders(self, _sight: Sight, _rng: object) -> list[Wanted]:
        """Want castles."""
        return [Wanted("castle")]

    def waits_for(self, _sight: Sight) -> None:
        """Never return."""


async def test_play_counts_what_the_server_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused order ends nothing."""

    def stubborn(_name: str, _ruleset: object) -> Stubborn:
        return Stubborn()

    monkeypatch.setattr("app.simulation.game.policy_named", stubborn)
    result = await played("tutorial", Setup(3, 9, "any", 1))
    assert (result.visits, result.orders, result.refusals) == (3, 0, 3)


class Shipyard(Stubborn):
    """A policy that orders three batches at once and never returns."""

    def orders(self, _sight: Sight, _rng: object) -> list[Wanted]:
        """Want barges."""
        return [Wanted("barge", 1000)] * 3


async def test_play_follows_whatever_came_due_since_somebody_looked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Changes beyond what a forecast can follow are not forecast here: they have happened."""

    def shipyard(_name: str, _ruleset: object) -> Shipyard:
        return Shipyard()

    monkeypatch.setattr("app.simulation.game.policy_named", shipyard)
    file = tmp_path / "barges.toml"
    file.write_text(BARGES, encoding="utf-8")
    setup = Setup(2, 1, "greedy", 1, visits_per_day=100, samples=1)
    result = await play(load_ruleset(file), setup, log=quiet_log())
    assert last(result, "count", "barge").mean == 3000
    assert result.refusals == 0


async def test_play_takes_samples_at_even_distances() -> None:
    """The first is taken at the beginning, the last at the end."""
    result = await played("tutorial", Setup(2, 2, "greedy", 1, samples=4))
    assert [sample.at_ms / 3_600_000 for sample in result.samples] == [0, 12, 24, 36, 48]
    assert next(f.mean for f in result.samples[0].figures if f.name == "wood") == 120


async def test_play_tells_its_progress() -> None:
    """Moments come in order, up to the last one."""
    moments: list[Progress] = []
    setup = Setup(3, 1, "greedy", 1)
    result = await play(
        load_ruleset("tutorial"), setup, log=quiet_log(), on_progress=moments.append
    )
    assert [moment.now_ms for moment in moments] == sorted(moment.now_ms for moment in moments)
    assert moments[-1] == Progress(setup.span_ms, result.visits, result.orders)


@pytest.mark.parametrize("policy", ["greedy", "random"])
async def test_play_keeps_books_that_prove_right(policy: str) -> None:
    """If all rows are kept, every account's ledger adds up to its inventory."""
    engine = MemoryEngine(declared_tables())
    setup = Setup(8, 2, policy, 9, visits_per_day=12)
    result = await play(load_ruleset("tutorial"), setup, log=quiet_log(), engine=engine)
    inventories, ledger = await engine.read(
        [Read("inventories", order_by="account_id"), Read("ledger", order_by="seq")]
    )
    proof = Proof()
    proof.begin(inventories)
    proof.enter(sorted(ledger, key=lambda row: (row["account_id"], row["seq"])))
    proof.close()
    assert proof.accounts == 8
    assert proof.entries > result.orders
    wood = next(totals for totals in proof.world() if totals.name == "wood")
    assert wood.sources - wood.sinks == wood.holdings > 0


async def test_play_keeps_only_the_present() -> None:
    """A finished order, its ledger entries and its key do not stay in memory."""
    inner = MemoryEngine(declared_tables())
    setup = Setup(4, 2, "greedy", 1, visits_per_day=12)
    engine = PresentOnly(inner)
    result = await play(load_ruleset("tutorial"), setup, log=quiet_log(), engine=engine)
    ledger, keys, orders, inventories = await inner.read(
        [Read("ledger"), Read("idempotency"), Read("orders"), Read("inventories")]
    )
    assert (ledger, keys, len(inventories)) == ([], [], 4)
    assert len(orders) < result.orders
    assert {order["state"] for order in orders} <= {"queued", "running"}


async def test_play_without_its_past_is_the_same_play() -> None:
    """What is forgotten does not affect what happens."""
    setup = Setup(4, 2, "random", 1, visits_per_day=12)
    ruleset = load_ruleset("tutorial")
    full = MemoryEngine(declared_tables())
    assert csv_of(await play(ruleset, setup, log=quiet_log(), engine=full)) == csv_of(
        await play(ruleset, setup, log=quiet_log())
    )


async def test_present_only_reports_what_its_inner_engine_refuses() -> None:
    """A unit of which a part is forgotten still fails as a whole."""
    engine = PresentOnly(MemoryEngine(declared_tables()))
    archive = Create("ruleset_archive", {"version": "v", "name": "n", "content": "c"})
    entry = Create("ledger", {"account_id": "a", "seq": 1})
    assert await engine.commit([(archive, entry)]) == [None]
    [outcome] = await engine.commit([(archive, entry)])
    assert outcome is not None
    engine.forget()
