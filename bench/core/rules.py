"""The cost of one order before it is stored, and of checking a token.

    .venv/bin/python bench/core/rules.py

Pure code, one thing after another: the order through the rules (settled, priced, applied, its
answer made), with the operations that store it, and the statements planned from them. The floors
are the same rules by hand on a plain dictionary (as the peers of the contest do, for this one
world), and for a token the cipher alone.
"""

from __future__ import annotations

import gc
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyseto

from actors.authx.keys import KeyRing
from actors.authx.settings import AuthxSettings
from actors.authx.tokens import AccessTokens
from actors.inventory.engine import encode_state, new_state, place_order, view
from actors.inventory.ruleset import load_ruleset
from actors.storage import sql
from actors.storage.forms import Forms
from actors.storage.schema import declared_tables
from actors.storage.soundness import Soundness
from bench.core.figures import Report, each_us, parser, watch
from bench.core.units import Orders
from bench.peers import market
from bench.seed import MARKET, account_id, issue_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from actors.inventory.work import Work
    from bench.core.figures import Watch

TIMES = 2_000
ACCOUNTS = 500


def timed(run: Callable[[int], object], rounds: int, times: int = TIMES) -> list[Watch]:
    """Time ``times`` repetitions in each of ``rounds`` rounds."""
    taken: list[Watch] = []
    for _ in range(rounds):
        gc.collect()
        with watch() as each:
            for number in range(times):
                run(number)
        taken.append(each)
    return taken


def measure(rounds: int) -> Report:
    """Measure the figures."""
    report = Report("an order through the rules, and a token")
    ruleset = load_ruleset(str(MARKET), parameters={})
    now_ms = time.time_ns() // 1_000_000
    state, _ = new_state(account_id(0), ruleset, now_ms)

    def engine(_number: int) -> object:
        return place_order(
            state, ruleset, order_id=account_id(1), asset="cart1", count=1, now_ms=now_ms + 250
        )

    own = report.add(each_us("the engine alone (place_order)", TIMES, timed(engine, rounds)))
    row = json.loads(encode_state(state))
    floor = report.add(
        each_us(
            "  the same by hand, on a dictionary",
            TIMES,
            timed(lambda number: _by_hand(row, number, now_ms + 250), rounds),
        )
    )
    report.ratio("  the engine against it", own, floor)
    orders = Orders(ruleset, ACCOUNTS, now_ms)
    commands = [orders.command(number) for number in range(TIMES)]
    own = report.add(
        each_us(
            "the command, with its answer and its key",
            TIMES,
            timed(lambda number: orders.apply(commands[number], number), rounds),
        )
    )
    floor = report.add(
        each_us(
            "  the same by hand (bench/peers/market.py)",
            TIMES,
            timed(lambda number: _command_by_hand(row, number, now_ms + 250), rounds),
        )
    )
    report.ratio("  the command against it", own, floor)
    works = [orders.apply(commands[number], number) for number in range(TIMES)]
    _stored(report, works, rounds)
    report.add(
        each_us(
            "an inventory shown (view)",
            TIMES,
            timed(lambda _: view(state, ruleset, now_ms, version=1, tick=1), rounds),
        )
    )
    _tokens(report, rounds)
    return report


def _stored(report: Report, works: Sequence[Work], rounds: int) -> None:
    """Measure the cost of preparing them for storage."""
    report.add(
        each_us(
            "the operations that store it",
            TIMES,
            timed(lambda number: works[number].operations(), rounds),
        )
    )
    tables = declared_tables()
    forms = Forms(tables)
    soundness = Soundness(tables)
    units = [tuple(work.operations()) for work in works]
    report.add(
        each_us(
            "Storage's check of 32 units, for each unit",
            32 * 20,
            timed(lambda n: soundness.are_sound(units[32 * n : 32 * n + 32]), rounds, 20),
        )
    )
    report.add(
        each_us(
            "the statements of 64 units, for each unit",
            64 * 20,
            timed(lambda n: sql.plan(units[64 * n : 64 * n + 64], forms), rounds, 20),
        )
    )


def _by_hand(row: dict[str, Any], number: int, now_ms: int) -> None:
    """Settle, check, debit and queue an order of this one world only."""
    market.accrue(row, now_ms)
    gold = row["amounts"]["gold"]
    if gold[0] < market.PRICE:
        raise ValueError(number)
    gold[0] -= market.PRICE
    row["order_seq"] += 1
    row["pending"] = (number, "cart1", "yard1", 1, market.DURATION_MS, now_ms)


def _command_by_hand(row: dict[str, Any], number: int, now_ms: int) -> None:
    """Place an order like the peers of the contest: with its answer, and the key's digest."""
    market.fingerprint("cart1", 1)
    market.place(row, account_id(number), "cart1", 1, now_ms)


def _tokens(report: Report, rounds: int) -> None:
    keyring = KeyRing.generate()
    tokens = [token for _, token in issue_tokens(keyring, TIMES)]
    key = keyring.first.local
    cipher = report.add(
        each_us(
            "the cipher alone (pyseto)",
            TIMES,
            timed(lambda number: pyseto.decode(key, tokens[number]), rounds),
        )
    )
    unseen: list[Watch] = []
    for _ in range(rounds):
        unseen += timed(_verifier(keyring, tokens), 1)
    first = report.add(each_us("token verified for the first time", TIMES, unseen))
    report.ratio("  against the cipher alone", first, cipher)
    again = _verifier(keyring, tokens)
    for number in range(TIMES):
        again(number)
    report.add(
        each_us(
            "token verified again",
            TIMES,
            timed(again, rounds),
        )
    )


def _verifier(keyring: KeyRing, tokens: list[str]) -> Callable[[int], object]:
    """Return a function that verifies the token of a number, with a cold cache."""
    verify = AccessTokens(keyring, AuthxSettings(), wall_clock=lambda: datetime.now(UTC)).verify
    return lambda number: verify(tokens[number])


def main() -> None:
    """Run it as a command."""
    options = parser(__doc__).parse_args()
    measure(options.rounds).write(options.json)


if __name__ == "__main__":
    main()
