"""FastAPI on uvicorn (uvloop, httptools) with asyncpg: a transaction for each order.

Written the usual way: a pool, a dependency for the caller, a pydantic model for the body,
``SELECT ... FOR UPDATE``. With PEER_COMMIT=group orders are committed in groups instead; see
group_commit.py. Run by bench/contest.py.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import asyncpg
import uuid_utils
import uvicorn
from fastapi import Depends, FastAPI, Header, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from bench.peers import market, sql
from bench.peers.group_commit import GroupCommit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TOKENS = market.Tokens(market.setting("KEY"))


class PlaceOrder(BaseModel):
    """The body of an order."""

    model_config = ConfigDict(strict=True, extra="forbid")

    asset: Annotated[str, Field(min_length=1, max_length=200)]
    count: Annotated[int, Field(ge=1, le=2**53 - 1)]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep the pool open while the application lives."""
    size = int(market.setting("POOL"))
    async with asyncpg.create_pool(market.setting("DSN"), min_size=size, max_size=size) as pool:
        app.state.pool = pool
        if market.setting("COMMIT") == "group":
            async with GroupCommit(pool) as group:
                app.state.group = group
                yield
        else:
            app.state.group = None
            yield


app = FastAPI(lifespan=lifespan)


@app.exception_handler(market.Refused)
async def refused(_request: Request, error: Exception) -> JSONResponse:
    """Render a refusal as a problem."""
    assert isinstance(error, market.Refused)
    return JSONResponse({"status": error.status, "detail": error.reason}, error.status)


async def caller(authorization: Annotated[str, Header()] = "") -> str:
    """Verify the bearer token; return the account."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise market.Refused(401, "no bearer token")
    return TOKENS.verify(token)


@app.get("/v1/inventory")
async def get_inventory(request: Request, account: Annotated[str, Depends(caller)]) -> Response:
    """Return what the caller owns now."""
    async with request.app.state.pool.acquire() as connection:
        row = await connection.fetchrow(sql.INVENTORY, account)
        orders = await connection.fetch(sql.PENDING, account)
    body = market.inventory(json.loads(row["state"]), row["version"], orders, market.now())
    return Response(body, media_type="application/json")


@app.post("/v1/inventory/orders")
async def place_order(
    request: Request,
    body: PlaceOrder,
    account: Annotated[str, Depends(caller)],
    idempotency_key: Annotated[str, Header(min_length=1, max_length=255)],
) -> JSONResponse:
    """Place an order; it is durable when the answer is sent."""
    if request.app.state.group is not None:
        shown, replayed = await request.app.state.group.place(
            account, idempotency_key, body.asset, body.count
        )
    else:
        async with request.app.state.pool.acquire() as connection, connection.transaction():
            shown, replayed = await place(connection, account, idempotency_key, body)
    return JSONResponse(shown, 200 if replayed else 201)


async def place(
    connection: Any, account: str, key: str, body: PlaceOrder
) -> tuple[dict[str, Any], bool]:
    """Place an order in the open transaction; return whether it had been placed before."""
    row = await connection.fetchrow(sql.LOCK, account)
    digest = market.fingerprint(body.asset, body.count)
    known = await connection.fetchrow(sql.KEY, account, key)
    if known is not None:
        if known["fingerprint"] != digest:
            raise market.Refused(422, "the key was used for another request")
        return json.loads(known["response"])["order"], True
    state = json.loads(row["state"])
    order_id = str(uuid_utils.uuid7())
    order = market.place(state, order_id, body.asset, body.count, market.now())
    yard, cost = market.YARDS[order.asset], json.dumps(order.shown["cost"])
    await connection.execute(
        sql.ADD_ORDER,
        *(UUID(order.id), account, order.seq, order.asset, yard, body.count, cost),
        *(market.DURATION_MS, order.now_ms),
    )
    await connection.execute(
        sql.ADD_ENTRY, account, order.ledger_seq, order.now_ms, order.id, order.changes
    )
    await connection.execute(sql.ADD_KEY, account, key, digest, order.response, order.now_ms)
    await connection.execute(sql.STORE, account, order.now_ms, order.ledger_seq, json.dumps(state))
    return order.shown, False


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(market.setting("PORT")),
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
    )
