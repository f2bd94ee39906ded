"""What the Python peers share: the market's rules, its rows, and the check of a token.

They work on Holdfast's own tables, so that the same recount applies to all, and accept Holdfast's
tokens. Decrypted tokens are cached, as in Holdfast; whether the session is still live is not
checked, which saves the peers some work.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import msgspec
import pyseto

GRAINS = 3_600_000
CAPACITY = 100_000
PER_HOUR = {"gold": 0, "wood": 60, "stone": 30}
PRICE = 3
DURATION_MS = 86_400_000
YARDS = {f"cart{number}": f"yard{number}" for number in range(1, 9)}
TOKENS_MAX = 10_000


class Refused(Exception):
    """The request cannot be served; with the status and the reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Tokens:
    """Verifies access tokens (PASETO v4.local) with the key that Holdfast made them with."""

    def __init__(self, paserk: str) -> None:
        self._key = pyseto.Key.from_paserk(paserk)
        self._known: dict[bytes, tuple[str, float]] = {}

    def verify(self, text: str) -> str:
        """Return the account that a token stands for; raises `Refused`."""
        digest = blake2b(text.encode(), digest_size=32).digest()
        known = self._known.get(digest)
        if known is None:
            known = self._decipher(text)
            if len(self._known) >= TOKENS_MAX:
                self._known.clear()
            self._known[digest] = known
        account, expires = known
        if time.time() >= expires:
            raise Refused(401, "expired")
        return account

    def _decipher(self, text: str) -> tuple[str, float]:
        try:
            claims: dict[str, Any] = json.loads(pyseto.decode(self._key, text).payload)
            return claims["sub"], datetime.fromisoformat(claims["exp"]).timestamp()
        except (pyseto.PysetoError, ValueError, KeyError) as error:
            raise Refused(401, "invalid token") from error


@dataclass(frozen=True, slots=True)
class Order:
    """A placed order, in every form in which it is stored or shown."""

    id: str
    seq: int
    ledger_seq: int
    asset: str
    now_ms: int
    starts_ms: int | None
    changes: str
    shown: dict[str, object]
    response: str


def fingerprint(asset: str, count: int) -> bytes:
    """Digest a request's body, to detect a key reused for another request."""
    return blake2b(f"{asset} {count}".encode(), digest_size=16).digest()


def place(state: dict[str, Any], order_id: str, asset: str, count: int, now_ms: int) -> Order:
    """Apply an order to a state, in place; raises `Refused` if it cannot be paid."""
    if asset not in YARDS:
        raise Refused(404, "unknown asset")
    accrue(state, now_ms)
    price = PRICE * count
    gold = state["amounts"]["gold"]
    if gold[0] < price:
        raise Refused(409, "insufficient resources")
    gold[0] -= price
    state["seq"] += 1
    state["order_seq"] += 1
    shown: dict[str, object] = {
        "id": order_id,
        "asset": asset,
        "kind": "unit",
        "cost": {"gold": price},
        "state": "queued",
        "placed_at": moment(state["at_ms"]),
        "starts_at": None,
        "finishes_at": None,
        "count": count,
    }
    return Order(
        id=order_id,
        seq=state["order_seq"],
        ledger_seq=state["seq"],
        asset=asset,
        now_ms=state["at_ms"],
        starts_ms=None,
        changes=json.dumps({"gold": [-price, gold[0]]}),
        shown=shown,
        response=json.dumps({"order": shown}),
    )


def accrue(state: dict[str, Any], now_ms: int) -> None:
    """Add the production up to a moment."""
    elapsed = max(0, now_ms - state["at_ms"])
    for name, pair in state["amounts"].items():
        grains = pair[0] * GRAINS + pair[1]
        if PER_HOUR[name] and grains < CAPACITY * GRAINS:
            grains = min(CAPACITY * GRAINS, grains + PER_HOUR[name] * elapsed)
        pair[:] = divmod(grains, GRAINS)
    state["at_ms"] += elapsed


def inventory(state: dict[str, Any], version: int, orders: list[Any], now_ms: int) -> bytes:
    """Render an inventory like Holdfast."""
    accrue(state, now_ms)
    resources: dict[str, object] = {}
    for name, (whole, rest) in state["amounts"].items():
        full_at = None
        if PER_HOUR[name]:
            missing = CAPACITY * GRAINS - whole * GRAINS - rest
            full_at = moment(now_ms + missing // PER_HOUR[name])
        resources[name] = {
            "amount": whole,
            "per_hour": PER_HOUR[name],
            "capacity": CAPACITY if PER_HOUR[name] else None,
            "full_at": full_at,
        }
    shown = {
        "account_id": state["account_id"],
        "version": version,
        "at": moment(now_ms),
        "tick": now_ms // 250,
        "resources": resources,
        "balances": {},
        "buildings": {},
        "technologies": {},
        "units": {},
        "orders": [
            {
                "id": str(row["order_id"]),
                "asset": row["asset"],
                "kind": row["kind"],
                "cost": json.loads(row["cost"]),
                "state": row["state"],
                "placed_at": moment(row["placed_ms"]),
                "starts_at": None if row["starts_ms"] is None else moment(row["starts_ms"]),
                "finishes_at": None if row["finishes_ms"] is None else moment(row["finishes_ms"]),
                "count": row["count"],
            }
            for row in orders
        ],
    }
    return msgspec.json.encode(shown)


def moment(at_ms: int) -> str:
    """Format world time as RFC 3339."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat().replace("+00:00", "Z")


def now() -> int:
    """Return the time in milliseconds."""
    return time.time_ns() // 1_000_000


def setting(name: str) -> str:
    """Return a required setting from the environment."""
    return os.environ[f"PEER_{name}"]
