"""The stored form of a state: compact JSON for a jsonb column.

Amounts are pairs ``[whole units, grains beyond]``, so that every number fits 64 bits. It omits
pending orders, which have their own table, and flows, which are derived.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from actors.inventory.engine.grains import GRAINS_PER_UNIT, LATEST_MS
from actors.inventory.engine.orders import UNIT, Order
from actors.inventory.engine.pending import Pending
from actors.inventory.engine.state import State, flows_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors.inventory.ruleset import Ruleset

_Natural = Annotated[int, msgspec.Meta(ge=0)]
_Positive = Annotated[int, msgspec.Meta(ge=1)]
_Rest = Annotated[int, msgspec.Meta(ge=0, lt=GRAINS_PER_UNIT)]
_Moment = Annotated[int, msgspec.Meta(ge=0, le=LATEST_MS)]


class _Record(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    account_id: str
    at_ms: _Moment
    seq: _Natural
    order_seq: _Natural
    ruleset: str
    amounts: dict[str, tuple[_Natural, _Rest]]
    levels: Mapping[str, _Positive] = {}
    units: Mapping[str, _Positive] = {}
    held: dict[str, tuple[_Natural, _Rest]] = {}


_DECODER: Final = msgspec.json.Decoder(_Record)
_ENCODER: Final = msgspec.json.Encoder()


def encode_state(state: State) -> bytes:
    """Return the state as JSON, without its pending orders."""
    return _ENCODER.encode(
        _Record(
            account_id=state.account_id,
            at_ms=state.at_ms,
            seq=state.seq,
            order_seq=state.order_seq,
            ruleset=state.ruleset,
            amounts=_to_pairs(state.amounts),
            levels=state.levels,
            units=state.units,
            held=_to_pairs(state.held) if state.held else {},
        )
    )


def decode_state(raw: bytes | str, ruleset: Ruleset, orders: Iterable[Order]) -> State:
    """Return the state that `encode_state` wrote, with its pending orders in any sequence.

    ``ruleset`` is the one that the state was settled under; to continue under another, decode
    under the old one and see `actors.inventory.engine.resettle`. Raises ValueError for anything
    that no engine function can have produced.
    """
    try:
        record = _DECODER.decode(raw)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a stored inventory: {error}") from error
    if record.ruleset != ruleset.version:
        raise ValueError(f"stored under ruleset {record.ruleset}, not {ruleset.version}")
    pending = tuple(sorted(orders, key=lambda order: order.seq))
    _check_names(record, ruleset)
    for order in pending:
        _check_order(order, record, ruleset)
    if len({order.seq for order in pending}) != len(pending):
        raise ValueError("two pending orders share a sequence")
    return State(
        account_id=record.account_id,
        at_ms=record.at_ms,
        seq=record.seq,
        order_seq=record.order_seq,
        ruleset=record.ruleset,
        amounts=_from_pairs(record.amounts),
        levels=record.levels,
        units=record.units,
        held=_from_pairs(record.held),
        pending=Pending.of(pending),
        flows=flows_of(ruleset, record.levels, record.units),
    )


def _to_pairs(amounts: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    return {name: divmod(amount, GRAINS_PER_UNIT) for name, amount in amounts.items()}


def _from_pairs(pairs: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    return {name: whole * GRAINS_PER_UNIT + rest for name, (whole, rest) in pairs.items()}


def _check_names(record: _Record, ruleset: Ruleset) -> None:
    """Reject names that the ruleset does not have, or has as something else."""
    if record.amounts.keys() != ruleset.resources.keys():
        raise ValueError("the stored resources are not those of the ruleset")
    if not record.held.keys() <= ruleset.resources.keys():
        raise ValueError("an unknown resource is held")
    units = {address for address, rules in ruleset.assets.items() if rules.kind == UNIT}
    if not record.units.keys() <= units:
        raise ValueError("something stored as a unit is not a unit in the ruleset")
    if not record.levels.keys() <= ruleset.assets.keys() - units:
        raise ValueError("something stored with a level has no levels in the ruleset")


def _check_order(order: Order, record: _Record, ruleset: Ruleset) -> None:
    """Reject an order that cannot be pending in this state."""
    rules = ruleset.assets.get(order.asset)
    if rules is None or rules.kind != order.kind or order.queue not in ruleset.queues:
        raise ValueError(f"order {order.id} is for something not in the ruleset")
    if not 1 <= order.seq <= record.order_seq or order.piece_ms < 1:
        raise ValueError(f"order {order.id} has an impossible sequence or duration")
    _check_target(order)
    _check_times(order, record.at_ms)


def _check_target(order: Order) -> None:
    """Reject a level for units, a count for a level, or more delivered than possible."""
    is_unit = order.kind == UNIT
    if (order.count is not None) is not is_unit or (order.level is None) is not is_unit:
        raise ValueError(f"order {order.id} must have a level or, for units, a count")
    most = 0 if order.count is None else order.count - 1
    if not 0 <= order.delivered <= most:
        raise ValueError(f"order {order.id} has delivered {order.delivered} of {order.count}")


def _check_times(order: Order, at_ms: int) -> None:
    """Reject an order whose state does not match its times."""
    if order.state == "running":
        if order.starts_ms is None or order.finishes_ms is None:
            raise ValueError(f"order {order.id} runs without a start")
        if order.finishes_ms <= at_ms:
            raise ValueError(f"order {order.id} was due before the state was settled")
    elif order.state != "queued" or order.starts_ms is not None or order.delivered:
        raise ValueError(f"order {order.id} is not pending")
