"""Group commit for the FastAPI peer: orders of many requests in one transaction.

Orders that arrive during a transaction form the next one; there is no timer.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

import uuid_utils

from bench.peers import market, sql

BATCH_MAX = 512


@dataclass(slots=True)
class Wanted:
    """An order that waits to be placed."""

    account: str
    key: str
    asset: str
    count: int
    digest: bytes
    answer: asyncio.Future[tuple[dict[str, Any], bool]]
    order: market.Order | None = None


class GroupCommit:
    """Places orders in groups, in its own task."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._waiting: list[Wanted] = []
        self._came = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin."""
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()

    async def place(
        self, account: str, key: str, asset: str, count: int
    ) -> tuple[dict[str, Any], bool]:
        """Place an order; returns once it is durable, with whether it had been placed before."""
        answer = asyncio.get_running_loop().create_future()
        digest = market.fingerprint(asset, count)
        self._waiting.append(Wanted(account, key, asset, count, digest, answer))
        self._came.set()
        placed: tuple[dict[str, Any], bool] = await answer
        return placed

    async def _run(self) -> None:
        while True:
            await self._came.wait()
            batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
            if not self._waiting:
                self._came.clear()
            try:
                async with self._pool.acquire() as connection, connection.transaction():
                    settled = await _place_all(connection, batch)
            except Exception as error:  # noqa: BLE001 - any error goes to the waiting requests
                for wanted in batch:
                    wanted.answer.set_exception(error)
            else:
                for wanted, outcome in settled:
                    if isinstance(outcome, market.Refused):
                        wanted.answer.set_exception(outcome)
                    else:
                        wanted.answer.set_result(outcome)


async def _place_all(
    connection: Any, batch: list[Wanted]
) -> list[tuple[Wanted, tuple[dict[str, Any], bool] | market.Refused]]:
    accounts = sorted({wanted.account for wanted in batch})
    rows = await connection.fetch(sql.LOCK_ALL, accounts)
    states = {str(row["account_id"]): json.loads(row["state"]) for row in rows}
    asked = [wanted.account for wanted in batch], [wanted.key for wanted in batch]
    known = {
        (str(row["account_id"]), row["key"]): (row["fingerprint"], row["response"])
        for row in await connection.fetch(sql.KEYS, *asked)
    }
    settled: list[tuple[Wanted, tuple[dict[str, Any], bool] | market.Refused]] = []
    steps: dict[str, int] = {}
    placed: list[Wanted] = []
    now_ms = market.now()
    for wanted in batch:
        before = known.get((wanted.account, wanted.key))
        if before is not None:
            settled.append((wanted, _answered(wanted, *before)))
            continue
        state = states[wanted.account]
        try:
            order = market.place(state, str(uuid_utils.uuid7()), wanted.asset, wanted.count, now_ms)
        except market.Refused as refusal:
            settled.append((wanted, refusal))
            continue
        wanted.order = order
        known[wanted.account, wanted.key] = wanted.digest, order.response
        steps[wanted.account] = steps.get(wanted.account, 0) + 1
        placed.append(wanted)
        settled.append((wanted, (order.shown, False)))
    await _write(connection, placed, states, steps)
    return settled


def _answered(
    wanted: Wanted, digest: bytes, response: str
) -> tuple[dict[str, Any], bool] | market.Refused:
    if digest != wanted.digest:
        return market.Refused(422, "the key was used for another request")
    return json.loads(response)["order"], True


async def _write(
    connection: Any,
    placed: list[Wanted],
    states: dict[str, dict[str, Any]],
    steps: dict[str, int],
) -> None:
    orders = [(wanted, wanted.order) for wanted in placed if wanted.order is not None]
    if not orders:
        return
    added = [_order_row(wanted, order) for wanted, order in orders]
    entries = [
        (wanted.account, order.ledger_seq, order.now_ms, UUID(order.id), order.changes)
        for wanted, order in orders
    ]
    keys = [
        (wanted.account, wanted.key, wanted.digest, order.response, order.now_ms)
        for wanted, order in orders
    ]
    changed = [
        (
            account,
            count,
            states[account]["at_ms"],
            states[account]["seq"],
            json.dumps(states[account]),
        )
        for account, count in steps.items()
    ]
    await connection.execute(sql.ADD_ORDERS, *_columns(added))
    await connection.execute(sql.ADD_ENTRIES, *_columns(entries))
    await connection.execute(sql.ADD_KEYS, *_columns(keys))
    await connection.execute(sql.STORE_ALL, *_columns(changed))


def _order_row(wanted: Wanted, order: market.Order) -> tuple[object, ...]:
    return (
        UUID(order.id),
        wanted.account,
        order.seq,
        order.asset,
        market.YARDS[order.asset],
        wanted.count,
        json.dumps(order.shown["cost"]),
        market.DURATION_MS,
        order.now_ms,
    )


def _columns(rows: list[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
